"""One release as one file, for machines without a network.

A plain tar with the registry's own paths, since blobs are compressed already: signatures, blobs, and the manifest last,
so that an incomplete file holds no release. The same release always gives the same bytes. Importing one
trusts nothing in it: names, kinds, counts and sizes are bounded while it is read, and every blob is hashed before the
registry sees any.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from modhub.errors import Conflict, IntegrityError, StorageError, UsageError, plain
from modhub.limits import KIB, MAX_BLOB_BYTES, MAX_CLASSES, MAX_MANIFEST_BYTES, MAX_RECORD_BYTES
from modhub.registry.admin.copying import is_signature, signatures_of
from modhub.registry.admin.inventory import blob_at, release_at
from modhub.registry.admin.spool import Spool, counted
from modhub.registry.publication import Published, UploadProgress
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path, release_path, signature_at, signature_path
from modhub.spec.manifest import Manifest, StoredBlob, read_manifest
from modhub.spec.refs import ModelRef
from modhub.storage import files
from modhub.storage.progress import Progress
from modhub.storage.store import CHUNK_BYTES
from modhub.storage.verify import verified_chunks

#: Members of one file: a blob for each class, one of weights, and signatures.
_MOST_MEMBERS: Final = 2 * MAX_CLASSES
#: Bytes of one header with all that belongs to it, such as a long name.
_HEADER_BYTES: Final = 4 * KIB
_BLOCK: Final = tarfile.BLOCKSIZE
#: Where a header says that it is one.
_MAGIC: Final = slice(257, 265)
#: How other files begin that people may take for one of ours.
_OTHERS: Final[Mapping[bytes, str]] = {b"PK": "zip", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_AGAIN: Final = "copy the file again from where it was exported, or export it again."


def export_release(
    registry: RegistryReader, ref: ModelRef, file: Path, *, keys: Sequence[str] = (), progress: Progress | None = None
) -> Manifest:
    """Write a release with its blobs and signatures to ``file``, which is there whole or not at all.

    ``keys``: ids of keys whose signatures may be there, for a registry that cannot list them. Raises Conflict for a
    release that was taken down, what reading it raises, and StorageError.
    """
    manifest, data = registry.release(ref)
    withdrawal = registry.withdrawal(ref)
    if withdrawal is not None and withdrawal.kind == "taken-down":
        raise Conflict(
            f"{ref} was taken down from {registry.name}: {withdrawal.reason}", kind="taken-down", release=str(ref)
        )
    records = {record.sha256: record for record in manifest.blobs.values()}
    meter = UploadProgress(f"exporting {ref}", sum(record.size for record in records.values()), progress)
    with _written(file) as raw, tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for key, signature in sorted(signatures_of(registry, manifest.digest, keys).items()):
            tar.addfile(_member(signature_path(manifest.digest, key), len(signature)), io.BytesIO(signature))
        for sha256, record in sorted(records.items()):
            chunks = counted(registry.blob_stream(record), meter)
            tar.addfile(_member(blob_path(sha256), record.size), io.BufferedReader(_Chunks(chunks), CHUNK_BYTES))
            # Whether the bytes were right is known after the last of them.
            deque(chunks, maxlen=0)
        tar.addfile(_member(release_path(ref), len(data)), io.BytesIO(data))
    return manifest


def import_release(file: Path, registry: Registry, *, progress: Progress | None = None) -> Published:
    """Publish the release in a file that ``export_release`` wrote.

    Raises UsageError when ``file`` is no such file, IntegrityError when anything in it is not what it has to be, and
    what publishing raises.
    """
    with Spool() as spool:
        read = _Reading(file, spool, progress)
        manifest, data = read.run()
        return registry.publish_stored(manifest, data, read.blobs, signatures=read.signatures, progress=progress)


class _Reading:
    """One archive as it is read. ``blobs``: verified files by digest; ``signatures``: files by key id."""

    def __init__(self, file: Path, spool: Spool, progress: Progress | None) -> None:
        self._file = file
        self._spool = spool
        self._progress = progress
        self._signed: set[str] = set()
        self._sizes: dict[str, int] = {}
        self.blobs: dict[str, Path] = {}
        self.signatures: dict[str, bytes] = {}

    def run(self) -> tuple[Manifest, bytes]:
        """The release, when all of it is there and nothing else."""
        found: tuple[ModelRef, bytes] | None = None
        with _opened(self._file) as raw:
            meter = UploadProgress(f"reading {self._file}", raw.size, self._progress)
            for count, (member, content) in enumerate(_members(self._file, raw)):
                if found is not None:
                    raise self._bad(f"has {member.name!r} behind its release")
                if count >= _MOST_MEMBERS:
                    raise self._bad(f"has more than {_MOST_MEMBERS} files")
                found = self._take(member, content)
                meter.add(member.size)
        if found is None:
            raise self._bad("has no release in it; it is incomplete, or another kind of tar file")
        return self._checked(*found)

    def _take(self, member: tarfile.TarInfo, content: Iterator[bytes]) -> tuple[ModelRef, bytes] | None:
        """Keep one file; the release when it is that."""
        path = member.name
        if (ref := release_at(path)) is not None:
            return ref, self._small(member, content, MAX_MANIFEST_BYTES)
        if (digest := blob_at(path)) is not None and digest not in self.blobs:
            if not 1 <= member.size <= MAX_BLOB_BYTES:
                raise self._bad(f"has {member.size} bytes as {path}; a blob has 1 to {MAX_BLOB_BYTES}")
            record = StoredBlob(sha256=digest, size=member.size, decoded_size=1)
            what = f"the blob {path} in {self._file}"
            chunks = verified_chunks(content, record, what=what, hint=_AGAIN)
            self.blobs[digest] = self._spool.keep(path.replace("/", "-"), chunks)
            self._sizes[digest] = member.size
            return None
        if (signature := signature_at(path)) is not None and signature[1] not in self.signatures:
            data = self._small(member, content, MAX_RECORD_BYTES)
            if not is_signature(data, signature[1]):
                raise self._bad(f"has {path}, which is not a signature by that key")
            self._signed.add(signature[0])
            self.signatures[signature[1]] = data
            return None
        raise self._bad(f"has {path!r}, which belongs to no release or is there twice")

    def _small(self, member: tarfile.TarInfo, content: Iterator[bytes], limit: int) -> bytes:
        if member.size > limit:
            raise self._bad(f"has {member.size} bytes as {member.name}; at most {limit} are allowed")
        return b"".join(content)

    def _checked(self, ref: ModelRef, data: bytes) -> tuple[Manifest, bytes]:
        manifest = read_manifest(data, what=f"the release {ref} in {self._file}")
        content = manifest.content
        if (content.namespace, content.model, content.version) != (ref.namespace, ref.model, ref.version):
            raise self._bad(f"has {content.name}@{content.version} under the name of {ref}")
        wanted = {record.sha256: record.size for record in manifest.blobs.values()}
        for digest in sorted(wanted.keys() | self._sizes.keys()):
            if digest not in self._sizes:
                raise self._bad(f"lacks the blob {digest}, which {ref} needs")
            if digest not in wanted:
                raise self._bad(f"has the blob {digest}, which {ref} does not need")
            if wanted[digest] != self._sizes[digest]:
                raise self._bad(f"has {self._sizes[digest]} bytes as {digest} where {ref} says {wanted[digest]}")
        if self._signed - {manifest.digest}:
            raise self._bad(f"has a signature of something else than {ref}")
        return manifest, data

    def _bad(self, reason: str) -> IntegrityError:
        return _broken(self._file, reason)


# The file itself


class _Chunks(io.RawIOBase):
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


class _Bounded:
    """A file as ``tarfile`` may read it: no more than ``allowance`` bytes until that is set again.

    Headers say how many bytes belong to them, and may be wrong about that.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._path = path
        self._file = file
        self.tell, self.seek = file.tell, file.seek
        self.size = os.fstat(file.fileno()).st_size
        self.allowance = _HEADER_BYTES

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self.allowance:
            raise _broken(self._path, "has a header that is no good")
        data = self._file.read(count)
        self.allowance -= len(data)
        return data


