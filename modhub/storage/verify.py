"""Where a blob becomes trusted, the same for registry, cache and folder: bounded, measured, hashed, once.

``verified_chunks`` reads bytes that nobody trusts and checks them as they pass. What is kept of them is a VerifiedBlob,
and decoding and publishing take nothing else, so the order of verification cannot be got wrong:

    read  ->  verified_chunks  ->  VerifiedBlob  ->  decode (bounded, then the decoded digest)  ->  arrays

The bytes that are used are the bytes that were hashed: what needs them later in the same call takes them from its
VerifiedBlobs and does not read the file again, which may have changed in the meantime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modhub.errors import IntegrityError

if TYPE_CHECKING:
    from modhub.spec.manifest import StoredBlob


@dataclass(frozen=True)
class VerifiedBlob:
    """Stored bytes of which size and sha256 were found to be those of ``record``. Besides this module only
    encoding makes one, which hashes what it has just written."""

    record: StoredBlob
    stored: bytes = field(repr=False)


class VerifiedBlobs:
    """The blobs that one call has verified, so that each is read and hashed once in it. Threads may share it.

    ``verified_chunks`` puts them in. A blob is ``in`` it also when its bytes have been let go.
    """

    def __init__(self) -> None:
        self._blobs: dict[tuple[str, int], VerifiedBlob | None] = {}

    def get(self, record: StoredBlob) -> VerifiedBlob | None:
        """The blob when it was verified against this size and sha256 and its bytes are still held."""
        return self._blobs.get(_identity(record))

    def take(self, record: StoredBlob) -> VerifiedBlob | None:
        """As ``get``, and the bytes are let go: nobody else needs them."""
        found = self.get(record)
        if found is not None:
            self._blobs[_identity(record)] = None
        return found

    def __contains__(self, record: StoredBlob) -> bool:
        return _identity(record) in self._blobs

    def _add(self, blob: VerifiedBlob) -> None:
        self._blobs[_identity(blob.record)] = blob


def _identity(record: StoredBlob) -> tuple[str, int]:
    return record.sha256, record.size


def verified_chunks(
    chunks: Iterable[bytes], record: StoredBlob, *, what: str, hint: str, into: VerifiedBlobs | None = None
) -> Iterator[bytes]:
    """The stored bytes of ``record`` as they come; only when all have come without an error are they the right ones.

    They are kept in ``into`` then, where it is given, for what needs them later in this call.

    ``chunks`` raises IntegrityError ``too-large`` beyond ``record.size``. Raises IntegrityError, kind ``truncated``,
    ``padded``, ``zeroed`` or ``swapped``, naming ``what`` and both sizes or both digests.
    """
    size, digest, empty = 0, hashlib.sha256(), True
    kept: list[bytes] = []
    try:
        for chunk in chunks:
            size += len(chunk)
            if size > record.size:
                raise _damaged("padded", what, f"{size} bytes or more", f"{record.size} bytes", hint)
            digest.update(chunk)
            empty = empty and not any(chunk)
            if into is not None:
                kept.append(chunk)
            yield chunk
    except IntegrityError as error:
        if error.kind != "too-large":
            raise
        found = error.data.get("size")
        more = "more" if found is None else str(found)
        raise _damaged("padded", what, f"{more} bytes", f"{record.size} bytes", hint) from error
    if size < record.size:
        raise _damaged("truncated", what, f"{size} bytes", f"{record.size} bytes", hint)
    actual = f"sha256:{digest.hexdigest()}"
    if actual != record.sha256:
        raise _damaged("zeroed" if empty else "swapped", what, actual, record.sha256, hint)
    if into is not None:
        into._add(VerifiedBlob(record, b"".join(kept)))


def verified_blob(chunks: Iterable[bytes], record: StoredBlob, *, what: str, hint: str) -> VerifiedBlob:
    """``verified_chunks``, all of them. Raises as it does."""
    return VerifiedBlob(record, b"".join(verified_chunks(chunks, record, what=what, hint=hint)))


def _damaged(kind: str, what: str, actual: str, expected: str, hint: str) -> IntegrityError:
    story = {"swapped": "altered or swapped", "zeroed": "overwritten with zeros"}.get(kind, kind)
    return IntegrityError(
        f"{what} is {story}: it has {actual} instead of {expected}.",
        kind=kind,
        hint=hint,
        what=what,
        actual=actual,
        expected=expected,
    )
