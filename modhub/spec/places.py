"""Looking at what a user's path names: a name that no file system takes is an error of the call, not of the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modhub.errors import UsageError, plain


def is_file(path: str | Path) -> bool:
    """Whether a file is there. Raises UsageError, kind ``unusable-path``, where nobody can look."""
    return _looked(path, Path.is_file)


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there. Raises as ``is_file``."""
    return _looked(path, Path.is_dir)


def is_there(path: str | Path) -> bool:
    """Whether anything is there. Raises as ``is_file``."""
    return _looked(path, Path.exists)


def _looked(path: str | Path, look: Callable[[Path], bool]) -> bool:
    try:
        return look(Path(path))
    except OSError as error:
        raise UsageError(
            f"{plain(str(path))} cannot be used: {error.strerror or error}.",
            kind="unusable-path",
            hint="name another place, or get the right to use it.",
            path=str(path),
        ) from error
