"""One release as one file, for machines without a network.

A plain tar with the registry's own paths, since blobs are compressed already: signatures, blobs, and the manifest last,
so that an incomplete file holds no release. The same release always gives the same bytes. Importing one
trusts nothing in it: names, kinds, counts and sizes are bounded while it is read, and every blob is hashed before the
registry sees any.
"""

from __future__ import annotations

import io
import tarfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from modhub.errors import Conflict, IntegrityError
from modhub.limits import MAX_BLOB_BYTES, MAX_CLASSES, MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES
from modhub.registry.admin.copying import is_signature, signatures_of
from modhub.registry.admin.inventory import blob_at, release_at
from modhub.registry.admin.spool import Spool, counted
from modhub.registry.publication import Published, UploadProgress
from modhub.registry.reader import RegistryReader
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path, release_path, signature_at, signature_path
from modhub.spec.manifest import Manifest, StoredBlob, read_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.progress import Progress
from modhub.storage.store import CHUNK_BYTES
from modhub.storage.tar import ArchiveKind, ChunkFile, archive_members, opened_archive, plain_member, written_archive
from modhub.storage.verify import verified_chunks

#: Members of one file: a blob for each class, one of weights, and signatures.
_MOST_MEMBERS: Final = 2 * MAX_CLASSES
_KIND: Final = ArchiveKind(
    kind="not-an-archive",
    broken_kind="bad-archive",
    written_by="modhub registry export",
    again="copy the file again from where it was exported, or export it again.",
    example="net.tar",
)


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
    with written_archive(file, _KIND) as raw, tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for key, signature in sorted(signatures_of(registry, manifest.digest, keys).items()):
            tar.addfile(plain_member(signature_path(manifest.digest, key), len(signature)), io.BytesIO(signature))
        for sha256, record in sorted(records.items()):
            chunks = counted(registry.blob_stream(record), meter)
            tar.addfile(plain_member(blob_path(sha256), record.size), io.BufferedReader(ChunkFile(chunks), CHUNK_BYTES))
            # Whether the bytes were right is known after the last of them.
            deque(chunks, maxlen=0)
        tar.addfile(plain_member(release_path(ref), len(data)), io.BytesIO(data))
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
        with opened_archive(self._file, _KIND) as raw:
            meter = UploadProgress(f"reading {self._file}", raw.size, self._progress)
            for count, (member, content) in enumerate(archive_members(raw)):
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
            chunks = verified_chunks(content, record, what=what, hint=_KIND.again)
            self.blobs[digest] = self._spool.keep(path.replace("/", "-"), chunks)
            self._sizes[digest] = member.size
            return None
        if (signature := signature_at(path)) is not None and signature[1] not in self.signatures:
            data = self._small(member, content, MAX_SIGNATURE_BYTES)
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
        return _KIND.broken(self._file, reason)
