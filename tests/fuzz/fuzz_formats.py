"""Ways to spoil what has a format of its own: zstd frames, safetensors, networks as data, TOML."""

from __future__ import annotations

import json
import struct
import tomllib
from functools import cache
from random import Random
from typing import Any

import zstandard
from fuzz_mutators import bytes_spoilt, text_spoilt, to_json, value_spoilt

from modhub.limits import GIB, KIB, MAX_EXTENT, MIB

_MAGIC = b"\x28\xb5\x2f\xfd"


# zstd


def frame(content: bytes, *, level: int = 1, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(level=level, **options).compress(content)


@cache
def bomb(decoded: int) -> bytes:
    """A frame of zeros by blocks that repeat one byte: 4 bytes for each 128 KiB, and an honest header."""
    blocks, rest = divmod(decoded, 128 * KIB)
    block = struct.pack("<I", (128 * KIB << 3) | 0b010)[:3] + b"\0"
    last = struct.pack("<I", (rest << 3) | 0b011)[:3] + b"\0"
    # 8 bytes of content size, no single segment; a window of 128 KiB, as a short one suits most decoders.
    return _MAGIC + bytes([0xC0, 0x38]) + struct.pack("<Q", decoded) + block * blocks + last


def lying(content: bytes, claimed: int, *, window: int = 0x38) -> bytes:
    """A frame of ``content`` (one block, not compressed) whose header claims ``claimed`` bytes."""
    block = struct.pack("<I", (len(content) << 3) | 1)[:3] + content
    return _MAGIC + bytes([0xC0, window]) + struct.pack("<Q", claimed % 2**64) + block


def frame_spoilt(chance: Random, content: bytes) -> bytes:
    """What claims to be a zstd frame of ``content``."""
    content = content[: 100 * KIB]
    skippable = struct.pack("<II", 0x184D2A50 + chance.randrange(16), 4) + b"skip"
    match chance.randrange(15):
        case 0:
            return frame(content, level=chance.choice((-5, 1, 3, 19)), write_checksum=True)
        case 1:
            return frame(content, write_content_size=False)
        case 2:
            return frame(content) + chance.choice((frame(content), frame(b""), skippable, b"\0", content))
        case 3:
            return skippable + frame(content)
        case 4:
            return bomb(chance.choice((1, 100, 64 * KIB, MIB, 30 * MIB, 300 * MIB, GIB - 5, 8 * GIB)))
        case 5:
            return lying(
                content, chance.choice((0, 1, len(content) - 1, len(content) + 1, 2**30, 2**63, 2**64 - 1, -2))
            )
        case 6:
            return lying(content, len(content), window=chance.choice((0, 0x38, 0x88, 0xF8, 0xFF)))
        case 7:
            # An unknown dictionary is named.
            return _MAGIC + bytes([0xC3, 0x38, 1, 2, 3, 4]) + lying(content, len(content))[6:]
        case 8:
            half = frame(content)
            return half[: chance.randrange(len(half) + 1)]
        case 9:
            return b""
        case 10:
            return lying(content, len(content))[:-1] + frame(content)
        case 11:
            return _MAGIC + chance.randbytes(chance.choice((1, 8, 200)))
        case _:
            return bytes_spoilt(chance, frame(content), frame(content[::-1]))


# safetensors

DTYPES = [
    *("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F4", "F6_E2M3", "I64", "I8", "U8", "U64", "BOOL", "C64"),
    *("python", "f32", "", "F32 "),
]


def arrays_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(header: bytes, data: bytes, *, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size % 2**64) + header + data


def arrays_spoilt(chance: Random, data: bytes, other: bytes) -> bytes:
    """A safetensors file with a wrong header, or whose bytes are not what it says."""
    header, body = arrays_of(data)
    name = chance.choice(list(header))
    record = header[name]
    start, stop = record["data_offsets"]
    match chance.randrange(14):
        case 0 | 1:
            return bytes_spoilt(chance, data, other)
        case 2:
            record["data_offsets"] = chance.choice(
                ([0, 2**40], [stop, start], [-4, stop], [start, stop + 4], [start + 1, stop + 1], [0, len(body)], [])
            )
        case 3:
            record["shape"] = chance.choice(([2**62], [-1], ["4"], [], [1] * 1000, [0], [2**32, 2**32], [1.5], None))
        case 4:
            record["dtype"] = chance.choice(DTYPES)
        case 5:
            record["dtype"], record["shape"] = "F64", [(stop - start) // 8]
        case 6:
            position = chance.randrange(start, stop)
            body = body[:position] + chance.choice((b"\xff\xff\xff\x7f", b"\0\0\x80\xff")) + body[position + 4 :]
        case 7:
            header[chance.choice(["extra", "head/kernel", "__metadata__", "\ud800", "a" * 100_000])] = record
        case 8:
            header["__metadata__"] = chance.choice(({}, {"a": "b"}, {"a": 1}, [], None, {"a" * 1000: "b" * 100_000}))
        case 9:
            text = to_json(header)
            return with_header(text, body, size=chance.choice((0, 1, len(text) - 1, 10**8 + 1, 2**63, 2**64 - 1)))
        case 10:
            text = to_json(header)
            return with_header(b"{" + text[1:-1] + b"," + text[1:-1] + b"}", body)
        case 11:
            return with_header(chance.choice((b"[" * 5000, b"\xff\xfe{}", b"null", b"{}", b" " * 50_000 + b"{}")), body)
        case 12:
            return with_header(to_json(header), body + chance.choice((b"\0", bytes(10_000), b"PK\3\4")))
        case _:
            value_spoilt(chance, header)
    return with_header(to_json(header), body)


# Networks as data


def network_spoilt(chance: Random, architecture: dict[str, Any]) -> None:
    """Change a network (in place) into one that is well formed and wants too much, or does not fit."""
    layers, calls = architecture["layers"], architecture["calls"]
    large = (0, 1, 2, 3, 1000, MAX_EXTENT - 1, MAX_EXTENT, MAX_EXTENT + 1, 10**9, 10**12, -1)
    size = chance.choice(large)
    last = calls[-1]["id"]
    match chance.randrange(12):
        case 0:
            layers["hidden"]["units"] = size
        case 1:
            layers["conv"]["kernel_size"] = [size, chance.choice(large)]
        case 2:
            layers["conv"] |= {"filters": size, "groups": chance.choice(large)}
        case 3:
            layers["conv"] |= {"strides": [size, size], "dilation": [chance.choice(large), 1]}
        case 4:
            layers["border"]["padding"] = [[size, size], [chance.choice(large), 0]]
        case 5:
            layers["shape"]["target_shape"] = chance.choice(
                ([size], [size, 1], [1, 1, 8], [2**20, 2**20], [8] * 4, [0])
            )
        case 6:
            layers["pool"] |= {"pool_size": [size, size], "strides": [chance.choice(large), 1]}
        case 7:
            architecture["input_shape"] = [chance.choice(large), size, chance.choice(large)]
        case 8:
            _chain(architecture, {"kind": "dense", "units": size}, chance.choice((1, 30, 600)), last)
        case 9:
            twice = {"kind": "concatenate", "axis": chance.choice((0, 0, 1, 2, 3))}
            _chain(architecture, twice, chance.choice((1, 20, 40, 2000)), last, reads=chance.choice((2, 3, 900)))
        case 10:
            one, two = chance.sample(range(len(calls)), 2)
            calls[one], calls[two] = calls[two], calls[one]
        case _:
            chance.choice(calls)["inputs"] = [chance.choice(calls)["id"] for _ in range(chance.choice((1, 2, 5)))]


def _chain(architecture: dict[str, Any], layer: dict[str, Any], length: int, source: str, *, reads: int = 1) -> None:
    """``length`` calls one after the other, each of a layer of its own."""
    for number in range(length):
        architecture["layers"][f"more {number}"] = layer
        architecture["calls"].append({"id": f"more:{number}", "layer": f"more {number}", "inputs": [source] * reads})
        source = f"more:{number}"
    architecture["features"] = source


# TOML


def to_toml(value: dict[str, Any]) -> str:
    """``value`` as TOML: plain fields, then tables, then lists of tables. What TOML cannot say becomes text."""
    plain = {key: inner for key, inner in value.items() if not _is_table(inner)}
    lines = [f"{_key(key)} = {_toml(inner)}" for key, inner in plain.items()]
    for key, inner in value.items():
        for table in inner if isinstance(inner, list) and _is_table(inner) else [inner] * _is_table(inner):
            head = f"[[{_key(key)}]]" if isinstance(inner, list) else f"[{_key(key)}]"
            lines += ["", head, *(f"{_key(name)} = {_toml(field)}" for name, field in table.items())]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    if isinstance(value, list):
        return value != [] and all(isinstance(inner, dict) for inner in value)
    return isinstance(value, dict)


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_key(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case None:
            return "nan"
        case _:
            return to_json(value).decode("utf-8", "replace")


def toml_spoilt(chance: Random, data: bytes, other: bytes) -> bytes:
    """A valid TOML file, spoilt in its bytes, its text or its values."""
    match chance.randrange(6):
        case 0:
            return bytes_spoilt(chance, data, other)
        case 1:
            return text_spoilt(chance, data.decode()).encode("utf-8", "surrogatepass")
        case 2:
            lines = data.decode().splitlines(keepends=True)
            here, there = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[here] = chance.choice((lines[here] * 2, "", lines[there], lines[here].strip(), "x = " + lines[there]))
            return "".join(lines).encode()
        case 3:
            return data + b"\n" + chance.choice(TOML_TEXTS) + b"\n"
        case _:
            return to_toml(value_spoilt(chance, tomllib.loads(data.decode()))).encode("utf-8", "surrogatepass")


#: What is valid or nearly so, put behind a valid file.
TOML_TEXTS = [
    *(b"x = nan", b"x = -inf", b"x = 1e999", b"x = 1979-05-27", b"x = 07:32:00", b"x = 0xffffffffffffffffff"),
    *(b"[a]\n[a]", b"[[a]]\n[a]", b"a.b = 1\na.b.c = 2", b"x = '''a\nb'''", b'x = """\\\n   a"""', b"\xef\xbb\xbf"),
    *(b"x = " + b"[" * 900 + b"]" * 900, b"x = " + b"{a=" * 900 + b"1" + b"}" * 900, b"x = " + b"1" * 5000),
    *(b"a." * 300 + b"a = 1", b"[" + b"a." * 300 + b"a]", b"x = {" + b"a." * 300 + b"a = 1}"),
    *(b"a = 1\na = 1", b"[[module]]\n" * 3000, b"x = [" + b"0," * 30_000 + b"]", b"\n" * 100_000, b"#" * 100_000),
    *(b"\n".join(b"a.b%d = 1" % number for number in range(3000)), b'x = "\\uD800"', b'x = "\\U00110000"'),
]
#: What takes tomllib gigabytes or minutes: it keeps every prefix of a dotted key.
TOML_BOMBS = [
    b"a." * 60_000 + b"a = 1",
    b"[" + b"a." * 60_000 + b"a]",
    b"x = {" + b"a." * 60_000 + b"a = 1}",
    b" . ".join([b'"a"'] * 60_000) + b" = 1",
    b"\n".join(b"a." * 1000 + b"b%d = 1" % number for number in range(1000)),
    b'x = ["""\n", """, {' + b"a." * 60_000 + b'a = 1}, """\n"""]',
    b"x = ['''\n\" ''', {" + b"a." * 60_000 + b'a = 1}, "a"]',
    b"x = [" + b"[]," * 900_000 + b"]",
    b"[[x]]\n" * 400_000,
]
