"""From registries into the local cache: only what was asked for, verified, nothing half done to be seen.

A module counts as installed when its marker is there, and the marker is written after everything that it needs. So an
installation that is interrupted at any point leaves whole modules, and bytes that the next one uses. What the cache has
already is hashed again and repaired, never trusted. Pruning may run at the same time: what is relied on is touched
first, and after the last marker everything is looked for once more, and fetched again where it is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.cache.fetch import LARGE, FetchProgress, Wanted, fetch_blobs
from modhub.cache.markers import Installed
from modhub.errors import IntegrityError, NotFound, StorageError, Untrusted, shown
from modhub.spec.refs import ModelRef
from modhub.storage.parallel import each
from modhub.storage.progress import Progress

if TYPE_CHECKING:
    from modhub.registry.reader import RegistryReader
    from modhub.resolve.catalog import Pinned
    from modhub.spec.manifest import Manifest, StoredBlob
    from modhub.storage.verify import VerifiedBlobs

#: How often what was deleted in the meantime is fetched again.
_ROUNDS: Final = 5
#: Cached blobs that are hashed at once.
_AT_ONCE: Final = 4


def install_pinned(
    pinned: Sequence[Pinned],
    registries: Sequence[RegistryReader],
    cache: Cache,
    progress: Progress | None = None,
    *,
    into: VerifiedBlobs | None = None,
) -> list[Installed]:
    """Bring modules into the cache: for each release its manifest and one weights blob, for each module its own blob.

    ``registries`` are those that ``pinned`` was resolved with, none when offline; a module pinned to the cache itself
    is only verified. What was verified is held in ``into``, and what it has verified already is not read again. Gives
    one result for each of ``pinned``, in order. Raises IntegrityError, RegistryUnreachable, StorageError, and NotFound,
    kind ``not-installed``, for what only the cache could have had.
    """
    sources = {registry.url: registry for registry in registries}
    grouped: dict[tuple[str, ModelRef, str], list[Pinned]] = {}
    for pin in dict.fromkeys(pinned):
        grouped.setdefault((pin.registry, pin.ref.release, pin.digest), []).append(pin)
    results: dict[Pinned, Installed] = {}
    releases: list[_Release] = []
    for (url, ref, digest), pins in grouped.items():
        if url in sources:
            releases.append(_Release(sources[url], ref, digest, [_Module(pin) for pin in pins]))
        elif url == CacheCatalog(cache).url:
            results |= _verified(cache, digest, pins, offline=not registries, into=into)
        else:
            raise NotFound(
                f"{ref} was found in {url}, which is not among the registries given.", kind="no-registry", registry=url
            )
    if releases:
        _Installation(cache, releases, progress, into).run()
    results |= {module.pin: module.result() for release in releases for module in release.modules}
    return [results[pin] for pin in pinned]


def _verified(
    cache: Cache, digest: str, pins: Sequence[Pinned], *, offline: bool, into: VerifiedBlobs | None
) -> dict[Pinned, Installed]:
    """Modules of one release that the cache has to have: hashed, and nothing fetched."""

    def check(part: tuple[Pinned, StoredBlob]) -> None:
        cache.touch_blob(part[1])
        try:
            if into is None or part[1] not in into:
                cache.check_blob(part[1], into)
        except (NotFound, IntegrityError) as error:
            raise _not_whole(part[0], error, offline=offline) from error

    results: dict[Pinned, Installed] = {}
    pin = pins[0]
    try:
        for pin in pins:
            cache.used(pin.ref, digest)
            installed = cache.find(pin.ref, digest)
            if installed is None:
                raise NotFound(f"{pin.ref} is not in the cache.", kind="not-installed")
            results[pin] = installed
        cache.touch_release(digest)
        needed = _needed(cache.manifest(digest), pins)
    except Untrusted:
        raise
    except (NotFound, IntegrityError) as error:
        if error.kind == "wrong-class":
            raise
        raise _not_whole(pin, error, offline=offline) from error
    parts = {blob.sha256: (pin, blob) for pin, blobs in zip(pins, needed, strict=True) for blob in blobs}
    each(check, parts.values(), at_once=_hashed_at_once(blob for _, blob in parts.values()))
    return results


def _hashed_at_once(blobs: Iterable[StoredBlob]) -> int:
    """How many threads to hash them with: where all but the largest are little, starting threads takes longer."""
    sizes = sorted(blob.size for blob in blobs)
    return _AT_ONCE if sum(sizes[:-1]) >= LARGE else 1


def _not_whole(pin: Pinned, error: NotFound | IntegrityError, *, offline: bool) -> NotFound | IntegrityError:
    why = f"{pin.ref} is not whole in the cache, and nothing is fetched offline: " if offline else ""
    again = "install it once without --offline" if offline else "install it from a registry"
    hint = f"{again}: modhub install {pin.ref}"
    return type(error)(why + error.message, kind=error.kind, hint=hint, **error.data)


def check_classes(manifest: Manifest, pins: Iterable[Pinned]) -> None:
    """Raise NotFound, kind ``no-class``, and IntegrityError, kind ``wrong-class``, for what the release does not have.

    A lockfile says what a module's class is called, and a classifier answers by that name.
    """
    names = {module.slug: module.name for module in manifest.content.modules}
    for pin in pins:
        if pin.ref.cls not in names:
            raise NotFound(f"{pin.ref.release} has no class {pin.ref.cls!r}.", kind="no-class", wanted=pin.ref.cls)
        if names[pin.ref.cls] != pin.name:
            raise IntegrityError(
                f"{pin.ref} is the class {shown(names[pin.ref.cls])}, but it was locked as {shown(pin.name)}.",
                kind="wrong-class",
                hint="lock again, and find out who changed the lockfile.",
                module=str(pin.ref),
                locked=pin.name,
                found=names[pin.ref.cls],
            )


def _needed(manifest: Manifest, pins: Sequence[Pinned]) -> list[list[StoredBlob]]:
    """The blobs of each module: its release's weights, and its own."""
    check_classes(manifest, pins)
    own = {module.slug: module.blob for module in manifest.content.modules}
    weights = manifest.blobs[manifest.content.origin.weights]
    return [[weights, manifest.blobs[own[pin.ref.cls]]] for pin in pins]


