"""A project's two files on disk: found, read, and written so that a crash leaves what ``sync`` repairs.

Order of writes: the lockfile, then the project file; each in one step. A crash between the two leaves the project
file as it was beside a lock of something else, which the digest of its requests shows; ``sync`` then locks again what
the project file says. Where the second write fails, the first is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from modhub.errors import Conflict, Incompatible, IntegrityError, NotFound, StorageError, UsageError
from modhub.installation.lockfile import Lock, LockedProject, read_lock
from modhub.limits import MAX_LOCK_BYTES
from modhub.project.manifest import LOCK_FILE, PROJECT_FILE, ProjectFile, read_project
from modhub.spec.places import is_file
from modhub.spec.text import bytes_like, text_of
from modhub.spec.url import holds_secrets
from modhub.storage import files


@dataclass(frozen=True)
class ProjectState:
    """What the files of a project in ``folder`` held when they were read; None for a lockfile that was not there."""

    folder: Path
    data: bytes
    lock_data: bytes | None

    @property
    def text(self) -> str:
        return text_of(self.data)

    @cached_property
    def file(self) -> ProjectFile:
        """Raises UsageError, kind ``bad-project``."""
        return read_project(self.data, what=str(self.folder / PROJECT_FILE))

    @cached_property
    def lock(self) -> Lock | None:
        """Raises IntegrityError for a lockfile that was changed by hand or is damaged, Incompatible for a newer one."""
        if self.lock_data is None:
            return None
        try:
            return read_lock(self.lock_data, what=f"the lockfile {self.folder / LOCK_FILE}")
        except IntegrityError as error:
            hint = "lock the project again: modhub lock"
            raise IntegrityError(error.message, kind=error.kind, hint=hint, **error.data) from error

    @property
    def locked(self) -> LockedProject | None:
        """What the lockfile says of the project; None for none, and for one of names alone."""
        return None if self.lock is None else self.lock.project

    @property
    def is_locked(self) -> bool:
        """Whether the lockfile is one of what the project file asks for."""
        return self.locked is not None and self.locked.requests == self.file.digest


def find_folder(start: str | Path | None) -> Path:
    """The nearest folder with a project file: ``start`` itself, or, by default, this folder and those above it.

    Raises NotFound, kind ``no-project``.
    """
    if start is not None:
        folder = files.absolute(start)
        if folder.name == PROJECT_FILE and is_file(folder):
            folder = folder.parent
        candidates = [folder]
    else:
        folder = Path.cwd()
        candidates = [folder, *folder.parents]
    for candidate in candidates:
        if is_file(candidate / PROJECT_FILE):
            return candidate
    where = f"in {folder}" if start is not None else f"in {folder}, nor in a folder above it"
    raise NotFound(
        f"there is no {PROJECT_FILE} {where}.",
        kind="no-project",
        hint="make a project with modhub new NAME, or name its folder with --project DIR.",
        path=str(folder),
    )


def read_state(folder: Path) -> ProjectState:
    """Both files. Raises UsageError when the project file cannot be read."""
    data = _read(folder / PROJECT_FILE)
    if data is None:
        raise NotFound(f"there is no {folder / PROJECT_FILE}.", kind="no-project", path=str(folder))
    try:
        text_of(data)
    except UnicodeDecodeError:
        read_project(data, what=str(folder / PROJECT_FILE))
    return ProjectState(folder, data, _read(folder / LOCK_FILE))


def check_new_project(folder: Path, name: str) -> None:
    """Raise Conflict, kind ``project-exists``, where no project ``name`` can be made, before anything is looked up.

    What a project of that name that was not finished left behind is not in the way; ``write_state`` looks closer.
    """
    data, lock_data = _read(folder / PROJECT_FILE), _read(folder / LOCK_FILE)
    try:
        if data is not None and read_project(data).project.name != name:
            raise _project_exists(folder, PROJECT_FILE)
    except UsageError as error:
        raise _project_exists(folder, PROJECT_FILE) from error
    if lock_data is not None and _requests_of(lock_data) is None:
        raise _project_exists(folder, LOCK_FILE)


def write_state(before: ProjectState | None, folder: Path, text: str, lock: Lock | None) -> None:
    """Write both files; a project without classes has no lockfile. What is the same already is left alone.

    ``before`` is None for a new project. Raises Conflict, kind ``changed-meanwhile``, when somebody else changed the
    project file since ``before`` was read, or ``project-exists`` when a new project is not the one that is there
    unfinished; and StorageError, after which both files are as they were.
    """
    if before is None:
        data, lock_data = _read(folder / PROJECT_FILE), _read(folder / LOCK_FILE)
        if data is not None and data != text.encode():
            raise _project_exists(folder, PROJECT_FILE)
        wanted = None if lock is None or lock.project is None else lock.project.requests
        if lock_data is not None and (wanted is None or _requests_of(lock_data) != wanted):
            raise _project_exists(folder, LOCK_FILE)
        before = None if data is lock_data is None else ProjectState(folder, data or b"", lock_data)
    elif _read(folder / PROJECT_FILE) != before.data:
        raise Conflict(
            f"{folder / PROJECT_FILE} was changed by somebody else meanwhile.",
            kind="changed-meanwhile",
            hint="try again.",
        )
    path, lock_path = folder / PROJECT_FILE, folder / LOCK_FILE
    lock_before = None if before is None else before.lock_data
    lock_data = None if lock is None else lock.to_text().encode()
    data = text.encode() if before is None or not before.data else _as_before(text, before)
    _put(lock_path, lock_data, lock_before)
    try:
        _put(path, data, None if before is None else before.data)
    except StorageError:
        _put(lock_path, lock_before, lock_data)
        raise


def _as_before(text: str, before: ProjectState) -> bytes:
    """The project file's bytes for ``text``: as they are where nothing changed, else written as they were written."""
    return before.data if text == before.text else bytes_like(text, before.data)


def _requests_of(lock_data: bytes) -> str | None:
    """The digest of the requests that a project's lockfile answers; None for one that is damaged, or of names alone."""
    try:
        project = read_lock(lock_data, what=LOCK_FILE).project
    except (IntegrityError, Incompatible):
        return None
    return None if project is None else project.requests


def _project_exists(folder: Path, file: str) -> Conflict:
    return Conflict(
        f"there is a {file} in {folder} already.",
        kind="project-exists",
        hint="add classes to it with modhub add, or choose another folder."
        if file == PROJECT_FILE
        else "it pins something else: move it away if you need it, delete it if you do not; or choose another folder.",
        path=str(folder),
    )


def _put(path: Path, data: bytes | None, before: bytes | None) -> None:
    if data == before:
        return
    try:
        if data is None:
            files.remove(str(path))
        else:
            files.overwrite(path, data, durable=True, private=holds_secrets(data))
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="free the disk or get the right to write there; nothing was changed.",
            path=str(path),
        ) from error


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_LOCK_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or error}.",
            kind="unreadable-project",
            hint="get the right to read it, or name another folder with --project DIR.",
            path=str(path),
        ) from error
