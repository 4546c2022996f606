"""The border check of every blob, the same for registry and cache: bounded, measured, hashed, once."""

from __future__ import annotations

from collections.abc import Callable

from modhub.digests import sha256
from modhub.errors import IntegrityError
from modhub.manifest import StoredBlob


def verified_blob(read: Callable[[int], bytes], record: StoredBlob, *, what: str, hint: str) -> bytes:
    """The stored bytes of ``record``, as ``read(max_bytes)`` gives them, when they are the right ones.

    Raises IntegrityError, kind ``truncated``, ``padded``, ``zeroed`` or ``swapped``, naming ``what`` and both sizes or
    both digests. ``read`` raises IntegrityError ``too-large`` beyond its bound.
    """
    try:
        data = read(record.size)
    except IntegrityError as error:
        if error.kind != "too-large":
            raise
        found = error.data.get("size")
        size = "more" if found is None else str(found)
        raise _damaged("padded", what, f"{size} bytes", f"{record.size} bytes", hint) from error
    if len(data) < record.size:
        raise _damaged("truncated", what, f"{len(data)} bytes", f"{record.size} bytes", hint)
    actual = sha256(data)
    if actual != record.sha256:
        kind = "zeroed" if data.count(0) == len(data) else "swapped"
        raise _damaged(kind, what, actual, record.sha256, hint)
    return data


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
