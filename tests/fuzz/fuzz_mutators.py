"""Ways to spoil what is valid: bytes, texts, and values inside JSON.

A hostile registry can make every checksum and digest right again, so most spoilt JSON is sealed again (``sealed``):
otherwise nothing would get behind the first check. Everything follows from the random source that is passed in.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from hashlib import sha256
from random import Random
from typing import Any

from modhub.limits import MAX_JSON_FIELDS, MAX_JSON_FRACTIONS, MAX_JSON_VALUES

#: Characters that something between a keyboard and a disk gives a meaning of its own, or that look like others.
ODD_CHARACTERS = [
    *"\0\n\r\t\x1b\x7f\x85 /\\.:@#?%~*'\"[]{},=+-",
    *"\u00a0\u00ad\u0131\u0130\u00df\u0430\u0435\u0440\u03bf\u0661\u00b2\u2160\uff41\uff0f\ufb01\u0301\u0327\u0334",
    *"\u200b\u200d\u200e\u202e\u2066\u2028\u2029\ufeff\ufffd\uffff\U0001f600\U000e0041\ud800\udcff\udfff",
]
ODD_TEXTS = [
    "",
    " ",
    ".",
    "..",
    "../..",
    "a/../../b",
    "/etc/passwd",
    "\\\\host\\share",
    "C:\\x",
    "con",
    "a/b",
    "a\n",
    "\na",
    "c\u0430t",
    "\x1b[2J\x1b]0;x\x07",
    "\u202etac",
    "\0",
    "%2e%2e%2f",
    "a" * 101,
    "a" * 501,
    "a" * 10_000,
    "\u0301" * 300,
    "-1",
    "1.0.0",
    "01.0.0",
    "1.0.0-" + "9" * 90,
    "1.0.0+" + "0." * 40 + "0",
    "^1",
    ">=1,<2",
    "*",
    "sha256:" + "0" * 64,
    "sha256:" + "A" * 64,
    "sha256:" + "0" * 63,
    "sha256:" + "0" * 64 + "\n",
    "sha256:" + "../" * 21 + "a",
    "md5:" + "0" * 32,
    "__class__",
    "{0.__class__}",
    "%s%n",
    "$(touch x)",
    "\ud800",
    "null",
    "q95",
    "2026-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
]
ODD_NUMBERS = [
    *(0, 1, -1, 2, 3, 5, 7, 8, 9, 64, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 100_001, 10**6, 10**9, 10**18),
    *(2**31, -(2**31), 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 2**128, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, 1.5, -0.5, 1e-9, 5e-324, 1e16, 1e22, 1.7e308, -1.7e308, 3.5e38, 0.1 + 0.2),
]
#: JSON texts that no value has: put in the place of the string that ``raw`` gives.
RAW_TEXTS = [
    *(b"1e400", b"-1e400", b"NaN", b"Infinity", b"-Infinity", b"-0", b"1E5", b"0.10", b"1.0", b"1e-400", b"01", b"+1"),
    *(b".5", b"1.", b"0x10", b"1_000", b"", b" 1", b"1,1", b"truE", b"'a'", b"/**/1", b"9" * 4000, b"9" * 5000),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0061"', b'"\\/"', b'"\xff"', b'"\xed\xa0\x80"', b'"a\nb"', b'"\0"'),
    *(b"[" * 62 + b"]" * 62, b"[" * 70 + b"]" * 70, b"[" * 20_000, b'{"":' * 20_000, b"[" * 5_000 + b"]" * 5_000),
    *(b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b'{"a":{"b":1,"b":1}}', b"0." + b"3" * 3000, b'"' + b"\\n" * 9000),
]
_RAW = re.compile(rb'"\x7fraw([0-9]+)\x7f"')
_TWICE = re.compile(rb'"\x7ftwice(.*?)\x7f"')


def bytes_spoilt(chance: Random, data: bytes, other: bytes = b"") -> bytes:
    """``data`` after one to four changes of its bytes; ``other`` is another valid file to splice with."""
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        here = chance.randrange(len(spoilt) + 1)
        there = min(len(spoilt), here + chance.choice((1, 2, 8, 64, 1000)))
        match chance.randrange(10):
            case 0 if here < len(spoilt):
                spoilt[here] ^= 1 << chance.randrange(8)
            case 1 if here < len(spoilt):
                spoilt[here] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 2:
                spoilt[here:here] = chance.randbytes(chance.choice((1, 2, 8, 64)))
            case 3:
                del spoilt[here:there]
            case 4:
                spoilt[here:here] = spoilt[here:there] * chance.choice((1, 2, 100))
            case 5:
                del spoilt[here:]
            case 6:
                spoilt[here:] = other[chance.randrange(len(other) + 1) :]
            case 7:
                spoilt[here:there] = bytes(there - here)
            case 8:
                start = chance.randrange(len(other) + 1)
                spoilt[here:there] = other[start : start + chance.choice((1, 8, 64))]
            case _:
                spoilt += chance.choice((b"\0", b"\n", bytes(1000), data, b"}", chance.randbytes(100)))
    return bytes(spoilt[: 2**20])


def text_spoilt(chance: Random, text: str, others: Sequence[str] = ODD_TEXTS) -> str:
    """``text`` after one to three changes of its characters."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        here = chance.randrange(len(text) + 1)
        there = min(len(text), here + chance.choice((1, 1, 3, 20)))
        odd = chance.choice(ODD_CHARACTERS)
        match chance.randrange(10):
            case 0:
                text = text[:here] + odd + text[here:]
            case 1:
                text = text[:here] + odd + text[there:]
            case 2:
                text = text[:here] + text[there:]
            case 3:
                text = text[:here] + text[here:there] * chance.choice((2, 3, 50)) + text[there:]
            case 4:
                text = text[:here] + chance.choice(others) + text[there:]
            case 5:
                text = chance.choice((str.upper, str.title, str.swapcase, str.casefold))(text)
            case 6:
                text = chance.choice(others)
            case 7:
                text = unicodedata.normalize(chance.choice(("NFC", "NFKD")), text)
            case 8:
                text = chance.choice(("", " ", "\n")) + text + chance.choice(("", " ", "\n", "\0"))
            case _:
                text = text + odd * chance.choice((1, 2, 200))
    return text[:200_000]


