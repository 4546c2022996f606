"""Files that other processes never see half written: the ground under the local store and the cache.

A commit writes a temporary file of its own in the final folder, flushes it to the disk, and gives it its final name in
one step: ``os.link``, which fails when the name is taken, or ``os.replace``. No locks: ``flock`` lies on some network
disks and lock files stay behind. A crash or Ctrl-C leaves at most temporary files, whose names start with a dot.

Plain ``os`` and not fsspec, whose local exclusive create is a check followed by a write (8 racing processes had more
than one winner) and which tells neither links nor special files apart while opening. Errors leave as OSError: the
caller knows whether a registry or a cache is in trouble. Paths are strings here: thousands of small files pass through,
and pathlib costs more than the system calls.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from modhub.errors import IntegrityError, UsageError
from modhub.storage.fsync import flush, flush_together
from modhub.storage.store import CHUNK_BYTES, Payload, check_path, is_path, too_large
from modhub.storage.trees import files_below, remove_tree

TEMPORARY: Final = ".tmp-"


def absolute(path: str | Path) -> Path:
    """``path`` from the root of the file system, with ``~`` and ``..`` worked out but links left as they are."""
    return Path(os.path.abspath(expanded(path)))


def expanded(path: str | Path) -> Path:
    """``path`` with ``~`` as the home folder it stands for. Raises UsageError when there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{str(path)!r} begins with a home folder that does not exist.",
            kind="bad-path",
            hint="write the path in full.",
            path=str(path),
        ) from error


def visible(folder: Path) -> list[Path]:
    """What lies in ``folder`` but for hidden files, among which are those that macOS writes beside others (``._*``)."""
    return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]


def read(root: Path, path: str, *, max_bytes: int) -> bytes:
    """The bytes of ``root/path``. Raises IntegrityError for more than ``max_bytes`` or a link out of ``root``."""
    return b"".join(stream(root, path, max_bytes=max_bytes))


def stream(root: Path, path: str, *, max_bytes: int) -> Iterator[bytes]:
    """As ``read``, in pieces; the file is opened, and refused, before the first one."""
    full = resolved(root, path)
    # Opening a pipe would wait for ever for its writer, so the file is looked at first.
    found = os.stat(full)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", full)
    if found.st_size > max_bytes:
        raise too_large(f"{root}/{path}", size=found.st_size, max_bytes=max_bytes)
    with open(full, "rb", buffering=0) as file:
        left = max_bytes
        # Python sets memory aside for all that is asked for, so no more than there is.
        piece = min(found.st_size + 1, CHUNK_BYTES)
        while data := file.read(piece):
            left -= len(data)
            if left < 0:
                raise too_large(f"{root}/{path}", size=None, max_bytes=max_bytes)
            yield data


def create(root: Path, path: str, data: Payload, *, durable: bool) -> bool:
    """Commit ``root/path`` unless the name is taken; False when it is. ``durable`` survives a power failure."""
    final = resolved(root, path, parent_only=True)
    if os.path.lexists(final):
        return False
    with _temporary(final, data, durable=durable) as temporary:
        created = _named(temporary, final)
    if created and durable:
        flush(os.path.dirname(final))
    return created


def create_all(root: Path, objects: Mapping[str, Payload]) -> dict[str, bool]:
    """``create`` for many, durable, with two flushes for all of them instead of two for each."""
    finals = {path: resolved(root, path, parent_only=True) for path in objects}
    written: dict[str, str] = {}
    folders: set[str] = set()
    created = dict.fromkeys(objects, False)
    with ExitStack() as cleaning:
        for path, data in objects.items():
            if not os.path.lexists(finals[path]):
                written[path] = _temporary_name(finals[path])
                cleaning.callback(remove, written[path])
                folders.update(_write(written[path], data))
        if written:
            flush_together(str(root), list(written.values()))
        for path, temporary in written.items():
            created[path] = _named(temporary, finals[path])
        folders.update(os.path.dirname(finals[path]) for path in written)
        if written:
            flush_together(str(root), sorted(folders))
    return created


