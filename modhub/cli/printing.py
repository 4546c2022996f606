"""What people and programs read: JSON documents, tables and lines on stdout, remarks on stderr.

In a terminal a table is drawn by rich; anywhere else it is plain columns, so that a name is never truncated, wrapped or
mixed with line-drawing characters. Names come from registries that anybody may run, so characters that steer a terminal
are escaped before they are printed.
"""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from modhub.errors import bounded
from modhub.limits import KIB, MIB

_NARROWEST = 12
_quiet = 0


def prepare_streams() -> None:
    """Make stdout and stderr take everything: closed ones swallow it, and what an encoding lacks becomes an escape."""
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: str, *, err: bool = False) -> None:
    """Write a line, styles only to a terminal."""
    # Named, because by itself click looks behind the stream that keeps a progress line below what is printed.
    click.echo(text, file=sys.stderr if err else sys.stdout)


def styled(text: str, **style: Any) -> str:
    """``text`` in a colour or bold, where the terminal can show it and nobody has set NO_COLOR."""
    return text if no_styles() else click.style(text, **style)


def no_styles() -> bool:
    """Whether NO_COLOR (to anything) or TERM=dumb says that no control sequences are wanted."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def document(value: dict[str, Any]) -> None:
    """The one JSON document of ``--json``."""
    echo(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """``value`` as strict JSON, where what is not finite is null; ``default`` as for ``json.dumps``."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False, default=default)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, allow_nan=False, default=default)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {(key if isinstance(key, str) else str(key)): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def line(text: str = "") -> None:
    """A line of data."""
    echo(printable(text))


def mark(word: str, colour: str, text: str) -> None:
    """A line of data behind a coloured word; further lines of a terminal begin below the text."""
    first, *others = _in_terminal(printable(text), 10)
    echo(f"  {styled(word, fg=colour)}{' ' * (8 - len(word))}{first}")
    for other in others:
        echo(" " * 10 + other)


def keep_quiet(times: int) -> None:
    """How often ``-q`` was given: once for neither remarks nor progress, twice for no warnings either."""
    global _quiet
    _quiet = times


def is_quiet() -> bool:
    """Whether remarks and progress are not wanted."""
    return _quiet > 0


def note(text: str) -> None:
    """A remark, for people only."""
    if not _quiet:
        echo(printable(text), err=True)


def warn(text: str) -> None:
    """A warning, for people only."""
    if _quiet < 2:
        echo(styled("warning: ", fg="yellow", bold=True) + printable(bounded(text)), err=True)


def printable(text: str) -> str:
    """``text`` with control and formatting characters, newlines excepted, as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


@dataclass(frozen=True)
class Column:
    """``wraps`` lets a terminal break long cells over several lines."""

    title: str
    right: bool = False
    wraps: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Rows of cells under the columns' titles; nothing at all without rows."""
    if not rows:
        return
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(text) for text in texts) for texts in zip([c.title for c in columns], *cells, strict=True)]
    if not sys.stdout.isatty():
        for row in [[column.title for column in columns], *cells]:
            echo(_plain(columns, row, widths))
    elif not _draw(columns, cells, widths):
        _stack(columns, cells)


def _plain(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        text.rjust(width) if column.right else text.ljust(width)
        for column, text, width in zip(columns, row, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> bool:
    """Draw the table with rich. False when the terminal is too narrow to show names whole."""
    # rich takes 20 ms to import, and what is piped does without.
    from modhub.cli.rich_names import Console, Table, Text, box

    room = shutil.get_terminal_size().columns
    console = Console(highlight=False, color_system=None if no_styles() else "auto", width=room)
    texts = zip(*([column.title for column in columns], *rows), strict=True)
    # A column that wraps needs room for its longest word, and breaks words that are longer than is narrow.
    words = [max((len(word) for text in cells for word in text.split()), default=0) for cells in texts]
    least = [
        min(word, _NARROWEST) if column.wraps else width
        for column, width, word in zip(columns, widths, words, strict=True)
    ]
    if sum(least) + 2 * (len(columns) - 1) > console.width:
        return False
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column, width in zip(columns, least, strict=True):
        drawn.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            min_width=width,
            no_wrap=not column.wraps,
            overflow="fold",
        )
    for row in rows:
        drawn.add_row(*(Text(text) for text in row))
    console.print(drawn)
    return True


def _stack(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Rows below each other, a cell a line, for terminals in which they do not fit side by side."""
    others = columns[1:]
    indent = max((len(column.title) for column in others), default=0) + 4
    for name, *cells in rows:
        echo(name)
        for column, cell in zip(others, cells, strict=True):
            # A name is never broken, however narrow the terminal.
            echo(f"  {column.title:<{indent - 2}}" + ("\n" + " " * indent).join(_in_terminal(cell, indent)))


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one pair a line; a value's further lines are below its first."""
    width = max(len(name) for name, _ in pairs) + 2
    for name, value in pairs:
        texts = [part for text in value.split("\n") for part in _in_terminal(text, width + 2)]
        line(f"  {name:<{width}}" + ("\n" + " " * (width + 2)).join(texts))


def _in_terminal(text: str, indent: int) -> list[str]:
    """``text`` in lines that a terminal shows behind ``indent``; words stay whole, and what is piped is one line."""
    if not sys.stdout.isatty():
        return [text]
    room = max(shutil.get_terminal_size().columns - indent, _NARROWEST)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def bytes_text(count: int) -> str:
    """A number of bytes as people read it."""
    if count >= 1000 * KIB:
        return f"{count / MIB:.1f} MiB"
    return f"{count / KIB:.1f} KiB" if count >= KIB else f"{count} bytes"


def place(url: str) -> str:
    """A registry as people know it: ``starter``, or its path from the home folder."""
    from modhub.installation.registries import STARTER_FOLDER

    path = Path(url)
    if path == STARTER_FOLDER.absolute():
        return "starter"
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else url
