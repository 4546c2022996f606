"""A project: one classifier of modules, written down in ``modhub.toml`` and pinned in ``modhub.lock``.

Every edit changes the text, resolves and locks all of it, installs it, and only then writes both files; whatever fails
before leaves both as they were (``folder`` says what a crash leaves). Releases that are locked stay, as long as they
satisfy what is asked for; ``upgrade`` moves them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from modhub.composition.recipe import check_label
from modhub.engine.compact.request import CompactProgress
from modhub.engine.compact.settings import CompactKeywords, CompactSettings
from modhub.engine.export.formats import plan_description
from modhub.engine.read.files import check_place, save_model
from modhub.errors import Conflict, UsageError
from modhub.installation.context import RegistryUrls
from modhub.installation.forecast import Forecast, forecast
from modhub.installation.lockfile import Lock, LockedProject
from modhub.project import edits, views
from modhub.project.compact import CompactWork, compacted_project, pinned_compact
from modhub.project.folder import ProjectState, check_new_project, find_folder, read_state
from modhub.project.lock import Locker, empty_project, releases_of
from modhub.project.manifest import ProjectFile
from modhub.project.merge import merged_project
from modhub.project.rewriting import comments_of, new_text
from modhub.project.session import Change, ProjectOptions, Session
from modhub.project.verify import Replay, replayed
from modhub.spec.places import is_folder, is_there
from modhub.storage import files
from modhub.storage.progress import Progress
from modhub.storage.verify import VerifiedBlobs

if TYPE_CHECKING:
    from modhub.composition.composite import Composite
    from modhub.spec.manifest import Manifest


@dataclass(frozen=True)
class Project:
    """The project in ``folder``. Every method reads its files again; ``options`` say where modules come from.

    >>> import modhub
    >>> pets = modhub.Project.new("pets", ["cifar10/r20:cat", "cifar10/r20:dog"])
    >>> change = pets.add("cifar100/r20:apple", label="fruit")
    >>> pets.compose().classes
    ['cat', 'dog', 'fruit']
    """

    folder: Path
    options: ProjectOptions = field(default_factory=ProjectOptions)

    @classmethod
    def open(
        cls,
        folder: str | Path | None = None,
        *,
        registry: RegistryUrls = None,
        cache: str | Path | None = None,
        offline: bool = False,
        progress: Progress | None = None,
    ) -> Project:
        """The project in ``folder``; by default in this folder or the nearest above it that has one.

        ``registry`` and ``cache`` are used in the place of what the project and the user's configuration name;
        ``offline`` uses the cache alone. ``progress`` is called with what is fetched, bytes done and in all. Raises
        NotFound, kind ``no-project``.
        """
        return cls(find_folder(folder), ProjectOptions(registry, cache, offline, progress))

    @classmethod
    def new(
        cls,
        folder: str | Path,
        refs: Sequence[str] = (),
        *,
        name: str | None = None,
        registry: RegistryUrls = None,
        cache: str | Path | None = None,
        offline: bool = False,
        progress: Progress | None = None,
    ) -> Project:
        """Make a project in ``folder``, which is made where it is missing, of the classes of ``refs``.

        Its name is the folder's by default; the rest is as for ``open``. Raises Conflict, kind ``project-exists``; when
        ``refs`` cannot be had, nothing is made. Where the same call was killed before, it continues from there.
        """
        root = files.absolute(folder)
        if is_there(root) and not is_folder(root):
            raise Conflict(f"{root} is a file.", kind="not-a-folder", hint="choose another name.", path=str(root))
        name = check_label(name if name is not None else root.name)
        check_new_project(root, name)
        text = new_text(name)
        project = cls(root, ProjectOptions(registry, cache, offline, progress))
        session = Session(root, project.options, ProjectState(root, text.encode(), None), is_new=True)
        session.edit(*session.added(refs, None)) if refs else session.commit(text, ())
        return project

    @property
    def file(self) -> ProjectFile:
        """The project file. Raises UsageError, kind ``bad-project``."""
        return self._session().state.file

    @property
    def locked(self) -> LockedProject | None:
        """What the lockfile pins, current or not; None without one. Raises IntegrityError for one changed by hand."""
        return self._session().state.locked

    # Edits

    def add(self, *refs: str, label: str | None = None) -> Change:
        """Add classes after the others; a model without a class adds all of its classes.

        ``label`` is for one class, by default the data set's name for it. Raises Conflict for a label or module that is
        there, and all that finding modules raises.
        """
        if not refs:
            raise UsageError("no module was named.", kind="no-names", hint="name at least one.")
        session = self._session()
        return session.edit(*session.added(refs, label))

    def remove(self, *labels: str) -> Change:
        """Remove classes; a verifying stage goes when fewer than two of its classes are left. Raises NotFound."""
        return self._edit(lambda file: edits.without_classes(file, labels))

    def swap(self, modules: Mapping[str, str], *, match: bool = False) -> Change:
        """Put other modules in the places of classes, by label; labels and places stay.

        ``match`` brings their margins onto the scale of the modules that go, as ``Composite.swap`` does, and writes
        that scale and ``vote = "raw"`` into the project file; where the vote is scaled and all releases record their
        ``margin_scale``, it changes nothing. Raises NotFound, Incompatible.
        """
        session = self._session()
        return session.edit(*session.swapped(modules, matching="needed" if match else "never"))

    def rename(self, labels: Mapping[str, str]) -> Change:
        """Give classes other labels, old to new, all at once. Raises NotFound, Conflict."""
        return self._edit(lambda file: edits.with_labels(file, labels))

    def restrict(self, labels: Sequence[str]) -> Change:
        """Keep these classes only, in this order. Raises NotFound, UsageError."""
        return self._edit(lambda file: edits.with_only(file, labels))

    def verify_with(self, stages: Mapping[tuple[str, ...], Sequence[str]]) -> Change:
        """When the classifier answers one of some classes, let other modules decide between these again.

        ``{("cat", "dog"): ["me/two:cat", "me/two:dog"]}``: one module a class, matched by name where the names are the
        classes', else in order. Takes the place of a stage of the same classes. Raises NotFound, UsageError.
        """
        session = self._session()
        return session.edit(*session.verified(stages))

    def drop_verifier(self, classes: Sequence[str]) -> Change:
        """Remove the verifying stage of exactly these classes. Raises NotFound, kind ``no-stage``."""
        return self._edit(lambda file: edits.without_stage(file, classes))

    def merge(self, other: str | Path) -> Change:
        """Join another project's classes, stages and registries; its short names are written out where ours differ.

        Classes that are the same in both stay once. Raises Conflict for a label that means another module here.
        """
        session, theirs = self._session(), read_state(find_folder(other))
        keep = releases_of(session.state.lock) | releases_of(theirs.lock)
        return session.edit(merged_project(session.state, theirs), keep, comments_of(theirs.text))

    # Locking

    def lock(self, *, data: str | None = None, measure: bool = True) -> Change:
        """Pin everything that the project file asks for; what is locked and still satisfies it stays.

        Measures the accuracy on ``data``, by default what the project file names, unless ``measure`` is False, in the
        project's mode and dtype; where these are not exact, also the agreement with isolated in float32. A lockfile
        that cannot be trusted is made again, with a warning.
        """
        return self._session().relock(data=data, measure=measure)

    def sync(self, *, frozen: bool = False) -> Change:
        """Install what the lockfile pins. When the project file changed, lock again first.

        With ``frozen`` that is refused: Conflict, kind ``lock-outdated``, or NotFound, kind ``no-lock``.
        """
        session = self._session()
        locked = session.current(frozen=frozen)
        if locked is None:
            return session.commit(session.state.text, releases_of(session.state.lock))
        return Change(locked, locked, session.install(locked))

    def would_sync(self, *, frozen: bool = False) -> tuple[Change, list[Forecast]]:
        """What ``sync`` would change and fetch. Writes and fetches nothing; raises as ``sync``."""
        session = self._session()
        before, locked = session.state.locked, session.current(frozen=frozen)
        if locked is None and session.state.file.classes:
            locker = Locker(session.folder, session.places(), session.state.lock)
            locked = locker.locked(session.state.file, keep=releases_of(session.state.lock))
        if locked is None:
            return Change(before, None), []
        places = session.places(or_cached=True)
        return Change(before, locked), forecast(places, places.unlock(Lock.of_project(locked)))

    def upgrade(self, *names: str) -> Change:
        """Choose again within the ranges of the project file: everything, or the models of some labels or names."""
        session = self._session()
        return session.commit(session.state.text, session.kept_beside(names), refresh=True)

    # Using it

    def compose(self, *, frozen: bool = False) -> Composite:
        """The classifier of exactly what is locked, in the mode and dtype locked; synchronised first, as ``sync`` does.

        ``compose().in_mode()`` runs it exactly, whatever the project says.
        """
        session, into = self._session(), VerifiedBlobs()
        locked = session.current(frozen=frozen)
        if locked is None:
            locked = session.commit(session.state.text, releases_of(session.state.lock), into=into).locked
        if locked is None:
            raise empty_project()
        return session.composite(locked, into)

    def build(
        self,
        out: str | Path,
        *,
        frozen: bool = False,
        whole: bool = False,
        data: str | None = None,
        progress: CompactProgress | None = None,
        **compacting: Unpack[CompactKeywords],
    ) -> Composite:
        """Write the classifier as one Keras model, which needs no modhub to load. Equal locks give equal bytes.

        A fused classifier is written as the one network that it is. One in bfloat16 is written in float32, with a
        warning: its modules have no other weights, and bfloat16 is a way to run them. Gives what was written.

        With ``data``, labelled images of its classes, or a budget (``flops=0.5``, and all else that ``modhub.compact``
        takes) it is one compact network of the project's classes, which is kept beside the lockfile and pinned in it
        with its accuracy; without ``data`` those that made the one that is pinned. Later the pinned one is written, and
        nothing is made, as long as the project is the same; a changed project is refused (Conflict, kind
        ``stale-compact``). ``whole`` writes the whole classifier all the same.
        """
        check_place(out)
        if whole and (data is not None or compacting):
            raise UsageError(
                "the whole classifier is asked for, and a compact network.", kind="bad-option", hint="choose one."
            )
        if data is not None or compacting:
            composite = self._compacted(data, CompactSettings(**compacting), progress, frozen=frozen)
        else:
            pinned = None if whole else self._pinned_compact(frozen=frozen)
            composite = self.compose(frozen=frozen) if pinned is None else pinned
        mode, dtype = composite.plan.settings.mode, composite.plan.settings.dtype
        if dtype != "float32":
            warnings.warn(f"the model is written in float32; {dtype} is a way to run modules here.", stacklevel=2)
            composite = composite.in_mode(mode)
        if self.options.before_running is not None:
            self.options.before_running()
        save_model(composite.to_keras(), out, plan_description(composite.plan))
        return composite

    def _compacted(
        self, data: str | None, settings: CompactSettings, progress: CompactProgress | None, *, frozen: bool
    ) -> Composite:
        """One compact network, made where the lock does not pin it already, and pinned."""
        whole = self.compose(frozen=frozen)
        session = self._session()
        locked = session.locked()
        if data is None and locked.compact is None:
            raise UsageError(
                "no images are named of which to make a compact network.",
                kind="no-data",
                hint="name labelled images of the project's classes, such as --data photos/.",
            )
        spec = session.spec_of(data) if data is not None else locked.compact.data if locked.compact else ""
        if self.options.before_running is not None:
            self.options.before_running()
        found = compacted_project(session, locked, whole, CompactWork(spec, settings, progress))
        return pinned_compact(session, found)

    def _pinned_compact(self, *, frozen: bool) -> Composite | None:
        """The compact network that is locked, None where none is. Locks again first, as ``sync`` does."""
        session = self._session()
        locked = session.current(frozen=frozen)
        if locked is None:
            locked = self.sync().locked
        return None if locked is None or locked.compact is None else pinned_compact(session, locked)

    def verify(self, *, measure: bool = True, progress: Callable[[int, int], None] | None = None) -> Replay:
        """Replay the lock: digests in all registries, bytes in the cache, the data's fingerprint, the accuracy.

        What differs is in the result's ``problems``. Raises only what keeps it from looking at all: no lockfile, or one
        that was changed by hand. ``progress`` is called with images done and in all.
        """
        return replayed(self._session(), measure=measure, progress=progress)

    def tree(self) -> views.Tree:
        """Models, their modules under the project's labels, adapters and stages, as locked. Raises NotFound."""
        session = self._session()
        locked, lock = session.locked(), session.state.lock
        pins = () if lock is None else lock.modules
        return views.tree(locked, pins, session.places(or_cached=True), is_locked=session.state.is_locked)

    def releases(self) -> list[tuple[Manifest, tuple[str, ...], str]]:
        """Every release that is locked: its manifest, the classes used of it, and its registry. Raises NotFound."""
        session = self._session()
        session.locked()
        pins = () if session.state.lock is None else session.state.lock.modules
        return views.manifests_of(pins, session.places(or_cached=True))

    def outdated(self) -> list[views.Age]:
        """For each class what is locked, and the newest release in its range and at all. Raises NotFound."""
        session = self._session()
        return views.ages(session.state.file, session.locked(), session.places())

    def _session(self) -> Session:
        return Session(self.folder, self.options, read_state(self.folder))

    def _edit(self, change: Callable[[ProjectFile], ProjectFile]) -> Change:
        session = self._session()
        return session.edit(change(session.state.file), releases_of(session.state.lock))
