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

from modhub.errors import IntegrityError, shown
from modhub.limits import (
    MAX_JSON_DEPTH,
    MAX_JSON_FIELDS,
    MAX_JSON_FRACTIONS,
    MAX_JSON_INTEGER,
    MAX_JSON_LARGE_KEYS,
    MAX_JSON_VALUES,
)

Digest = NewType("Digest", str)

DIGEST_PATTERN: Final = r"^sha256:[0-9a-f]{64}$"
_DIGEST = re.compile(DIGEST_PATTERN + r"\Z")
#: Digits of the largest number, with its sign; and what a number with as many looks like.
_MAX_DIGITS: Final = 20
_MANY_DIGITS = re.compile(rb"[0-9]{19}")
#: Keys beyond which an object counts as a large one.
_LARGE: Final = 100


def sha256(data: bytes | memoryview) -> Digest:
    """The digest of some bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def parse_digest(text: str) -> Digest:
    """``text`` as a Digest. Raises IntegrityError when it is not one; a digest becomes part of a path."""
    if not isinstance(text, str) or not _DIGEST.match(text):
        raise IntegrityError(f"{shown(str(text))} is not a sha256 digest.", kind="bad-digest", digest=str(text))
    return Digest(text)


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """``value`` (JSON types only) as canonical JSON bytes. Raises ValueError for NaN and infinity."""
    return _CANONICAL.encode(value).encode("utf-8")


def canonical_fields(value: Mapping[str, Any]) -> dict[str, bytes]:
    """The canonical JSON of each field of an object, by name: what several digests of its parts are made of."""
    return {key: canonical_json(value[key]) for key in sorted(value)}


def canonical_object(fields: Mapping[str, bytes]) -> bytes:
    """The canonical JSON of the object with these fields, as ``canonical_fields`` gives them."""
    return b"{" + b",".join(canonical_json(key) + b":" + fields[key] for key in sorted(fields)) + b"}"


class _Objects:
    """Makes objects: no key twice, and not too many keys in large ones, since each costs as much as a field of ours."""

    def __init__(self) -> None:
        self.left = MAX_JSON_LARGE_KEYS

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("an object has the same key twice")
        if len(pairs) > _LARGE and not pairs[0][0].startswith("sha256:"):
            self.left -= len(pairs)
            if self.left < 0:
                raise ValueError(f"its large objects have more than {MAX_JSON_LARGE_KEYS} keys")
        return result


def _bounded_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or abs(number := int(text)) > MAX_JSON_INTEGER:
        raise ValueError(f"the number {text[:40]} is beyond 64 bits")
    return number


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


class _Fractions:
    """Reads numbers with a fraction: finite ones, and not too many, since each takes as long as ten whole ones."""

    def __init__(self) -> None:
        self.left = MAX_JSON_FRACTIONS

    def __call__(self, text: str) -> float:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"it has more than {MAX_JSON_FRACTIONS} numbers with a fraction")
        number = float(text)
        if not isfinite(number):
            raise ValueError(f"the number {text[:40]} is beyond what a float holds")
        return number


def _depth(value: Any) -> int:
    """The deepest nesting of objects and arrays; beyond the limit, one more than that."""
    level: list[Any] = [[value]]
    depth = -1
    while level and depth <= MAX_JSON_DEPTH:
        depth += 1
        level = [
            child
            for item in level
            for child in (item.values() if type(item) is dict else item)
            if type(child) is list or type(child) is dict
        ]
    return depth


def parse_json(data: bytes, *, what: str) -> Any:
    """Untrusted bytes as JSON values.

    Refuses duplicate keys, NaN, infinity, halves of surrogate pairs, nesting beyond MAX_JSON_DEPTH, and more values or
    fields than the limits allow, which is found before any is made. Raises IntegrityError naming ``what``.
    """
    _check_counts(data, what)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_Objects(),
            parse_constant=_refuse_constant,
            parse_float=_Fractions(),
            # A call for each of millions of numbers would take longer than all the rest.
            parse_int=_bounded_integer if _MANY_DIGITS.search(data) else None,
        )
        # Only an escape can bring in half a surrogate pair, which no UTF-8 can hold.
        if b"\\ud" in data or b"\\uD" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise IntegrityError(f"{what} is not valid JSON: {reason}.", kind="bad-json", what=what) from error
    if _depth(value) > MAX_JSON_DEPTH:
        raise IntegrityError(f"{what} is nested deeper than {MAX_JSON_DEPTH} levels.", kind="bad-json", what=what)
    return value


def _check_counts(data: bytes, what: str) -> None:
    fields = sum(data.count(sign) for sign in (b":", b"[", b"{"))
    for count, limit, name in ((data.count(b","), MAX_JSON_VALUES, "values"), (fields, MAX_JSON_FIELDS, "fields")):
        if count > limit:
            raise IntegrityError(
                f"{what} has {count} {name} in JSON; at most {limit} are allowed.", kind="too-large", what=what
            )
