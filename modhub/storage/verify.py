"""The border check of every blob, the same for registry and cache: bounded, measured, hashed, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from modhub.errors import IntegrityError

if TYPE_CHECKING:
    from modhub.spec.manifest import StoredBlob


def verified_chunks(chunks: Iterable[bytes], record: StoredBlob, *, what: str, hint: str) -> Iterator[bytes]:
    """The stored bytes of ``record`` as they come; only when all have come without an error are they the right ones.

    ``chunks`` raises IntegrityError ``too-large`` beyond ``record.size``. Raises IntegrityError, kind ``truncated``,
    ``padded``, ``zeroed`` or ``swapped``, naming ``what`` and both sizes or both digests.
    """
    size, digest, empty = 0, hashlib.sha256(), True
    try:
        for chunk in chunks:
            size += len(chunk)
            digest.update(chunk)
            empty = empty and not any(chunk)
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


def verified_blob(read: Callable[[int], bytes], record: StoredBlob, *, what: str, hint: str) -> bytes:
    """``verified_chunks`` of what ``read(max_bytes)`` gives in one piece."""
    return b"".join(verified_chunks((read(record.size) for _ in range(1)), record, what=what, hint=hint))


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
