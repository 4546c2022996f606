"""Files of the cache: written whole or not at all, linked, touched, set aside; what they mean is known elsewhere.

Any number of processes work in one folder without locks. Whatever is written has a temporary name of its own, starting
with a dot, until it is whole, and gets its final name by a rename. Nothing is flushed to the disk: what a power failure
destroys is noticed by its hash and fetched again. Folders are never removed: another process may be about to write in
one.

What is to be deleted is set aside first, under a name from which it can be put back: see ``modhub.cache.prune``.
Every OSError leaves as a StorageError, but for a file that is not there to be read, which is FileNotFoundError.
"""

# Thousands of small files pass through here, and pathlib costs more than the system calls.
# ruff: noqa: PTH104, PTH105, PTH113, PTH123, PTH208

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from modhub.errors import StorageError
from modhub.storage import files
from modhub.storage.local import FULL
from modhub.storage.store import CHUNK_BYTES, MAX_PATH_SEGMENTS

#: Names of files that are set aside start with this; 16 random digits, a hyphen and the own name follow.
_TRASH: Final = ".trash-"
_TOKEN_BYTES: Final = 8


@dataclass(frozen=True)
class Found:
    """A file as listing sees it: its path in the cache, its size in bytes, when it was touched (seconds since 1970)."""

    path: str
    size: int
    touched: float

    @property
    def is_temporary(self) -> bool:
        return self.path.rpartition("/")[2].startswith(files.TEMPORARY)

    @property
    def set_aside_from(self) -> str | None:
        """The path that a file which is set aside had, None for any other."""
        folder, slash, name = self.path.rpartition("/")
        own = name[len(_TRASH) + 2 * _TOKEN_BYTES + 1 :]
        return folder + slash + own if name.startswith(_TRASH) and own else None


