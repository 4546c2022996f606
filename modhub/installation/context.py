"""Where names are looked up, modules come from and composites run: registries in order, then the cache."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.cache.cache import Cache, cache_folder
from modhub.cache.catalog import CacheCatalog
from modhub.cache.markers import Installed
from modhub.errors import IntegrityError, NotFound, RegistryUnreachable
from modhub.installation.install import install_pinned
from modhub.installation.notices import HeardFile, heard_by_namespace, remarks_on
from modhub.installation.registries import is_bundled, registries
from modhub.limits import MAX_LOCK_BYTES
from modhub.registry.reader import RegistryReader
from modhub.registry.unreachable import UnreachableRegistry
from modhub.resolve.catalog import Catalog, NamedModules, Pinned
from modhub.resolve.resolver import resolve
from modhub.settings.config import load_config, load_trust
from modhub.settings.values import Config
from modhub.signing.policy import Trust
from modhub.signing.statements import Statement
from modhub.spec.folder_refs import refuse_folders
from modhub.spec.log import record, timing
from modhub.spec.refs import ModelRef

if TYPE_CHECKING:
    from modhub.advisories.matching import Remark
    from modhub.installation.lockfile import Lock
    from modhub.spec.contract import NamedContract
    from modhub.spec.registry_files import Withdrawal
    from modhub.storage.progress import Progress
    from modhub.storage.verify import VerifiedBlobs

RegistryUrls = str | Sequence[str] | None


@dataclass(frozen=True)
class Places:
    """Where names are looked up: ``catalogs`` in order, the cache last; ``trust`` decides whom to believe."""

    config: Config
    registries: list[RegistryReader]
    cache: Cache
    catalogs: list[Catalog]
    trust: Trust
    #: What was heard in this call, by namespace.
    _heard: dict[str, list[HeardFile]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        registry: RegistryUrls,
        cache: str | Path | None,
        *,
        offline: bool = False,
        require_signature: bool | None = None,
        locked: bool = False,
    ) -> Places:
        """``offline`` leaves only the cache. Raises RegistryUnreachable when no registry can be read; with ``locked``,
        for what is known by its digest and may be in the cache, only when one is needed."""
        config = load_config()
        trust = load_trust(config, required=require_signature)
        own = _cache(cache, config, trust)
        found = [] if offline or config.offline else registries(registry, config, stand_ins=locked, trust=trust)
        return cls(config, found, own, [*found, CacheCatalog(own)], trust)

    @classmethod
    def open_or_cached(cls, registry: RegistryUrls, cache: str | Path | None) -> Places:
        """As ``open``, but what is installed replaces, with a warning, a registry that cannot be read: in its
        place among those that can, or first."""
        try:
            places = cls.open(registry, cache)
            unread = next((each for each in places.registries if isinstance(each, UnreachableRegistry)), None)
            if unread is None or not places.cache.marked():
                return places
            *nearer, installed = places.catalogs
            nearer[nearer.index(unread)] = installed
            return replace(places, catalogs=[each for each in nearer if not isinstance(each, UnreachableRegistry)])
        except RegistryUnreachable as error:
            config = load_config()
            trust = load_trust(config)
            own = _cache(cache, config, trust)
            if not own.marked():
                raise
            warnings.warn(f"{error.message} Using what is installed.", stacklevel=5)
            found = registries(registry, config, skip_missing=True, trust=trust)
            return cls(config, found, own, [CacheCatalog(own), *found], trust)

    def resolve(self, refs: Sequence[str], *, even_yanked: bool = False) -> list[NamedModules]:
        """What each name means now, by itself; ``even_yanked`` for looking at it, where there is nothing else.

        Warns of what was yanked and named by its exact version. Raises UsageError for a folder, which is nothing
        published.
        """
        refuse_folders(refs)
        found = self._looked_up(lambda: resolve(refs, self.catalogs, self.config.aliases, even_yanked=even_yanked))
        return found if even_yanked else _warned_of(found)

    def resolve_together(
        self, refs: Sequence[str], *, fixed: Sequence[NamedContract] = (), adapt: bool = False
    ) -> list[NamedModules]:
        """What each name means beside the others: without ``adapt`` all take the images of the ``fixed`` ones."""
        refuse_folders(refs)
        from modhub.resolve.together import resolve_together  # installing looks every name up by itself

        return _warned_of(
            self._looked_up(
                lambda: resolve_together(refs, self.catalogs, self.config.aliases, fixed=fixed, adapt=adapt)
            )
        )

    def _looked_up(self, look_up: Callable[[], list[NamedModules]]) -> list[NamedModules]:
        try:
            found = look_up()
            for named in found:
                pin = named.modules[0]
                what = pin.ref if len(named.modules) == 1 else f"{len(named.modules)} classes of {pin.ref.release}"
                record("resolve", "%s is %s, in %s", named.request, what, pin.registry)
            return found
        except NotFound as error:
            if self.registries:
                raise
            raise NotFound(
                f"{error.message.rstrip('.')}, and only the cache was searched, offline.",
                kind=error.kind,
                hint=error.hint,
                **error.data,
            ) from error

    def install(
        self, pinned: Sequence[Pinned], progress: Progress | None = None, *, into: VerifiedBlobs | None = None
    ) -> list[Installed]:
        """Bring modules into the cache, and the signatures that vouch for them when those are required.

        The blobs are held in ``into`` as they are verified, for what decodes them next.
        """
        self._vouch(pinned)
        with timing("install", "looked at the cache and fetched what was missing"):
            installed = install_pinned(pinned, self.registries, self.cache, progress, into=into)
        here = sum(each.already for each in installed)
        fetched = sum(each.fetched for each in installed)
        record("install", "%d of %d modules were in the cache; fetched %d bytes", here, len(installed), fetched)
        self.heard({pin.ref.namespace for pin in pinned})
        return installed

    def heard(self, namespaces: Collection[str]) -> list[HeardFile]:
        """What is said against modules of these namespaces: by the registries, else as the cache has kept it."""
        new = set(namespaces) - self._heard.keys()
        for namespace, found in heard_by_namespace(self.registries, self.cache, new).items():
            self._heard[namespace] = found
        return [each for namespace in sorted(set(namespaces)) for each in self._heard[namespace]]

    def remarks(self, pinned: Sequence[Pinned]) -> list[Remark]:
        """What registries say against modules: advisories, yanks, takedowns, deprecations, each once."""
        return remarks_on(self.heard({pin.ref.namespace for pin in pinned}), pinned)

    def unlock(self, lock: Lock) -> list[Pinned]:
        """Where the modules of a lockfile are to be had, by digest: the registry it names first, then all others.

        What was yanked is given with a warning. Raises IntegrityError, kind ``digest-changed``, when a registry has
        another release under that name and version, and NotFound when no place has it.
        """
        places: dict[ModelRef, str] = {}
        for pin in lock.modules:
            if pin.ref.release not in places:
                places[pin.ref.release] = self._locked_place(pin)
                self._warn_of_classes(pin.ref.release, places[pin.ref.release], lock)
        return [Pinned(pin.ref, pin.name, pin.digest, places[pin.ref.release], pin.aliases) for pin in lock.modules]

    def _warn_of_classes(self, ref: ModelRef, place: str, lock: Lock) -> None:
        """Say which locked classes of a release were yanked alone in the registry that it comes from."""
        source = next((registry for registry in self.registries if registry.url == place), None)
        yanked = {} if source is None else source.yanked_classes(ref)
        for pin in dict.fromkeys(lock.modules) if yanked else ():
            if pin.ref.release == ref and pin.ref.cls in yanked:
                warnings.warn(f"{pin.ref} is yanked, but locked: {yanked[pin.ref.cls]}", stacklevel=4)

    def _locked_place(self, pin: Pinned) -> str:
        ref, other, unread = pin.ref.release, None, None
        nearest = sorted(self.registries, key=lambda registry: registry.url != pin.registry)
        for registry in nearest:
            try:
                found = registry.manifest(ref).digest
                withdrawal = registry.withdrawal(ref) if found == pin.digest else None
            except NotFound:
                continue
            except RegistryUnreachable as error:
                # Any other place that has the digest has the release.
                unread = unread or error
                continue
            if found != pin.digest:
                other = (registry.name, found)
                continue
            if withdrawal is None or withdrawal.kind == "yanked":
                if withdrawal is not None:
                    warnings.warn(f"{ref} is yanked, but locked: {withdrawal.reason}", stacklevel=4)
                return registry.url
            if not self._is_cached(pin):
                raise _gone(pin, registry, withdrawal)
        if self._is_cached(pin):
            return CacheCatalog(self.cache).url
        if unread is not None:
            raise unread
        if other is not None:
            raise IntegrityError(
                f"{ref} is locked as {pin.digest}, but {other[0]} has {other[1]} under that name and version.",
                kind="digest-changed",
                hint="releases never change: find out who replaced it before you lock again.",
                release=str(ref),
                locked=pin.digest,
                found=other[1],
                registry=other[0],
            )
        searched = ", ".join(registry.name for registry in self.registries) or "only the cache was"
        raise NotFound(
            f"{ref}, which is locked, is in none of the registries searched ({searched}).",
            kind="no-release",
            hint=f"it came from {pin.registry}; add that registry with --registry.",
            release=str(ref),
            registry=pin.registry,
        )

    def _is_cached(self, pin: Pinned) -> bool:
        return self.cache.find(pin.ref, pin.digest) is not None

    def _vouch(self, pinned: Sequence[Pinned]) -> None:
        """Keep the signatures of what comes from registries, so that the cache can ask for them ever after."""
        if not self.trust.required:
            return
        sources = {registry.url: registry for registry in self.registries}
        for pin in dict.fromkeys(pinned):
            source = sources.get(pin.registry)
            if source is not None and source.trust is not None:
                statement = Statement("release", str(pin.ref.release), pin.digest)
                for key, data in source.signatures_of(statement, {pin.ref.namespace}):
                    self.cache.add_signature(pin.digest, key, data)


def _cache(folder: str | Path | None, config: Config, trust: Trust) -> Cache:
    return Cache(cache_folder(folder, config), trust=trust, is_bundled=is_bundled)


def _warned_of(found: list[NamedModules]) -> list[NamedModules]:
    """``found``, after saying which of it was yanked."""
    said = [pin.yanked for named in found for pin in named.modules if pin.yanked is not None]
    said += [f"left out: {text}" for named in found for text in named.left_out]
    for text in dict.fromkeys(said):
        warnings.warn(text, stacklevel=4)
    return found


def _gone(pin: Pinned, registry: RegistryReader, withdrawal: Withdrawal) -> NotFound:
    return NotFound(
        f"{pin.ref.release}, which is locked, was taken down from {registry.name}: {withdrawal.reason}",
        kind="taken-down",
        hint="lock another version.",
        release=str(pin.ref.release),
        reason=withdrawal.reason,
    )


def load_lock(file: str | Path) -> Lock:
    """A lockfile. Raises NotFound, kind ``no-lock``, and IntegrityError."""
    from modhub.installation.lockfile import read_lock

    try:
        with Path(file).open("rb") as opened:
            data = opened.read(MAX_LOCK_BYTES + 1)
    except OSError as error:
        raise NotFound(
            f"the lockfile {file} cannot be read: {error.strerror or error}.",
            kind="no-lock",
            hint="write one: modhub lock REF... --out FILE",
            path=str(file),
        ) from error
    return read_lock(data, what=f"the lockfile {file}")