# Values in JSON


def raw(chance: Random) -> str:
    """A string that ``to_json`` replaces by a text that is no JSON value, or not as we write it."""
    return f"\x7fraw{chance.randrange(len(RAW_TEXTS))}\x7f"


def odd_value(chance: Random, depth: int = 0) -> Any:
    """Anything that may stand in JSON, and some things that may not."""
    match chance.randrange(9):
        case 0:
            return chance.choice((None, True, False))
        case 1 | 2:
            return chance.choice(ODD_NUMBERS)
        case 3 | 4:
            return chance.choice(ODD_TEXTS)
        case 5:
            return raw(chance)
        case 6:
            return [] if depth > 3 else [odd_value(chance, depth + 1) for _ in range(chance.choice((0, 1, 2, 4)))]
        case 7:
            keys = [chance.choice(ODD_TEXTS) for _ in range(0 if depth > 3 else chance.choice((0, 1, 3)))]
            return {key: odd_value(chance, depth + 1) for key in keys}
        case _:
            return chance.choice(ODD_CHARACTERS) * chance.choice((1, 2, 70, 600))


def value_spoilt(chance: Random, value: Any) -> Any:
    """``value`` (JSON types, changed in place where it can be) after one to four changes anywhere in it."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places = _places(value) if isinstance(value, (dict, list)) else []
        if not places:
            return odd_value(chance)
        holder, key = chance.choice(places)
        _spoil(chance, holder, key, places)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    rest = [value]
    while rest:
        holder = rest.pop()
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, inner in pairs:
            found.append((holder, key))
            if isinstance(inner, (dict, list)) and len(found) < 3000:
                rest.append(inner)
    return found


def _spoil(chance: Random, holder: Any, key: Any, places: Sequence[tuple[Any, Any]]) -> None:
    old = holder[key]
    match chance.randrange(12):
        case 0 | 1:
            holder[key] = odd_value(chance)
        case 2:
            del holder[key]
        case 3 | 4 if isinstance(old, str):
            holder[key] = text_spoilt(chance, old)
        case 3 | 4 if isinstance(old, (int, float)):
            holder[key] = _number_spoilt(chance, old)
        case 3 | 4 if isinstance(old, list):
            holder[key] = chance.choice(([], old[::-1], old * 2, old[:1], old[1:], [old], old[:1] * 300))
        case 3 | 4 if isinstance(old, dict):
            old[chance.choice(ODD_TEXTS)] = odd_value(chance)
        case 5 if isinstance(holder, dict):
            holder[chance.choice(ODD_TEXTS)] = holder.pop(key)
        case 6 if isinstance(holder, dict):
            holder[f"\x7ftwice{key}\x7f"] = holder.pop(key)
        case 7:
            there, other = chance.choice(places)
            # Its place may have gone with an earlier change.
            if other in there if isinstance(there, dict) else other < len(there):
                there[other], holder[key] = holder[key], deepcopy(there[other])
        case 8 if isinstance(holder, list):
            holder.insert(key, old)
        case 9 if isinstance(holder, dict):
            holder[chance.choice(ODD_TEXTS)] = old
        case 10:
            holder[key] = _nested(chance, old)
        case _:
            holder[key] = chance.choice(ODD_NUMBERS)


def _number_spoilt(chance: Random, number: float) -> Any:
    changes: list[Callable[[Any], Any]] = [
        lambda n: n + 1,
        lambda n: n - 1,
        lambda n: -n,
        lambda n: n * 2,
        lambda n: n * 1000,
        lambda n: n / 2 if abs(n) < 1e300 else n,
        str,
        lambda n: [n],
    ]
    return chance.choice(changes)(number)


def _nested(chance: Random, value: Any) -> Any:
    for _ in range(chance.choice((1, 2, 58, 70))):
        value = [value] if chance.random() < 0.5 else {"": value}
    return value


def to_json(value: Any) -> bytes:
    """``value`` as canonical JSON would be, whatever is in it; never raises."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text = _TWICE.sub(rb'"\1":null,"\1"', text)
    return _RAW.sub(lambda match: RAW_TEXTS[int(match[1]) % len(RAW_TEXTS)], text)


