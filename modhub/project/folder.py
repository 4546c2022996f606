"""A project's two files on disk: found, read, and written so that a crash leaves what ``sync`` repairs.

Order of writes: the lockfile, then the project file; each in one step. Whoever dies between the two leaves the project
file as it was beside a lock of something else, which the digest of its requests tells; ``sync`` then locks again what
the project file says. Where the second write fails, the first is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from modhub.errors import Conflict, IntegrityError, NotFound, StorageError, UsageError
from modhub.limits import MAX_LOCK_BYTES
from modhub.project.manifest import LOCK_FILE, PROJECT_FILE, ProjectFile, read_project
from modhub.resolve.lockfile import Lock, LockedProject, read_lock
from modhub.storage import files


@dataclass(frozen=True)
class ProjectState:
    """What the files of a project in ``folder`` held when they were read; None for a lockfile that was not there."""

    folder: Path
    data: bytes
    lock_data: bytes | None

    @property
    def text(self) -> str:
        return self.data.decode("utf-8")

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
        if folder.name == PROJECT_FILE and folder.is_file():
            folder = folder.parent
        candidates = [folder]
    else:
        folder = Path.cwd()
        candidates = [folder, *folder.parents]
    for candidate in candidates:
        if (candidate / PROJECT_FILE).is_file():
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
        data.decode("utf-8")
    except UnicodeDecodeError:
        read_project(data, what=str(folder / PROJECT_FILE))
    return ProjectState(folder, data, _read(folder / LOCK_FILE))


def write_state(before: ProjectState | None, folder: Path, text: str, lock: Lock | None) -> None:
    """Write both files; a project without classes has no lockfile. What is the same already is left alone.

    Raises Conflict, kind ``changed-meanwhile``, when somebody else changed the project file since ``before`` was read,
    and StorageError, after which both files are as they were.
    """
    if before is not None and _read(folder / PROJECT_FILE) != before.data:
        raise Conflict(
            f"{folder / PROJECT_FILE} was changed by somebody else meanwhile.",
            kind="changed-meanwhile",
            hint="try again.",
        )
    path, lock_path = folder / PROJECT_FILE, folder / LOCK_FILE
    lock_before = None if before is None else before.lock_data
    lock_data = None if lock is None else lock.to_text().encode()
    data = text.encode()
    _put(lock_path, lock_data, lock_before)
    try:
        _put(path, data, None if before is None else before.data)
    except StorageError:
        _put(lock_path, lock_before, lock_data)
        raise


def _put(path: Path, data: bytes | None, before: bytes | None) -> None:
    if data == before:
        return
    try:
        if data is None:
            files.remove(str(path))
        else:
            # A file that is a link to one elsewhere stays a link.
            files.overwrite(path.resolve(), data, durable=True)
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