def replace(root: Path, path: str, data: Payload, *, durable: bool) -> None:
    """Commit ``root/path`` over whatever has the name."""
    _replace(resolved(root, path, parent_only=True), data, durable=durable)


def overwrite(final: str | Path, data: Payload, *, durable: bool, private: bool = False) -> None:
    """Commit a file of the user's own, whose path is trusted. A link stays one: what it leads to is replaced.

    A file that stands there keeps its permissions and, where the system lets us, its owner and group; a new one is its
    owner's alone when it is ``private``. Raises PermissionError for a file that is read-only.
    """
    final = os.path.realpath(final)
    try:
        before = os.stat(final)
    except FileNotFoundError:
        _replace(final, data, durable=durable, mode=0o600 if private else 0o666)
        return
    if not stat.S_ISREG(before.st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", final)
    # A process that may do everything, as root, respects a file without any such permission all the same.
    if not before.st_mode & 0o222 or not os.access(final, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only", final)
    _replace(final, data, durable=durable, mode=0o600, before=before)


def _replace(
    final: str, data: Payload, *, durable: bool, mode: int = 0o666, before: os.stat_result | None = None
) -> None:
    temporary = _temporary_name(final)
    try:
        _prepare(temporary, data, durable=durable, mode=mode)
        if before is not None:
            _permit_as(temporary, before)
        # The last change on the disk: a process that dies after it has left nothing to do.
        os.replace(temporary, final)
    except BaseException:
        remove(temporary)
        raise
    if durable:
        flush(os.path.dirname(final))


def _permit_as(path: str, before: os.stat_result) -> None:
    """Give ``path`` the owner and the permissions of the file that was ``before``."""
    mode = stat.S_IMODE(before.st_mode)
    if os.name == "posix":
        own = os.stat(path)
        if (own.st_uid, own.st_gid) != (before.st_uid, before.st_gid):
            try:
                os.chown(path, before.st_uid, before.st_gid)
            except OSError:
                # It stays ours; another group is not the one that the permissions were meant for.
                mode &= 0o777 if own.st_gid == before.st_gid else 0o707
    os.chmod(path, mode)


@contextmanager
def replacing(final: str | Path) -> Iterator[IO[bytes]]:
    """A new file to be written in pieces; it takes the name ``final``, a trusted path, once all of it is on the disk.

    When the block raises, whatever has that name stays as it is. Raises OSError.
    """
    final = os.path.abspath(final)
    temporary = _temporary_name(final)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
        flush(temporary)
        os.replace(temporary, final)
        flush(os.path.dirname(final))
    finally:
        remove(temporary)


def put_in_place(scratch: Path, final: Path) -> None:
    """Give a finished file or folder its final name; paths are trusted and on one disk. Raises OSError.

    A folder cannot replace another in one step: the old one stands beside ``scratch`` until the new one has its name,
    and gets it back when that fails. What is given its name over a file, or over nothing, is so in one step.
    """
    if not final.is_dir():
        scratch.replace(final)
        return
    old = scratch.with_name(f"{scratch.name}.old")
    try:
        final.rename(old)
        scratch.rename(final)
    finally:
        # Whatever came in between, Ctrl-C included, one of both has the name.
        if not final.exists():
            old.rename(final)
    if old.is_symlink():
        # What a link led to was never in the way, and stays.
        remove(str(old))
    remove_tree(old)


def delete(root: Path, path: str) -> None:
    """Remove ``root/path``; not finding it is fine."""
    remove(resolved(root, path, parent_only=True))


def remove(full: str) -> None:
    """Remove a file whose path is trusted; not finding it is fine."""
    try:
        os.unlink(full)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return


def exists(root: Path, path: str) -> bool:
    return os.path.isfile(resolved(root, path))


def modified(root: Path, path: str) -> float:
    """When ``root/path`` was last written, in seconds since 1970, by the clock of the file system."""
    found = os.stat(resolved(root, path))
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", f"{root}/{path}")
    return found.st_mtime


def walk(root: Path, prefix: str) -> list[str]:
    """Paths of all files below ``root/prefix``, sorted, without temporary files. A missing folder is empty."""
    # In this order, so that another process that creates the folder at this moment is no error.
    if is_no_folder(root):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(root))
    start = resolved(root, prefix) if prefix else str(root)
    return sorted(path for path, _ in files_below(start, f"{prefix}/" if prefix else "") if is_path(path))


def is_no_folder(root: Path) -> bool:
    """Whether something else than a folder has this name. Nothing has a name that the file system does not know."""
    return os.path.exists(root) and not os.path.isdir(root)


def leftovers(root: Path, before: float) -> list[str]:
    """Full paths of temporary files below ``root`` that were last touched before then (seconds since 1970)."""
    found = []
    for _, entry in files_below(str(root), "", hidden=True):
        try:
            if entry.name.startswith(TEMPORARY) and entry.stat(follow_symlinks=False).st_mtime < before:
                found.append(entry.path)
        except FileNotFoundError:
            continue
    return sorted(found)


def resolved(root: Path, path: str, *, parent_only: bool = False) -> str:
    """The full path of ``root/path``. Raises IntegrityError for a bad path and for a link out of ``root``."""
    inside = str(root)
    parts = check_path(path).split("/")
    full = f"{inside}/{path}"
    linked = False
    for part in parts[:-1] if parent_only else parts:
        inside = f"{inside}/{part}"
        linked = linked or os.path.islink(inside)
    if linked:
        home, real = os.path.realpath(root), os.path.realpath(inside)
        if os.path.commonpath([home, real]) != home:
            raise IntegrityError(
                f"{full} is a link that leads out of {root}, to {real}.",
                kind="link-escapes",
                hint="replace the link by the file itself.",
                path=full,
                target=real,
            )
    return full


def _named(temporary: str, final: str) -> bool:
    try:
        os.link(temporary, final)
    except FileExistsError:
        return False
    return True


@contextmanager
def _temporary(final: str, data: Payload, *, durable: bool) -> Iterator[str]:
    temporary = _temporary_name(final)
    try:
        _prepare(temporary, data, durable=durable)
        yield temporary
    finally:
        remove(temporary)


def _prepare(temporary: str, data: Payload, *, durable: bool, mode: int = 0o666) -> None:
    changed = _write(temporary, data, mode)
    if durable:
        for name in (temporary, *changed):
            flush(name)


def _temporary_name(final: str) -> str:
    return f"{os.path.dirname(final)}/{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"


def _write(temporary: str, data: Payload, mode: int = 0o666) -> list[str]:
    """Write a new file, and give the folders that changed because folders had to be made for it."""
    changed: list[str] = []

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags, mode)

    try:
        file = open(temporary, "xb", buffering=0, opener=opener)  # noqa: SIM115 - closed below, whichever opened it
    except FileNotFoundError:
        changed = make_folder(os.path.dirname(temporary))
        file = open(temporary, "xb", buffering=0, opener=opener)  # noqa: SIM115
    with file:
        if isinstance(data, Path):
            with data.open("rb") as source:
                shutil.copyfileobj(source, file, CHUNK_BYTES)
            return changed
        rest = memoryview(data)
        while rest:
            # One call writes at most 2 GiB.
            rest = rest[file.write(rest) :]
    return changed


def make_folder(folder: str) -> list[str]:
    """Create a folder and those above it; gives the folders that got a new entry.

    Raises NotADirectoryError when a file has the name of one of them.
    """
    missing = [folder]
    while True:
        try:
            changed = _made(missing[-1])
            break
        except FileNotFoundError:
            above = os.path.dirname(missing[-1])
            if above in ("", missing[-1]):
                raise
            missing.append(above)
    # Some file systems, /proc for one, say so again although the folder above is there.
    return changed + [one for each in reversed(missing[:-1]) for one in _made(each)]


def make_private_folder(folder: str | Path) -> None:
    """Create a folder that only its owner can enter, whatever the umask; one that stands there stays as it is."""
    folder = os.path.realpath(folder)
    if os.path.isdir(folder):
        return
    make_folder(os.path.dirname(folder))
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return
    os.chmod(folder, 0o700)


def _made(folder: str) -> list[str]:
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise NotADirectoryError(errno.ENOTDIR, "a file stands where a folder must be", folder) from None
        return []
    return [os.path.dirname(folder)]
