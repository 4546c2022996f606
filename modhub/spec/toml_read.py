"""On which line of a TOML file a value is, which Python's reader does not say; for messages only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from modhub.limits import MAX_LOCK_BYTES, MAX_LOCK_DOTS, MAX_LOCK_FIELDS, MAX_LOCK_LINES
from modhub.spec.text import text_of

_HEADER = re.compile(r"\s*\[(\[)?\s*(?P<name>[^\[\]]+?)\s*\](?(1)\])\s*(#.*)?$")
_KEY = re.compile(r"""\s*(?P<key>"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*[=.]""")


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line, counted from 1, of a value such as ``("classes", "cat")`` or ``("verify", 0, "modules")``.

    Where that is unknown, the line of what it is in; 1 when that neither.
    """
    best, matched = 1, 0
    for number, path in _lines(text):
        agreeing = next((i for i, (a, b) in enumerate(zip(path, place, strict=False)) if a != b), None)
        length = min(len(path), len(place)) if agreeing is None else agreeing
        if length > matched:
            best, matched = number, length
    return best


def repeated_key(text: str, line: int) -> tuple[str, str, int] | None:
    """For a key in ``line`` that was there before: its table, itself, and the line where it first was."""
    paths = list(_lines(text))
    own = next((path for number, path in reversed(paths) if number <= line and len(path) > 1), None)
    if own is None:
        return None
    first = next(number for number, path in paths if path == own)
    return (str(own[0]), str(own[-1]), first) if first < line else None


def _lines(text: str) -> Iterator[tuple[int, tuple[str | int, ...]]]:
    """Of each line that opens a table or sets a key: its number, and the place that it sets."""
    table: tuple[str | int, ...] = ()
    counts: dict[str, int] = {}
    # Not splitlines, for which more than line feeds ends a line.
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            name = _plain(header["name"])
            table = (name,)
            if header[1]:
                counts[name] = counts.get(name, -1) + 1
                table = (name, counts[name])
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, _plain(key["key"]))


def _plain(key: str) -> str:
    try:
        (name,) = tomllib.loads(f"{key} = 0")
    except (tomllib.TOMLDecodeError, ValueError):
        return key
    return name


#: A text on one line (the start of one over several lines is none), or a comment: what has no names in it.
_SILENT: Final = re.compile(r"""\"(?!\"\")(?:[^\"\\\n]|\\.)*\"|'(?!'')[^'\n]*'|\#[^\n]*""")


#: A whole number that 64 bits, which is all that TOML promises, do not hold or hold only just; keys are none.
_LONG_NUMBER: Final = re.compile(
    r"(?<![\w.-])[+-]?(?:0x[0-9A-Fa-f_]{17,}|0o[0-7_]{22,}|0b[01_]{65,}|[0-9][0-9_]{19,})(?![\w-]*\s*=)"
)


class TooCostly(Exception):
    """It may be TOML, but is larger than any file of its kind. The text is the reason."""


def load_toml(data: bytes, *, kind: str) -> dict[str, Any]:
    """Untrusted bytes as TOML values; ``kind`` is what messages call such a file, for example ``a lockfile``.

    Raises TooCostly, and ValueError, tomllib.TOMLDecodeError among them, for what is not TOML.
    """
    if len(data) > MAX_LOCK_BYTES:
        raise TooCostly(f"it has {len(data)} bytes, and {kind} has at most {MAX_LOCK_BYTES}")
    text = text_of(data)
    _check_cheap(text, kind)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _check_cheap(text: str, kind: str) -> None:
    bare = _SILENT.sub("_", text)
    # From there on, only a whole TOML reader could distinguish names from texts.
    if '"' in bare or "'" in bare:
        raise TooCostly("it has a text that does not end on its line")
    if found := _LONG_NUMBER.search(bare):
        raise TooCostly(f"it has the number {found[0][:20]}..., which is beyond 64 bits")
    counts = (
        (bare.count("\n"), MAX_LOCK_LINES, "lines"),
        (sum(map(bare.count, "=,[{")), MAX_LOCK_FIELDS, "fields"),
        (bare.count("."), MAX_LOCK_DOTS, "dots outside texts"),
    )
    for count, limit, name in counts:
        if count > limit:
            raise TooCostly(f"it has {count} {name}, and {kind} has at most {limit}")