@dataclass(eq=False)
class _Module:
    """One module and how far it is.

    ``needed`` are its blobs, ``lacking`` the digests of those that have still to come, ``registry`` what its marker
    names, if there is a good one. ``broken``: when this installation began, something of it was missing or damaged.
    ``fetched`` are the bytes that were fetched for it.
    """

    pin: Pinned
    needed: list[StoredBlob] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)
    registry: str | None = None
    broken: bool = False
    fetched: int = 0

    def result(self) -> Installed:
        pin = self.pin
        return Installed(pin.ref, pin.name, pin.digest, pin.registry, self.fetched, already=not self.broken)


@dataclass(eq=False)
class _Release:
    """Modules of one release that come from one registry."""

    source: RegistryReader
    ref: ModelRef
    digest: str
    modules: list[_Module]

    @property
    def is_lacking(self) -> bool:
        return any(module.lacking for module in self.modules)


class _Installation:
    """Releases on their way into the cache."""

    def __init__(
        self, cache: Cache, releases: list[_Release], progress: Progress | None, into: VerifiedBlobs | None
    ) -> None:
        self._cache = cache
        self._releases = releases
        self._meter = FetchProgress(progress)
        self._at_once = max(release.source.store.capabilities.parallel for release in releases)
        self._into = into
        # Digests of blobs that were hashed, or fetched, by this installation.
        self._sound: set[str] = set()
        # Those that were found damaged in the cache, which are fetched without another look.
        self._damaged: set[str] = set()
        self._remembered: set[str] = set()

    def run(self) -> None:
        left = self._releases
        for number in range(_ROUNDS):
            each(partial(self._find_missing, first=number == 0), left, at_once=self._at_once)
            self._fetch_and_mark(left)
            left = [release for release in left if not self._is_there(release)]
            if not left:
                return
        raise StorageError(
            f"{left[0].ref} disappears from the cache {self._cache.root} as fast as it is installed.",
            kind="unstable-cache",
            hint="stop what deletes files there, or set MODHUB_CACHE to another folder.",
            path=str(self._cache.root),
        )

    def _find_missing(self, release: _Release, *, first: bool) -> None:
        """Learn what is missing: from the cached manifest when that is enough, else from the registry's."""
        cached = self._cached(release)
        if not cached or release.is_lacking:
            manifest, data = self._fetched(release)
            self._cache.add_manifest(manifest, data)
            self._compare(release, manifest)
            incomplete = [module for module in release.modules if not cached or module.lacking]
            for module in incomplete:
                module.broken = True
            (incomplete or release.modules)[0].fetched += len(data)
        marked = self._cache.marked_of(release.ref, release.digest)
        for module in release.modules:
            module.registry = self._marked(module.pin) if module.pin.ref.cls in marked else None
            module.broken = module.broken or (first and module.registry is None)

    def _cached(self, release: _Release) -> bool:
        """Compare with the cached manifest; False when there is no good one."""
        self._cache.touch_release(release.digest)
        try:
            self._compare(release, self._cache.manifest(release.digest))
        except (NotFound, IntegrityError):
            return False
        return True

    def _fetched(self, release: _Release) -> tuple[Manifest, bytes]:
        manifest, data = release.source.release(release.ref)
        if manifest.digest != release.digest:
            raise IntegrityError(
                f"{release.ref} in {release.source.name} was {release.digest} and is now {manifest.digest}.",
                kind="release-changed",
                hint="releases never change: do not use this registry before its administrator has explained it.",
                expected=release.digest,
                actual=manifest.digest,
            )
        return manifest, data

    def _compare(self, release: _Release, manifest: Manifest) -> None:
        """Find out what is lacking, by hashing what is there, unless this installation has done so."""
        needed = _needed(manifest, [module.pin for module in release.modules])
        blobs = {blob.sha256: blob for blobs in needed for blob in blobs}
        there = {digest: blob for digest, blob in blobs.items() if self._cache.touch_blob(blob)}
        unknown = [blob for digest, blob in there.items() if digest not in self._sound | self._damaged]
        right = each(self._is_sound, unknown, at_once=_hashed_at_once(unknown))
        for blob, good in zip(unknown, right, strict=True):
            (self._sound if good else self._damaged).add(blob.sha256)
        lacking = blobs.keys() - (there.keys() & self._sound)
        for module, own in zip(release.modules, needed, strict=True):
            module.needed = own
            module.lacking = {blob.sha256 for blob in own if blob.sha256 in lacking}

    def _is_sound(self, blob: StoredBlob) -> bool:
        return (self._into is not None and blob in self._into) or self._cache.holds(blob, self._into)

    def _marked(self, pin: Pinned) -> str | None:
        """The registry that the module's marker names; None when the marker is damaged."""
        try:
            found = self._cache.find(pin.ref, pin.digest)
        except IntegrityError:
            return None
        return found.registry if found is not None else None

    def _fetch_and_mark(self, releases: Sequence[_Release]) -> None:
        """Fetch what is lacking, and mark each module as soon as it is whole."""
        wanted: dict[str, Wanted] = {}
        waiting: defaultdict[str, list[_Module]] = defaultdict(list)
        for release in releases:
            for module in release.modules:
                for blob in module.needed:
                    if blob.sha256 not in module.lacking:
                        continue
                    if blob.sha256 not in wanted:
                        wanted[blob.sha256] = Wanted(release.source, blob, f"installing {release.ref}")
                        module.fetched += blob.size
                    waiting[blob.sha256].append(module)
                if not module.lacking:
                    self._mark(module)

        def arrived(blob: Wanted) -> None:
            self._sound.add(blob.record.sha256)
            for module in waiting[blob.record.sha256]:
                module.lacking.discard(blob.record.sha256)
                if not module.lacking:
                    self._mark(module)

        if wanted:
            self._meter.expect(wanted.values())
            fetch_blobs(
                list(wanted.values()), self._cache, self._meter, arrived, at_once=self._at_once, into=self._into
            )

    def _mark(self, module: _Module) -> None:
        pin = module.pin
        for alias in pin.aliases:
            self._remember(alias, pin.ref.release.name)
        if module.registry != pin.registry or not self._cache.used(pin.ref, pin.digest):
            self._cache.mark(module.result())

    def _remember(self, alias: str, target: str) -> None:
        if alias in self._remembered:
            return
        try:
            known = self._cache.alias(alias)
        except IntegrityError:
            known = None
        if known != target:
            self._cache.remember_alias(alias, target)
        self._remembered.add(alias)

    def _is_there(self, release: _Release) -> bool:
        """Whether all that this installation relies on is still there, now that the markers say what is needed."""
        marked = self._cache.marked_of(release.ref, release.digest)
        blobs = {blob.sha256: blob for module in release.modules for blob in module.needed}
        return (
            marked.issuperset(module.pin.ref.cls for module in release.modules)
            and self._cache.touch_release(release.digest)
            and all(map(self._cache.has_blob, blobs.values()))
        )
