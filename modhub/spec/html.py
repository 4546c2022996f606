"""How values look in notebooks: a title, some fields, tables. Everything is escaped, and the size is bounded.

Colours are the notebook's own, so that a value reads in light and in dark: text inherits, lines and bars are of a grey
and a blue that both backgrounds bear. No scripts, no style sheets, nothing that is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final

#: Characters of a cell's text, of a longer paragraph, and of a whole value with its markup.
_MOST_IN_CELL: Final = 80
_MOST_IN_TEXT: Final = 600
_MOST: Final = 40_000
#: Rows of one table.
_MOST_ROWS: Final = 50
_LINE: Final = "1px solid rgba(128,128,128,.35)"
_CELL: Final = "padding:.2em .7em;vertical-align:top;background:transparent;color:inherit"


@dataclass(frozen=True)
class Bar:
    """A cell that shows a share, 0 to 1, as a bar with its text."""

    share: float
    text: str


Cell = str | Bar


@dataclass(frozen=True)
class HtmlTable:
    """Rows under headers; the first ``texts`` columns are text, the others numbers. ``total`` rows are there in all."""

    headers: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    total: int
    texts: int = 1


def as_html(title: str, fields: Iterable[tuple[str, str]] = (), tables: Sequence[HtmlTable] = ()) -> str:
    """A value as HTML for notebooks, at most some 40,000 characters; of tables the first rows."""
    parts = [f'<div style="line-height:1.4"><div style="font-weight:600">{_text(title, _MOST_IN_TEXT)}</div>']
    rows = "".join(
        f'<tr><td style="{_CELL};padding-left:0;opacity:.7;text-align:left;white-space:nowrap">{_text(name)}</td>'
        f'<td style="{_CELL};text-align:left">{_text(value, _MOST_IN_TEXT)}</td></tr>'
        for name, value in fields
    )
    if rows:
        parts.append(_table(rows))
    for table in tables:
        parts.append(_shown(table, _MOST - sum(map(len, parts))))
    return "".join(parts) + "</div>"


def _shown(table: HtmlTable, room: int) -> str:
    style = f"{_CELL};border-bottom:{_LINE};font-weight:600"
    head = "".join(
        f'<th style="{style};text-align:{_align(table, column)}">{_text(name)}</th>'
        for column, name in enumerate(table.headers)
    )
    rows = [f"<tr>{head}</tr>"]
    for cells in table.rows:
        row = "".join(
            f'<td style="{_CELL};text-align:{_align(table, column)}">{_cell(cell)}</td>'
            for column, cell in enumerate(cells)
        )
        if len(rows) > _MOST_ROWS or sum(map(len, rows)) + len(row) > room:
            break
        rows.append(f"<tr>{row}</tr>")
    left = table.total - (len(rows) - 1)
    more = f'<div style="opacity:.7">and {left:,} more</div>' if left > 0 else ""
    return _table("".join(rows)) + more


def _table(rows: str) -> str:
    return f'<table style="border-collapse:collapse;margin:.4em 0;font-size:.95em">{rows}</table>'


def _align(table: HtmlTable, column: int) -> str:
    return "left" if column < table.texts else "right"


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return _text(cell)
    width = 100 * min(max(cell.share, 0.0), 1.0)
    return (
        f'{_text(cell.text)}<div style="height:.25em;width:6em;background:rgba(128,128,128,.25)">'
        f'<div style="height:100%;width:{width:.1f}%;background:rgb(66,133,244)"></div></div>'
    )


def _text(text: str, most: int = _MOST_IN_CELL) -> str:
    cut = text if len(text) <= most else f"{text[: most - 3]}..."
    # What steers a terminal, and marks that turn the direction of a line, are shown as what they are.
    printable = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)
    # Its table of entities takes a millisecond to load, and only notebooks need it.
    escaped: str = import_module("html").escape(printable)
    return escaped
