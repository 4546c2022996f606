"""What an audit looks at: projects, lockfiles, names, or all that is installed, as pinned modules with their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modhub.advisories.findings import AuditSource, IgnoredFinding
from modhub.errors import NotFound
from modhub.installation.context import Places, RegistryUrls, load_lock
from modhub.installation.lockfile import Lock
from modhub.project.folder import find_folder, read_state
from modhub.project.manifest import LOCK_FILE, PROJECT_FILE
from modhub.project.session import ProjectOptions, Session
from modhub.resolve.catalog import Pinned, all_modules
from modhub.spec.places import is_file, is_folder
from modhub.spec.toml_read import line_of

#: What an audit can be asked about: a name, or the path of a project or a lockfile.
Auditable = str | Path


@dataclass(frozen=True)
class AuditedModules:
    """The modules of one source, with the project's labels of each, and where to ask about them."""

    source: AuditSource
    pins: tuple[Pinned, ...]
    places: Places
    labels: dict[Pinned, tuple[str, ...]]
    ignored: tuple[IgnoredFinding, ...] = ()
    allow: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AuditPlaces:
    """Where to ask, in the place of what projects and the configuration say; ``offline``: the cache alone."""

    registry: RegistryUrls = None
    cache: str | Path | None = None
    offline: bool = False

    def open(self) -> Places:
        """Registries that cannot be read are stood in for: the cache may know what they said."""
        return Places.open(self.registry, self.cache, offline=self.offline, locked=True)


def audited(targets: Sequence[Auditable], places: AuditPlaces) -> list[AuditedModules]:
    """The modules of every target; without any those of the project here or above, else all that is installed.

    Raises NotFound, IntegrityError, RegistryUnreachable for a name that nobody knows.
    """
    if not targets:
        try:
            return [_of_project(find_folder(None), places)]
        except NotFound as error:
            if error.kind != "no-project":
                raise
            return [_of_cache(places)]
    found, names = [], []
    for target in targets:
        path = Path(target)
        if is_file(path / PROJECT_FILE) or (path.name == PROJECT_FILE and is_file(path)):
            found.append(_of_project(find_folder(path), places))
        elif is_file(path) or (is_folder(path) and is_file(path / LOCK_FILE)):
            found.append(_of_lock(path if is_file(path) else path / LOCK_FILE, places))
        else:
            names.append(str(target))
    if names:
        opened = Places.open_or_cached(places.registry, places.cache) if not places.offline else places.open()
        pins = tuple(all_modules(opened.resolve(names, even_yanked=True)))
        found.append(AuditedModules(AuditSource("the names given"), pins, opened, {}))
    return found


def _of_project(folder: Path, places: AuditPlaces) -> AuditedModules:
    state = read_state(folder)
    options = ProjectOptions(places.registry, places.cache, offline=places.offline)
    session = Session(folder, options, state)
    locked, file = session.locked(), state.file
    lines = tuple((label, line_of(state.text, ("classes", label))) for label in file.classes)
    labels: dict[Pinned, list[str]] = {}
    for label, pin in locked.classes:
        labels.setdefault(pin, []).append(label)
    opened = Places.open(session.registry(), places.cache, offline=places.offline, locked=True)
    return AuditedModules(
        AuditSource(str(folder / PROJECT_FILE), str(folder / PROJECT_FILE), lines),
        Lock.of_project(locked).modules,
        opened,
        {pin: tuple(own) for pin, own in labels.items()},
        tuple(IgnoredFinding(each.id, each.until, each.reason) for each in file.ignore),
        file.licenses.allow,
    )


def _of_lock(file: Path, places: AuditPlaces) -> AuditedModules:
    lock = load_lock(file)
    labels: dict[Pinned, tuple[str, ...]] = {}
    if lock.project is not None:
        labels = {pin: (label,) for label, pin in lock.project.classes}
    return AuditedModules(AuditSource(str(file), str(file.absolute())), lock.modules, places.open(), labels)


def _of_cache(places: AuditPlaces) -> AuditedModules:
    opened = places.open()
    pins = tuple(Pinned(each.ref, each.name, each.digest, each.registry) for each in opened.cache.installed())
    return AuditedModules(AuditSource("the cache"), pins, opened, {})
