"""Making files and names survive a power failure, with as few flushes of the disk as the system allows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from modhub.storage.parallel import each

#: From so many files on, one flush of the whole file system is cheaper than one for each of them.
_MANY: Final = 8
_AT_ONCE: Final = 16


def flush(path: str) -> None:
    """Wait until what a file, or the names in a folder, say is on the disk."""
    # Windows cannot open folders, and makes names durable by itself.
    if os.name != "posix" and os.path.isdir(path):
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_together(root: str, paths: Sequence[str]) -> None:
    """``flush`` for many files or folders below ``root``, all on one file system."""
    if len(paths) < _MANY or not _flush_file_system(root):
        each(flush, paths, at_once=_AT_ONCE)


def _flush_file_system(root: str) -> bool:
    """Flush the file system that holds ``root``; False where that is not to be had."""
    sync = _syncfs()
    if sync is None:
        return False
    descriptor = os.open(root, os.O_RDONLY)
    try:
        return sync(descriptor) == 0
    finally:
        os.close(descriptor)


@cache
def _syncfs() -> Callable[[int], int] | None:
    # The one flush that Python's os module does not have. It waits for the data and reports write errors (Linux 5.8).
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # needed only where much is written

    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function
