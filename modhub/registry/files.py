"""Files that other processes never see half written: the ground under the local store and the cache.

A commit writes a temporary file of its own in the final folder, flushes it to the disk, and gives it its final name in
one step: ``os.link``, which fails when the name is taken, or ``os.replace``. No locks: ``flock`` lies on some network
disks and lock files stay behind. A crash or Ctrl-C leaves at most a temporary file, whose name starts with a dot.

Plain ``os`` and not fsspec, whose local exclusive create is a check followed by a write (8 racing processes had more
than one winner) and which tells neither links nor special files apart while opening. Errors leave as OSError: the
caller knows whether a registry or a cache is in trouble.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modhub.errors import IntegrityError
from modhub.registry.store import check_path, is_path, too_large


def absolute(path: str | Path) -> Path:
    """``path`` from the root of the file system, with ``~`` and ``..`` worked out but links left as they are."""
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow links


def read(root: Path, path: str, *, max_bytes: int) -> bytes:
    """The bytes of ``root/path``. Raises IntegrityError for more than ``max_bytes`` or a link out of ``root``."""
    full = _resolved(root, path)
    # Opening a pipe would wait for ever for its writer, so the file is looked at first.
    if not stat.S_ISREG(full.stat().st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", str(full))
    with full.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise too_large(str(root / path), size=size, max_bytes=max_bytes)
        # Python sets memory aside for all that is asked for, so no more than there is.
        data = file.read(size + 1)
    if len(data) > max_bytes:
        raise too_large(str(root / path), size=None, max_bytes=max_bytes)
    return data


def create(root: Path, path: str, data: bytes, *, durable: bool) -> bool:
    """Commit ``root/path`` unless the name is taken; False when it is. ``durable`` survives a power cut."""
    final = _resolved(root, path, parent_only=True)
    if os.path.lexists(final):
        return False
    with _temporary(final, data, durable=durable) as temporary:
        try:
            os.link(temporary, final)
        except FileExistsError:
            return False
    if durable:
        _flush_folder(final.parent)
    return True


def replace(root: Path, path: str, data: bytes, *, durable: bool) -> None:
    """Commit ``root/path`` over whatever has the name."""
    overwrite(_resolved(root, path, parent_only=True), data, durable=durable)


def overwrite(final: Path, data: bytes, *, durable: bool) -> None:
    """Commit a file whose path is trusted."""
    with _temporary(final, data, durable=durable) as temporary:
        temporary.replace(final)
    if durable:
        _flush_folder(final.parent)


def exists(root: Path, path: str) -> bool:
    return _resolved(root, path).is_file()


def walk(root: Path, prefix: str) -> list[str]:
    """Paths of all files below ``root/prefix``, sorted, without temporary files. A missing folder is empty."""
    start = _resolved(root, prefix) if prefix else root
    if not root.is_dir() and root.exists():
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(root))
    found = []
    for folder, folders, names in os.walk(start, onerror=_raise_unless_gone):
        folders[:] = [name for name in folders if is_path(name)]
        inside = Path(folder).relative_to(root).as_posix()
        found += [name if inside == "." else f"{inside}/{name}" for name in names if is_path(name)]
    return sorted(found)


def _raise_unless_gone(error: OSError) -> None:
    # A prefix that is a file has nothing below it.
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _resolved(root: Path, path: str, *, parent_only: bool = False) -> Path:
    full = root / check_path(path)
    home = os.path.realpath(root)
    real = os.path.realpath(full.parent if parent_only else full)
    if os.path.commonpath([home, real]) != home:
        raise IntegrityError(
            f"{full} is a link that leads out of {root}, to {real}.",
            kind="link-escapes",
            hint="replace the link by the file itself.",
            path=str(full),
            target=real,
        )
    return full


@contextmanager
def _temporary(final: Path, data: bytes, *, durable: bool) -> Iterator[Path]:
    _make_folder(final.parent, durable=durable)
    temporary = final.parent / f".tmp-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _make_folder(folder: Path, *, durable: bool) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, durable=durable)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file stands where a folder must be", str(folder)) from None
    if durable:
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    # Windows cannot open folders, and makes names durable by itself.
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
