"""On which line of a TOML file a value stands, which Python's reader does not tell; for messages only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence

_HEADER = re.compile(r"\s*\[(\[)?\s*(?P<name>[^\[\]]+?)\s*\](?(1)\])\s*(#.*)?$")
_KEY = re.compile(r"""\s*(?P<key>"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*[=.]""")


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line, counted from 1, of a value such as ``("classes", "cat")`` or ``("verify", 0, "modules")``.

    Where that cannot be told, the line of what it is in; 1 when that neither.
    """
    best, matched = 1, 0
    for number, path in _lines(text):
        agreeing = next((i for i, (a, b) in enumerate(zip(path, place, strict=False)) if a != b), None)
        length = min(len(path), len(place)) if agreeing is None else agreeing
        if length > matched:
            best, matched = number, length
    return best


def repeated_key(text: str, line: int) -> tuple[str, str, int] | None:
    """For a key in ``line`` that stood before: its table, itself, and the line where it first stood."""
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
