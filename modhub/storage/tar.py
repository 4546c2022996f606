"""Plain tar files that hold verified things: written the same for the same content, read as if they were hostile.

Only plain files are members, uncompressed, and no header depends on times or owners. While one is read, names, kinds
and sizes are looked at before any byte of a member, and ``tarfile`` never gets more bytes than a header can have.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from modhub.errors import IntegrityError, StorageError, UsageError, plain, shown
from modhub.limits import KIB
from modhub.storage import files
from modhub.storage.store import CHUNK_BYTES

#: Bytes of one header with all that belongs to it, such as a long name.
_HEADER_BYTES: Final = 4 * KIB
_BLOCK: Final = tarfile.BLOCKSIZE
#: Where a header says that it is one.
_MAGIC: Final = slice(257, 265)
#: How other files begin that people may take for one of ours.
_OTHERS: Final[Mapping[bytes, str]] = {b"PK": "zip", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class ArchiveKind:
    """How messages speak of one kind of archive.

    ``kind`` and ``broken_kind``: of the errors for another file and for a damaged one; ``written_by`` names what writes
    one; ``again`` is the hint for a damaged one; ``example`` is a file name.
    """

    kind: str
    broken_kind: str
    written_by: str
    again: str
    example: str

    def unusable(self, path: Path, reason: str) -> UsageError:
        """The error for a file that is none of this kind."""
        return UsageError(
            f"{path} {reason}.", kind=self.kind, hint=f"name a file that {self.written_by} wrote.", path=str(path)
        )

    def broken(self, path: Path, reason: str) -> IntegrityError:
        """The error for one that is damaged or incomplete."""
        return IntegrityError(f"{path} {reason}.", kind=self.broken_kind, hint=self.again, path=str(path))


class ChunkFile(io.RawIOBase):
    """Pieces of bytes as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class BoundedFile:
    """A file as ``tarfile`` may read it: no more than ``allowance`` bytes until that is set again.

    Headers say how many bytes belong to them, and may be wrong about that.
    """

    def __init__(self, file: IO[bytes], path: Path, kind: ArchiveKind) -> None:
        self.path = path
        self.kind = kind
        self._file = file
        self.tell, self.seek = file.tell, file.seek
        self.size = os.fstat(file.fileno()).st_size
        self.allowance = _HEADER_BYTES

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self.allowance:
            raise self.broken("has a header that is no good")
        data = self._file.read(count)
        self.allowance -= len(data)
        return data

    def stream(self, name: str, offset: int, size: int) -> Iterator[bytes]:
        """The ``size`` bytes of the member ``name``, which begin at ``offset``. Raises IntegrityError where it ends."""
        self.seek(offset)
        self.allowance = left = size
        while left:
            data = self.read(min(left, CHUNK_BYTES))
            if not data:
                raise self.broken(f"is incomplete: {left} bytes of {name} are missing")
            left -= len(data)
            yield data

    def broken(self, reason: str) -> IntegrityError:
        """The error for a damaged archive."""
        return self.kind.broken(self.path, reason)


def archive_members(raw: BoundedFile) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    """The files of an archive, each to be read before the next; only plain ones are accepted."""
    try:
        # It uses no more of a file than these three methods.
        tar = tarfile.open(fileobj=raw, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115 - closes nothing
        while (member := tar.next()) is not None:
            # Else it keeps all of them.
            tar.members.clear()
            # Sparse files that come as plain ones gain nothing: their bytes are read as they are stored.
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.size < 0:
                raise raw.broken(f"has {shown(member.name)}, which is not a plain file")
            yield member, raw.stream(member.name, member.offset_data, member.size)
            raw.allowance = _HEADER_BYTES
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError) as error:
        raise raw.broken(f"is incomplete or damaged: {plain(str(error))}") from error


@contextmanager
def opened_archive(path: Path, kind: ArchiveKind) -> Iterator[BoundedFile]:
    """The archive, when it looks like one. Raises UsageError of that ``kind``, or StorageError."""
    try:
        if not path.exists():
            raise kind.unusable(path, "does not exist")
        # Opening a pipe would wait for ever for its writer.
        if not path.is_file():
            raise kind.unusable(path, "is a folder" if path.is_dir() else "is not a plain file")
        with path.open("rb") as file:
            start = file.read(_BLOCK)
            if not start:
                raise kind.unusable(path, "is empty")
            for sign, what in _OTHERS.items():
                if start.startswith(sign):
                    raise kind.unusable(path, f"is a {what} file")
            if not start[_MAGIC].startswith(b"ustar"):
                raise kind.unusable(path, "is not a tar file")
            file.seek(0)
            yield BoundedFile(file, path, kind)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}.", hint="get the right to read it.", path=str(path)
        ) from error


@contextmanager
def written_archive(path: Path, kind: ArchiveKind) -> Iterator[IO[bytes]]:
    """A file that gets its name when all of it is there."""
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder.", kind="not-a-file", hint=f"name a file, for example {path / kind.example}."
        )
    try:
        with files.replacing(path) as file:
            yield file
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}.",
            hint="free some space there, or name a file in a folder that exists and that you may write to.",
            path=str(path),
        ) from error


def plain_member(path: str, size: int) -> tarfile.TarInfo:
    """A header that depends on nothing else: no times, no owners."""
    member = tarfile.TarInfo(path)
    member.size = size
    return member
