"""One operation on a project: what its files held at the start, where modules come from, and the one place that writes.

``commit`` takes a text and does all the rest: it locks, installs, and writes both files at the very end.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.cache.markers import Installed
from modhub.composition.composite import Composite
from modhub.composition.operations import on_scale
from modhub.composition.plan import make_plan
from modhub.composition.recipe import Recipe
from modhub.data.images import DATASETS
from modhub.errors import Conflict, IntegrityError, NotFound, UsageError, did_you_mean, shown
from modhub.installation.backend import InstalledBackend
from modhub.installation.context import Places, RegistryUrls
from modhub.installation.lockfile import Lock, LockedProject
from modhub.installation.notices import warn_of
from modhub.package.module import Module
from modhub.project import edits, naming
from modhub.project.diff import Move, Setting, changed_settings, moves
from modhub.project.folder import ProjectState, write_state
from modhub.project.lock import Locker, registry_url, releases_of, reused
from modhub.project.manifest import PROJECT_FILE, ProjectFile, ScaleTable, read_project
from modhub.project.measuring import load_measured, measured_accuracy
from modhub.project.rewriting import rewritten
from modhub.project.scales import Matching, scale_of_release, votes_evenly
from modhub.resolve.catalog import all_modules
from modhub.spec.folder_refs import refuse_folders
from modhub.spec.refs import ModelRef, ModuleRef, parse
from modhub.spec.text import find_class
from modhub.storage import files
from modhub.storage.progress import Progress
from modhub.storage.verify import VerifiedBlobs

if TYPE_CHECKING:
    from modhub.composition.agreement import Agreement


@dataclass(frozen=True)
class ProjectOptions:
    """Where modules come from, in the place of what project and configuration name; ``offline``: the cache alone.

    ``progress`` is called with what is fetched, bytes done and in all; ``before_running`` is called before a network is
    built.
    """

    registry: RegistryUrls = None
    cache: str | Path | None = None
    offline: bool = False
    progress: Progress | None = None
    before_running: Callable[[], None] | None = None


@dataclass(frozen=True)
class Change:
    """What an edit, a lock or an upgrade came to. ``locked`` is None for a project without classes.

    ``agreement`` is how far a classifier that does not run exactly agrees with one that does, where a lock measured
    that.
    """

    before: LockedProject | None
    locked: LockedProject | None
    installed: tuple[Installed, ...] = ()
    agreement: Agreement | None = None

    @property
    def moves(self) -> tuple[Move, ...]:
        """The classes whose modules are others now, in column order; those that went come first."""
        return moves(self.before, self.locked)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The project file's own settings that are others now: adapters, size, reject, mode, dtype, vote, name."""
        return changed_settings(self.before, self.locked)


