"""Digests and canonical JSON: the two functions on which every identity in modhub rests.

Canonical JSON is UTF-8, keys sorted by code point, no white space, no NaN or infinity, no duplicate keys; equal values
give equal bytes. A digest is the string ``sha256:`` and 64 lower-case hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NewType

from modhub.errors import IntegrityError
from modhub.limits import MAX_JSON_DEPTH

Digest = NewType("Digest", str)

DIGEST_PATTERN: Final = r"^sha256:[0-9a-f]{64}$"
_DIGEST = re.compile(DIGEST_PATTERN + r"\Z")


def sha256(data: bytes | memoryview) -> Digest:
    """The digest of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def parse_digest(text: str) -> Digest:
    """``text`` as a Digest. Raises IntegrityError when it is not one; a digest becomes part of a path."""
    if not isinstance(text, str) or not _DIGEST.match(text):
        raise IntegrityError(f"{text!r} is not a sha256 digest.", kind="bad-digest", digest=str(text))
    return Digest(text)


def canonical_json(value: Any) -> bytes:
    """``value`` (JSON types only) as canonical JSON bytes. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def canonical_fields(value: Mapping[str, Any]) -> dict[str, bytes]:
    """The canonical JSON of each field of an object, by name: what several digests of its parts are made of."""
    return {key: canonical_json(value[key]) for key in sorted(value)}


def canonical_object(fields: Mapping[str, bytes]) -> bytes:
    """The canonical JSON of the object with these fields, as ``canonical_fields`` gives them."""
    return b"{" + b",".join(canonical_json(key) + b":" + fields[key] for key in sorted(fields)) + b"}"


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"the number {text[:40]} is beyond what a float holds")
    return number


def _depth(value: Any) -> int:
    level, deepest = [value], 0
    while level:
        deepest += 1
        if deepest > MAX_JSON_DEPTH:
            return deepest
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest


def parse_json(data: bytes, *, what: str) -> Any:
    """Untrusted bytes as JSON values.

    Refuses duplicate keys, NaN, infinity, halves of surrogate pairs and nesting beyond MAX_JSON_DEPTH. Raises
    IntegrityError naming ``what``.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        # Only an escape can bring in half a surrogate pair, which no UTF-8 can hold.
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise IntegrityError(f"{what} is not valid JSON: {reason}.", kind="bad-json", what=what) from error
    if _depth(value) > MAX_JSON_DEPTH:
        raise IntegrityError(f"{what} is nested deeper than {MAX_JSON_DEPTH} levels.", kind="bad-json", what=what)
    return value