class Folder:
    """The folder of one cache, which is created by the first write."""

    def __init__(self, root: str | Path) -> None:
        self.root = files.absolute(root)
        self._text = str(self.root)
        # Temporary names are unique by process, object and number.
        self._token = secrets.token_hex(_TOKEN_BYTES)
        self._number = count()
        # Folders that were made, or found to be no links out of the cache, by this object.
        self._ready: set[str] = set()

    # Reading

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        """A file's bytes, in pieces. Raises FileNotFoundError, IntegrityError ``too-large`` or ``link-escapes``."""
        with self._explained(path, reading=True):
            yield from files.stream(self.root, path, max_bytes=max_bytes)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """``stream`` in one piece."""
        return b"".join(self.stream(path, max_bytes=max_bytes))

    def exists(self, path: str) -> bool:
        return os.path.isfile(self._full(path))

    def paths(self, prefix: str) -> list[str]:
        """Paths of all files below the folder ``prefix``, sorted, without those being written or set aside."""
        return sorted(path for path, entry in self._below(prefix) if not entry.name.startswith("."))

    def names(self, folder: str) -> list[str]:
        """Names of the files right in a folder, without those being written or set aside; empty without the folder."""
        try:
            return [name for name in os.listdir(self._full(folder)) if not name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._trouble(folder, error) from error

    def find(self, prefix: str) -> list[Found]:
        """All files below the folder ``prefix``, also those being written or set aside, by path."""
        result = []
        for path, entry in self._below(prefix):
            with suppress(FileNotFoundError), self._explained(path, reading=True):
                found = entry.stat(follow_symlinks=False)
                result.append(Found(path, found.st_size, found.st_mtime))
        return sorted(result, key=lambda found: found.path)

    def now(self) -> float:
        """The time by the clock of this file system, to compare ``touched`` with (seconds since 1970)."""
        temporary = self._temporary_beside("")
        with self._explained(""):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                return os.fstat(descriptor).st_mtime
            finally:
                os.close(descriptor)
                files.remove(temporary)

    def _below(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """All regular files below a folder and their paths. Links are none, wherever they lead."""
        with self._explained(prefix):
            yield from _walk(files.resolved(self.root, prefix), prefix, self._text)

    # Writing

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Commit a file over whatever has the name. When ``chunks`` raises, nothing is left behind."""
        temporary, descriptor = self._begin(path)
        try:
            try:
                for chunk in chunks:
                    self._append(descriptor, chunk, path)
            finally:
                os.close(descriptor)
            self._rename(temporary, path)
        except BaseException:
            files.remove(temporary)
            raise

    def link(self, path: str, source: str, size: int, check: Callable[[Iterator[bytes]], bool]) -> bool:
        """Commit one more name of the file ``source``, when it has ``size`` bytes and ``check`` says yes to them.

        False where that cannot be: another file system, one without hard links, no right to the file, not a file.
        """
        temporary = self._temporary_beside(path)
        try:
            self._make(path.rpartition("/")[0])
            os.link(source, temporary)
            found = os.lstat(temporary)
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            os.utime(temporary)
            if not check(_pieces(temporary)):
                return False
            os.replace(temporary, self._full(path))
        except OSError:
            return False
        finally:
            # Renaming does nothing when both are names of one file already, as after a race of two installers.
            files.remove(temporary)
        return True

    def touch(self, path: str) -> bool:
        """Make a file young, so that no pruning takes it. False when it is not there."""
        try:
            os.utime(self._full(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            # Another user's file, or a cache on a disk that cannot be written: the file is still good, only as old as
            # before.
            return self.exists(path)
        return True

    # Deleting

    def set_aside(self, path: str, *, before: float) -> Found | None:
        """Take a file's name away without deleting it, unless it is gone or was touched since ``before``."""
        folder, slash, name = path.rpartition("/")
        aside = f"{folder}{slash}{_TRASH}{secrets.token_hex(_TOKEN_BYTES)}-{name}"
        with self._explained(path):
            try:
                if os.lstat(self._full(path)).st_mtime >= before:
                    return None
                os.rename(self._full(path), self._full(aside))
                found = os.lstat(self._full(aside))
            except FileNotFoundError:
                return None
        return Found(aside, found.st_size, found.st_mtime)

    def put_back(self, aside: Found) -> None:
        """Give a file that was set aside its name again, unless a new one has taken it or another process was
        faster."""
        path = aside.set_aside_from
        assert path is not None
        with self._explained(path):
            try:
                os.link(self._full(aside.path), self._full(path))
            except FileExistsError:
                pass
            except FileNotFoundError:
                return
            except OSError:
                # No hard links here. What this could overwrite has the same name, so the same content.
                with suppress(FileNotFoundError):
                    os.rename(self._full(aside.path), self._full(path))
                return
        self.remove(aside.path)

    def remove(self, path: str) -> None:
        with self._explained(path):
            files.remove(self._full(path))

    def _full(self, path: str) -> str:
        # No path is checked here: the callers check the parts that they make paths of.
        return f"{self._text}/{path}"

    def _temporary_beside(self, path: str) -> str:
        name = f"{files.TEMPORARY}{os.getpid()}-{self._token}-{next(self._number)}"
        return self._full(path[: path.rfind("/") + 1] + name)

    def _begin(self, path: str) -> tuple[str, int]:
        """A new temporary file in the folder of ``path``, and its descriptor."""
        folder = path.rpartition("/")[0]
        temporary = self._temporary_beside(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self._make(folder)
            try:
                return temporary, os.open(temporary, flags, 0o666)
            except FileNotFoundError:
                # The folder was removed since this object made it.
                self._ready.clear()
                self._make(folder)
                return temporary, os.open(temporary, flags, 0o666)
        except OSError as error:
            raise self._trouble(path, error) from error

    def _append(self, descriptor: int, data: bytes, path: str) -> None:
        rest = memoryview(data)
        try:
            while rest:
                # One call writes at most 2 GiB.
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            raise self._trouble(path, error) from error

    def _rename(self, temporary: str, path: str) -> None:
        try:
            os.replace(temporary, self._full(path))
        except OSError as error:
            raise self._trouble(path, error) from error

    def _make(self, folder: str) -> None:
        """Create a folder of the cache and those above it. Raises IntegrityError for a link out of the cache."""
        if folder in self._ready:
            return
        if not folder:
            files.make_folder(self._text)
        else:
            self._make(folder.rpartition("/")[0])
            if not files.make_folder(self._full(folder)):
                files.resolved(self.root, folder)
        self._ready.add(folder)

    @contextmanager
    def _explained(self, path: str, *, reading: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if reading and isinstance(error, FileNotFoundError):
                raise
            raise self._trouble(path, error) from error

    def _trouble(self, path: str, error: OSError) -> StorageError:
        full = error.errno in FULL
        place = str(self.root / path)
        return StorageError(
            f"the cache cannot use {place}: {error.strerror or error}.",
            kind="no-space" if full else "storage",
            hint=("free some space on that disk, or set" if full else "set") + " MODHUB_CACHE to another folder.",
            path=place,
        )


def _walk(folder: str, prefix: str, root: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    # No recursion, and nothing deeper than any path of ours: folders nested by the thousand stop nothing.
    waiting = [(folder, prefix)]
    while waiting:
        inside, before = waiting.pop()
        try:
            entries = list(os.scandir(inside))
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            if os.path.isfile(root):
                raise
            continue
        for entry in entries:
            path = f"{before}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if path.count("/") < MAX_PATH_SEGMENTS:
                    waiting.append((entry.path, path))
            elif entry.is_file(follow_symlinks=False):
                yield path, entry


def _pieces(full: str) -> Iterator[bytes]:
    with open(full, "rb", buffering=0) as file:
        # Python sets memory aside for all that is asked for, so no more than there is.
        piece = min(os.fstat(file.fileno()).st_size + 1, CHUNK_BYTES)
        while data := file.read(piece):
            yield data