def _members(path: Path, raw: _Bounded) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    """The files of an archive, each to be read before the next; only plain ones are accepted."""
    try:
        # It uses no more of a file than these three methods.
        tar = tarfile.open(fileobj=raw, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115 - closes nothing
        while (member := tar.next()) is not None:
            # Else it keeps all of them.
            tar.members.clear()
            # Sparse files that come as plain ones gain nothing: their bytes are read as they are stored.
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.size < 0:
                raise _broken(path, f"has {member.name!r}, which is not a plain file")
            raw.allowance = member.size
            yield member, _content(path, raw, member)
            raw.allowance = _HEADER_BYTES
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError) as error:
        raise _broken(path, f"is incomplete or damaged: {plain(str(error))}") from error


def _content(path: Path, raw: _Bounded, member: tarfile.TarInfo) -> Iterator[bytes]:
    raw.seek(member.offset_data)
    left = member.size
    while left:
        data = raw.read(min(left, CHUNK_BYTES))
        if not data:
            raise _broken(path, f"is incomplete: {left} bytes of {member.name} are missing")
        left -= len(data)
        yield data


@contextmanager
def _opened(path: Path) -> Iterator[_Bounded]:
    """The archive, when it looks like one. Raises UsageError, kind ``not-an-archive``, or StorageError."""
    try:
        if not path.exists():
            raise _unusable(path, "does not exist")
        # Opening a pipe would wait for ever for its writer.
        if not path.is_file():
            raise _unusable(path, "is a folder" if path.is_dir() else "is not a plain file")
        with path.open("rb") as file:
            start = file.read(_BLOCK)
            if not start:
                raise _unusable(path, "is empty")
            for sign, what in _OTHERS.items():
                if start.startswith(sign):
                    raise _unusable(path, f"is a {what} file")
            if not start[_MAGIC].startswith(b"ustar"):
                raise _unusable(path, "is not a tar file")
            file.seek(0)
            yield _Bounded(file, path)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}.", hint="get the right to read it.", path=str(path)
        ) from error


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when all of it is there."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", kind="not-a-file", hint=f"name a file, for example {path}/net.tar.")
    try:
        with files.replacing(path) as file:
            yield file
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}.",
            hint="free some space there, or name a file in a folder that exists and that you may write to.",
            path=str(path),
        ) from error


def _member(path: str, size: int) -> tarfile.TarInfo:
    """A header that depends on nothing else: no times, no owners."""
    member = tarfile.TarInfo(path)
    member.size = size
    return member


def _unusable(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{path} {reason}.",
        kind="not-an-archive",
        hint="name a file that modhub registry export wrote.",
        path=str(path),
    )


def _broken(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(f"{path} {reason}.", kind="bad-archive", hint=_AGAIN, path=str(path))