@dataclass(frozen=True)
class Session:
    """``state`` is what the files of the project in ``folder`` held; ``is_new``: nothing was written yet."""

    folder: Path
    options: ProjectOptions
    state: ProjectState
    is_new: bool = False

    # Places

    def registry(self, file: ProjectFile | None = None) -> RegistryUrls:
        """The registries of the project: those given, else MODHUB_REGISTRY's, else the file's, else the user's."""
        urls = (file or self.state.file).project.registries
        if self.options.registry or os.environ.get("MODHUB_REGISTRY") or not urls:
            return self.options.registry
        return [registry_url(self.folder, url) for url in urls]

    def places(self, file: ProjectFile | None = None, *, or_cached: bool = False) -> Places:
        """``or_cached``: what is installed replaces, with a warning, a registry that cannot be reached."""
        registry, cache = self.registry(file), self.options.cache
        if or_cached and not self.options.offline:
            return Places.open_or_cached(registry, cache)
        return Places.open(registry, cache, offline=self.options.offline)

    # What is locked

    def locked(self) -> LockedProject:
        """What the lockfile says of the project, current or not. Raises NotFound, kind ``no-lock``."""
        if self.state.locked is None:
            raise _no_lock(self.state)
        return self.state.locked

    def current(self, *, frozen: bool) -> LockedProject | None:
        """What is locked when that is what the project file asks for, else None, or with ``frozen`` an error."""
        if self.state.is_locked:
            return self.state.locked
        if frozen:
            raise _no_lock(self.state) if self.state.locked is None else _outdated(self.state)
        return None

    def kept_beside(self, names: Sequence[str]) -> set[ModelRef]:
        """The locked releases but those of the models of ``names``, which are labels or names of models or modules;
        none for no names. Raises NotFound."""
        locked, file = releases_of(self.state.lock), self.state.file
        if not names:
            return set()
        by_label = {} if self.state.locked is None else dict(self.state.locked.classes)
        gone: set[str] = set()
        for name in names:
            label = find_class(name, by_label)
            base = _base_of(file, name) if label is None else by_label[label].ref.release.name
            models = {ref.name for ref in locked if base in (ref.name, ref.namespace)}
            # By an alias that is not the project's own, which only the classes written with it show.
            named = [label for label, ref in file.classes.items() if file.expanded(ref).base == base]
            models |= {by_label[label].ref.release.name for label in named if label in by_label}
            if not models:
                known = [*by_label, *(ref.name for ref in locked), *file.models]
                raise NotFound(
                    f"the project has nothing of {shown(name)}.",
                    kind="unknown-class",
                    hint=did_you_mean(name, known) or f"it has {', '.join(known)}.",
                    name=name,
                )
            gone |= models
        return {ref for ref in locked if ref.name not in gone}

    # Edits that look modules up: the new file, and the releases to keep or take when it is locked

    def added(self, refs: Sequence[str], label: str | None) -> tuple[ProjectFile, set[ModelRef]]:
        """With the classes of ``refs``. Raises Conflict, UsageError, and all that finding modules raises."""
        file = self.state.file
        found, keep = self._find(refs, beside=file.recipe.every_module)
        if not found.refs:
            raise Conflict(
                f"the project has every class of {', '.join(refs)} already.",
                kind="duplicate-module",
                hint="name classes that it does not have.",
            )
        if label is not None and len(found.refs) != 1:
            raise UsageError(
                f"{len(found.refs)} classes cannot all be called {shown(label)}.",
                kind="several-classes",
                hint="give a label to one class at a time.",
            )
        labelled: dict[str, str] = {}
        for pin, ref in found.refs:
            name = pin.name if label is None else label
            if name in labelled:
                raise edits.duplicate_label(name, labelled[name])
            labelled[name] = ref
        return edits.with_classes(edits.with_models(file, found.models), labelled), keep

    def swapped(self, modules: Mapping[str, str], *, matching: Matching = "never") -> tuple[ProjectFile, set[ModelRef]]:
        """With other modules for some classes, by label, and with ``matching`` on the scale of those that go."""
        file = self.state.file
        columns = file.recipe.columns(modules)
        refs = [naming.one_module(ref, label) for label, ref in modules.items()]
        found, keep = self._find(refs, beside=_beside(file.recipe, columns))
        new = {label: ref for label, (_, ref) in zip(modules, found.refs, strict=True)}
        result = edits.with_modules(edits.with_models(file, found.models), new)
        if matching == "never":
            return result, keep
        places = self.places(or_cached=True)
        after = Locker(self.folder, places, self.state.lock).locked(result, keep=keep)
        if matching == "always" or not votes_evenly(after, places):
            scales = {label: self._scale_of(label, places) for label in modules}
            result = edits.with_modules(result, new, scales)
        return result, keep

    def _scale_of(self, label: str, places: Places) -> ScaleTable:
        """The scale of a class's margins: what the project file says, else what its locked module's release does."""
        file, locked = self.state.file, self.locked()
        label = file.recipe.labels[file.recipe.column(label)]
        if label in file.scales:
            return file.scales[label]
        pin = dict(locked.classes).get(label)
        if pin is None:
            raise _outdated(self.state)
        return scale_of_release(pin, places)

    def verified(self, stages: Mapping[tuple[str, ...], Sequence[str]]) -> tuple[ProjectFile, set[ModelRef]]:
        """With verifying stages, each in the place of one of the same classes."""
        file = result = self.state.file
        keep: set[ModelRef] = set()
        for classes, refs in stages.items():
            columns = file.recipe.columns(classes)
            classes = tuple(file.recipe.labels[column] for column in columns)
            modules = [naming.one_module(ref, label) for ref, label in zip(refs, [*classes, *refs], strict=False)]
            found, kept = self._find(modules, beside=file.recipe.every_module)
            if any(set(stage.columns) == set(columns) for stage in result.recipe.stages):
                result = edits.without_stage(result, classes)
            result = edits.with_models(result, found.models)
            result = edits.with_stage(result, classes, found.in_order_of(classes))
            keep |= kept
        return result, keep

    def _find(self, refs: Sequence[str], *, beside: Sequence[str]) -> tuple[naming.Written, set[ModelRef]]:
        """The names to write for ``refs``, chosen to fit the modules ``beside`` them."""
        refuse_folders(refs)
        file, keep = self.state.file, releases_of(self.state.lock)
        requests = [file.expanded(ref) for ref in (*beside, *refs)]
        locker = Locker(self.folder, self.places(), self.state.lock)
        named = locker.named(file, requests, keep=keep)
        chosen = {pin.ref.release for pin in all_modules(named)}
        there = all_modules(named[: len(file.classes)]) if len(beside) == len(file.recipe.every_module) else []
        return naming.written(file, refs, named[len(beside) :], there), chosen | keep

    # Locking and writing

    def edit(self, file: ProjectFile, keep: Collection[ModelRef], comments: Mapping[str, str] | None = None) -> Change:
        """``commit`` of the text changed to say ``file``; ``comments`` are written behind new classes, by label."""
        return self.commit(rewritten(self.state.text, file, comments), keep)

    def commit(
        self, text: str, keep: Collection[ModelRef], *, refresh: bool = False, into: VerifiedBlobs | None = None
    ) -> Change:
        """Lock what ``text`` asks for, install it, and write both files. ``keep`` are releases to choose where they
        satisfy it; ``refresh`` looks everything up, also where nothing new is asked for; ``into`` holds what was
        verified for ``composite``."""
        before = self.state.locked
        file = read_project(text.encode(), what=str(self.folder / PROJECT_FILE))
        if not file.classes:
            self.write(text, None)
            return Change(before, None)
        locked = None if refresh or before is None else reused(self.state.file, before, file)
        places = self.places(file, or_cached=locked is not None)
        if locked is None:
            locked = Locker(self.folder, places, self.state.lock).locked(file, keep=keep)
        locked = _with_accuracy_of(before, locked)
        installed = self.install(locked, places, into)
        self.write(text, locked)
        return Change(before, locked, installed)

    def relock(self, *, data: str | None, measure: bool) -> Change:
        """As ``Project.lock`` says."""
        try:
            lock, before = self.state.lock, self.state.locked
        except IntegrityError as error:
            pinned = b"[compact]" in (self.state.lock_data or b"")
            lost = " The compact network is not pinned any more: build it again." if pinned else ""
            warnings.warn(f"{error.message} Everything is chosen again.{lost}", stacklevel=3)
            lock = before = None
        file, places = self.state.file, self.places()
        locked = _with_accuracy_of(before, Locker(self.folder, places, lock).locked(file, keep=releases_of(lock)))
        spec = self.spec_of(data) if data is not None else file.project.data
        into = None if spec is None or not measure else VerifiedBlobs()
        installed = self.install(locked, places, into)
        agreement = None
        if spec is not None and into is not None:
            locked, agreement = self._measured(locked, spec, into)
        self.write(self.state.text, locked)
        return Change(before, locked, installed, agreement)

    def install(
        self, locked: LockedProject, places: Places | None = None, into: VerifiedBlobs | None = None
    ) -> tuple[Installed, ...]:
        """Bring all modules of a lock into the cache."""
        places = places or self.places(or_cached=True)
        pins = places.unlock(Lock.of_project(locked))
        installed = tuple(places.install(pins, self.options.progress, into=into))
        warn_of(places.remarks(pins), stacklevel=3)
        return installed

    def composite(self, locked: LockedProject, into: VerifiedBlobs | None = None) -> Composite:
        """The classifier of a lock; its modules are installed where they are not. ``into`` has what this call verified
        already."""
        backend = InstalledBackend(self.registry(), self.options.cache)
        pins = Lock.of_project(locked)
        places = self.places(or_cached=True)
        modules = backend.modules_of(places.unlock(pins), places, into=into)
        return composite_of_lock(locked, dict(zip((pin.ref for pin in pins.modules), modules, strict=True)), backend)

    def _measured(
        self, locked: LockedProject, spec: str, into: VerifiedBlobs
    ) -> tuple[LockedProject, Agreement | None]:
        """With the accuracy on the data ``spec``, and how exact the classifier is where it does not run exactly.

        Nothing is measured where neither the classifier nor the data changed.
        """
        data = load_measured(self.folder, spec)
        kept = locked.accuracy
        if kept is not None and kept.data == spec and kept.fingerprint == data.fingerprint:
            return locked, None
        if self.options.before_running is not None:
            self.options.before_running()
        progress = self.options.progress
        report = None if progress is None else lambda done, total: progress("measuring", done, total)
        found = measured_accuracy(self.composite(locked, into), data, spec=spec, compare=True, progress=report)
        return replace(locked, accuracy=found.accuracy), found.agreement

    def spec_of(self, data: str) -> str:
        """Data that was named from the current folder, as it is named from the project's."""
        path = files.absolute(data)
        if data in DATASETS:
            return data
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else str(path)

    def write(self, text: str, locked: LockedProject | None) -> None:
        """Both files, as they are now."""
        lock = None if locked is None else Lock.of_project(locked)
        write_state(None if self.is_new else self.state, self.folder, text, lock)


