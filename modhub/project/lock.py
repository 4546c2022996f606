"""From what a project file asks for to what its lockfile pins: all requests resolved together, locked releases kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from modhub.cache.catalog import CacheCatalog
from modhub.composition.recipe import MarginScale
from modhub.errors import Conflict, IntegrityError, NotFound, UsageError
from modhub.installation.context import Places
from modhub.installation.lockfile import Lock, LockedProject
from modhub.installation.registries import is_starter
from modhub.project.manifest import ProjectFile
from modhub.resolve.catalog import NamedModules, Pinned, all_modules
from modhub.resolve.together import resolve_together
from modhub.spec.folder_refs import refuse_folders
from modhub.spec.refs import ModelRef, Request
from modhub.spec.url import RegistryUrl, is_url
from modhub.storage import files

#: How lockfiles call the registry inside the package, whose path every machine has another.
STARTER = "starter"


@dataclass(frozen=True)
class Locker:
    """Locks a project in ``folder`` by what ``places`` have. ``before`` is what was locked, if anything was."""

    folder: Path
    places: Places
    before: Lock | None

    def named(
        self, file: ProjectFile, requests: Sequence[Request], *, keep: Collection[ModelRef]
    ) -> list[NamedModules]:
        """The modules of each request; these are without short names of the project.

        Raises as ``resolve_together``, and IntegrityError, kind ``digest-changed``, when a release that was locked has
        other content now.
        """
        places = self.places
        try:
            named = resolve_together(
                requests, places.catalogs, places.config.aliases, adapt=file.project.adapt is not None, prefer=keep
            )
        except NotFound as error:
            if places.registries:
                raise
            reason = f"{error.message.rstrip('.')}, and only the cache was searched, offline."
            raise NotFound(reason, kind=error.kind, hint=error.hint, **error.data) from error
        self._check_digests(all_modules(named))
        return [NamedModules(each.request, tuple(self._portable(pin, file) for pin in each.modules)) for each in named]

    def locked(self, file: ProjectFile, *, keep: Collection[ModelRef]) -> LockedProject:
        """All that ``file`` asks for. Raises as ``named`` does; UsageError, kind ``empty``, for a project without
        classes."""
        if not file.classes:
            raise empty_project()
        refuse_folders(
            (ref for ref in file.recipe.every_module if ref.partition(":")[0] not in file.models), within=self.folder
        )
        return assembled(
            file, all_modules(self.named(file, [file.expanded(ref) for ref in file.recipe.every_module], keep=keep))
        )

    def _check_digests(self, pins: Sequence[Pinned]) -> None:
        known = {} if self.before is None else {pin.ref.release: pin.digest for pin in self.before.modules}
        for pin in pins:
            locked = known.get(pin.ref.release, pin.digest)
            if locked != pin.digest:
                raise IntegrityError(
                    f"{pin.ref.release} is locked as {locked}, but {pin.registry} has {pin.digest} under that name "
                    "and version.",
                    kind="digest-changed",
                    hint="releases never change: find out who replaced it before you lock again.",
                    release=str(pin.ref.release),
                    locked=locked,
                    found=pin.digest,
                    registry=pin.registry,
                )

    def _portable(self, pin: Pinned, file: ProjectFile) -> Pinned:
        """``pin`` with its registry as another machine can understand it: as the project file writes it, where it
        does."""
        url = pin.registry
        if url == CacheCatalog(self.places.cache).url:
            installed = self.places.cache.find(pin.ref, pin.digest)
            url = url if installed is None else installed.registry
        written: dict[str, str] = {registry_url(self.folder, text): text for text in reversed(file.project.registries)}
        name = STARTER if is_starter(url) else written.get(url, url)
        return Pinned(pin.ref, pin.name, pin.digest, name, pin.aliases)


def registry_url(folder: Path, text: str) -> RegistryUrl:
    """A registry as a project file in ``folder`` writes it, as a URL or full path."""
    return RegistryUrl(text if is_url(text) else str(files.absolute(folder / files.expanded(text))))


def assembled(file: ProjectFile, pins: Sequence[Pinned]) -> LockedProject:
    """The lock of ``file`` whose recipe's modules are ``pins``. Raises Conflict for one module with two labels."""
    recipe = file.recipe.made_of([Pinned(pin.ref, pin.name, pin.digest, pin.registry) for pin in pins])
    labels: dict[tuple[str, str], str] = {}
    for label, pin in recipe.classes:
        other = labels.setdefault((pin.digest, pin.ref.cls), label)
        if other != label:
            raise Conflict(
                f"{other!r} and {label!r} are one module, {pin.ref}.",
                kind="duplicate-module",
                hint="leave one of the two, or take another module for it.",
                module=str(pin.ref),
                labels=[other, label],
            )
    scales = tuple(
        (label, MarginScale(file.scales[label].threshold, file.scales[label].scale))
        for label in recipe.labels
        if label in file.scales
    )
    return LockedProject(file.digest, file.project.name, recipe, scales=scales)


def reused(old: ProjectFile, locked: LockedProject, new: ProjectFile) -> LockedProject | None:
    """The lock of ``new`` made of what ``locked``, the lock of ``old``, pins; None when that is not enough.

    Whatever fits together does so in parts as well, so an edit that only takes away or renames looks nothing up.
    """
    if locked.requests != old.digest:
        return None
    same = (old.project.registries, old.project.adapt) == (new.project.registries, new.project.adapt)
    refs = old.recipe.every_module
    known = {str(old.expanded(ref)): pin for ref, pin in zip(refs, locked.recipe.every_module, strict=True)}
    wanted = [str(new.expanded(ref)) for ref in new.recipe.every_module]
    if not same or not set(wanted) <= set(known):
        return None
    return assembled(new, [known[ref] for ref in wanted])


def releases_of(lock: Lock | None) -> set[ModelRef]:
    """The releases that a lockfile pins."""
    return set() if lock is None else {pin.ref.release for pin in lock.modules}


def empty_project() -> UsageError:
    return UsageError(
        "the project has no classes.", kind="empty", hint="add some, for example modhub add cifar10/r56:cat."
    )
