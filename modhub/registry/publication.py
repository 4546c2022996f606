"""What a publication is made of, before any store is touched: versions, equality, and the check of what was given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from modhub.errors import IntegrityError
from modhub.limits import MIB
from modhub.spec.digests import sha256
from modhub.spec.folder_refs import MANIFEST_FILE
from modhub.spec.layout import blob_path
from modhub.spec.manifest import Manifest, StoredBlob, digest_of, read_manifest, write_manifest
from modhub.spec.refs import ModelRef, check_version, parse_model_name, parse_version
from modhub.storage.progress import Progress
from modhub.storage.store import Payload
from modhub.storage.verify import VerifiedBlob

#: Called with what is being done, the bytes done and the bytes in all.

_BATCH_BYTES: Final = 64 * MIB
_BATCH_BLOBS: Final = 256


@dataclass(frozen=True)
class Published:
    """What a publication came to. ``created`` is False when the same content stood there already.

    ``warnings`` say what went wrong after the release was safely published: only the derived index can.
    """

    ref: ModelRef
    digest: str
    registry: str
    created: bool
    warnings: tuple[str, ...] = ()


def versioned(manifest: Manifest, version: str | None) -> Manifest:
    """The same modules as another version; the digest follows, since the version is part of the content."""
    content = manifest.content.model_copy(update={"version": version})
    return manifest.model_copy(update={"content": content, "digest": digest_of(content)})


def folder_files(manifest: Manifest) -> dict[str, str]:
    """The files of the folder of modules that a release was published from, which is what others sign.

    Names with ``/``, and their sha256 in hexadecimal. The folder's manifest is the release's without a version.
    """
    files = {blob_path(record.sha256): record.sha256 for record in manifest.blobs.values()}
    files[MANIFEST_FILE] = sha256(write_manifest(versioned(manifest, None)))
    return {name: digest.removeprefix("sha256:") for name, digest in files.items()}


def same_content(one: Manifest, other: Manifest) -> bool:
    # An older tool may have written fewer fields; then the contents agree although the digests as written do not.
    return one.digest == other.digest or digest_of(one.content) == digest_of(other.content)


def checked_bytes(manifest: Manifest, blobs: Mapping[str, Payload | VerifiedBlob]) -> bytes:
    """The manifest's bytes, after reading them as any client will, and after checking the blobs against the table.

    What was verified is not hashed again.
    """
    name = manifest.content.name
    parse_model_name(name)
    check_version(str(manifest.content.version))
    for decoded, record in manifest.blobs.items():
        data = blobs.get(record.sha256)
        size, digest = _measured(data) if data is not None else (0, None)
        if (size, digest) != (record.size, record.sha256):
            found = "was not given" if data is None else f"has {size} bytes with the digest {digest}"
            raise IntegrityError(
                f"the blob {record.sha256} ({record.size} bytes, decoded {decoded}) of {name} {found}.",
                kind="missing-blob" if data is None else "bad-blob",
                hint="save the package again.",
                digest=record.sha256,
            )
    data = write_manifest(manifest)
    read_manifest(data, what=f"the manifest of {name}")
    return data


def _measured(data: Payload | VerifiedBlob) -> tuple[int, str]:
    if isinstance(data, VerifiedBlob):
        return data.record.size, data.record.sha256
    if isinstance(data, bytes):
        return len(data), sha256(data)
    with data.open("rb") as file:
        return data.stat().st_size, f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def payloads(blobs: Mapping[str, Payload | VerifiedBlob]) -> dict[str, Payload]:
    """What is written for each of the blobs."""
    return {digest: data.stored if isinstance(data, VerifiedBlob) else data for digest, data in blobs.items()}


def next_minor(versions: Iterable[str]) -> str:
    """The version after the newest one that is not a pre-release; 1.0.0 when there is none."""
    full = [parsed for parsed in map(parse_version, versions) if not parsed.prerelease]
    newest = max(full, default=None)
    return "1.0.0" if newest is None else f"{newest.major}.{newest.minor + 1}.0"


def upload_batches(records: Sequence[StoredBlob]) -> Iterator[list[StoredBlob]]:
    """Blobs to be written together: enough to be fast, few enough that progress is visible."""
    batch: list[StoredBlob] = []
    size = 0
    for record in records:
        if batch and (size + record.size > _BATCH_BYTES or len(batch) == _BATCH_BLOBS):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += record.size
    if batch:
        yield batch


class UploadProgress:
    """Counts bytes, from any number of threads, and reports them."""

    def __init__(self, what: str, total: int, progress: Progress | None) -> None:
        self._what, self._total, self._progress = what, total, progress
        self._done = 0
        self._counting = Lock()

    def add(self, count: int) -> None:
        """Report that so many more bytes are done."""
        if self._progress is None:
            return
        with self._counting:
            self._done += count
            self._progress(self._what, self._done, self._total)