def _base_of(file: ProjectFile, name: str) -> str:
    try:
        return file.expanded(name).base
    except UsageError:
        return parse(name).base if "/" in name else name


def _with_accuracy_of(before: LockedProject | None, locked: LockedProject) -> LockedProject:
    """With the accuracy that was measured, as long as the classifier is the same, and the compact network, which says
    itself of which classifier it was made."""
    if before is None:
        return locked
    locked = replace(locked, compact=before.compact)
    same = [_classifier(each) for each in (before, locked)]
    return replace(locked, accuracy=before.accuracy) if same[0] == same[1] else locked


def _classifier(locked: LockedProject) -> object:
    """What decides the accuracy: all but whether it may reject, and which of several equal releases it is."""
    recipe = locked.recipe.mapped(lambda pin: (pin.ref.cls, pin.digest))
    return replace(recipe, settings=replace(recipe.settings, reject=False)), locked.scales


def _no_lock(state: ProjectState) -> NotFound:
    what = "is of names alone, not of the project" if state.lock is not None else "is missing"
    return NotFound(
        f"the lockfile of the project in {state.folder} {what}.",
        kind="no-lock",
        hint="write it: modhub lock",
        path=str(state.folder),
    )


def _outdated(state: ProjectState) -> Conflict:
    """Why the lock is not one of what the project file asks for."""
    locked, file = state.locked, state.file
    assert locked is not None
    old, new = [label for label, _ in locked.classes], list(file.classes)
    reasons = [
        f"{what} {', '.join(labels)}"
        for what, labels in (
            ("it lacks", [label for label in new if label not in old]),
            ("it still has", [label for label in old if label not in new]),
        )
        if labels
    ]
    return Conflict(
        f"the lockfile is not of what {state.folder / PROJECT_FILE} asks for now: "
        f"{'; '.join(reasons) or 'modules, ranges or settings differ'}.",
        kind="lock-outdated",
        hint="lock again: modhub lock",
        path=str(state.folder),
    )


def composite_of_lock(
    locked: LockedProject, modules: Mapping[ModuleRef, Module], backend: InstalledBackend
) -> Composite:
    """The classifier of a lock whose modules are available. Raises Incompatible, Conflict."""
    recipe = locked.recipe.mapped(lambda pin: modules[pin.ref])
    scales = dict(locked.scales)
    classes = tuple(
        (label, on_scale(module, scales[label]) if label in scales else module) for label, module in recipe.classes
    )
    return Composite(make_plan(replace(recipe, classes=classes)), backend)


def _beside(recipe: Recipe[str], columns: Collection[int]) -> list[str]:
    """The modules of all other classes, and those of the stages."""
    classes = [ref for column, ref in enumerate(recipe.modules) if column not in columns]
    return [*classes, *recipe.every_module[len(recipe.classes) :]]