def sealed(value: Mapping[str, Any], *, digest_of: str | None = None) -> bytes:
    """An object with its checksum made right; ``digest_of`` names the field whose digest ``digest`` is to be."""
    fields = {key: to_json(inner) for key, inner in value.items() if key != "checksum"}
    if digest_of in fields:
        fields["digest"] = _digest(fields[digest_of])
    return _object(fields | {"checksum": _digest(_object(fields))})


def _object(fields: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join(to_json(key) + b":" + fields[key] for key in sorted(fields)) + b"}"


def _digest(data: bytes) -> bytes:
    return b'"sha256:' + sha256(data).hexdigest().encode() + b'"'


def document_spoilt(chance: Random, data: bytes, other: bytes, *, digest_of: str | None = None) -> bytes:
    """A valid canonical JSON file, spoilt in its bytes or, mostly, in its values and then sealed again."""
    way = chance.random()
    value = parsed(data)
    if way < 0.15 or value is None:
        return bytes_spoilt(chance, data, other)
    value = value_spoilt(chance, value)
    if not isinstance(value, dict):
        return to_json(value)
    if way < 0.18:
        return to_json(value)
    if way < 0.20:
        return json.dumps(value, indent=chance.choice((None, 1))).encode()
    return sealed(value, digest_of=None if way < 0.23 else digest_of)


def parsed(data: bytes) -> Any:
    """The value of a file, None when it has been spoilt too much for that."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def large_document(chance: Random, most_bytes: int) -> bytes:
    """A sealed file that repeats what is dear to read, nearly as often as is allowed, or somewhat more often."""
    if chance.random() < 0.1:
        count = int(MAX_JSON_FIELDS * chance.choice((0.5, 0.98, 1.1)))
        return sealed_raw(b"{" + b",".join(b'"%07d":0' % number for number in range(count)) + b"}")
    units = [
        b"[],",
        b"{},",
        b"0,",
        b"1.5,",
        b"0.1234567890123456,",
        b"1e5,",
        b"300,",
        b'"",',
        b'{"a":0},',
        b'"\\\\\\n",',
    ]
    unit = chance.choice((*units, b"[" * 60 + b"]" * 60 + b",", '"é☃",'.encode(), b'"' + b"x" * 1000 + b'",'))
    fields = sum(map(unit.count, (b":", b"[", b"{")))
    fractions = unit.count(b".") + unit.count(b"e")
    most = min(
        most_bytes // len(unit),
        MAX_JSON_VALUES // unit.count(b","),
        MAX_JSON_FIELDS // max(fields, 1),
        MAX_JSON_FRACTIONS if fractions else most_bytes,
    )
    return sealed_raw(b"[" + unit * int(most * chance.choice((0.1, 0.98, 0.98, 1.1))) + b"0]")


def sealed_raw(body: bytes) -> bytes:
    """A sealed file of format 1 with one unknown field, of this JSON text."""
    checksum = _digest(b'{"body":' + body + b',"format":1}')
    return b'{"body":' + body + b',"checksum":' + checksum + b',"format":1}'
