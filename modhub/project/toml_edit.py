"""Bodies of tomlkit's tables, edited in place, for ``rewriting``.

tomlkit's own methods put a new key behind the comments that lead to the next table, and cannot move keys. A body is a
list of pairs of a key and an item; comments and blank lines have None as their key. Only rendering may follow an edit
here, since it looks at bodies alone; reading by key needs the text parsed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.items import SingleKey, Whitespace

from modhub.errors import UsageError

Body = list[tuple[Any, Any]]


def uneditable() -> UsageError:
    """The error for a file that means something else after an edit than it should."""
    return UsageError(
        "modhub.toml is written in a way that cannot be edited without changing more than was asked for.",
        kind="uneditable",
        hint="write [project], [models] and [classes] as tables of their own, one value a line.",
    )


def body_of(document: TOMLDocument, table: str) -> Body:
    """The body of ``[table]``, which is added behind [project] when it is missing."""
    return bodies_of(document, table)[-1]


def bodies_of(document: TOMLDocument, table: str) -> list[Body]:
    """``body_of``, where the table is written as dotted keys one body a key."""
    if table not in document:
        _add_table(document, table)
    found: list[Any] = [item for key, item in document.body if key is not None and key.key == table]
    if isinstance(found[-1], tomlkit.items.InlineTable) and not found[-1]:
        # An empty inline table has no place for what tomlkit would put between its entries.
        raise uneditable()
    return [item.value.body for item in found]


def _add_table(document: TOMLDocument, table: str) -> None:
    """An empty table behind [project]; the comments that led to the next table lead to it as before."""
    position = next(i for i, (key, _) in enumerate(document.body) if key is not None and key.key == "project")
    project = document.body[position][1].value.body
    keys = [i for i, (key, _) in enumerate(project) if key is not None]
    tail = project[keys[-1] + 1 :]
    project[keys[-1] + 1 :] = [(None, Whitespace("\n"))]
    added = tomlkit.table()
    added.value.body.extend(tail)
    document.body.insert(position + 1, (tomlkit.key(table), added))


def remove_table(document: TOMLDocument, table: str) -> None:
    """Remove a table; the comments behind it stay."""
    position = next(i for i, (key, _) in enumerate(document.body) if key is not None and key.key == table)
    _, removed = document.body.pop(position)
    _take_over(document, position, removed.value.body)


def remove_tables(document: TOMLDocument, name: str, numbers: Sequence[int]) -> None:
    """Remove those tables ``[[name]]``, by their number from 0; the comments behind them stay."""
    if not numbers:
        return
    position = next(i for i, (key, _) in enumerate(document.body) if key is not None and key.key == name)
    found: Any = document.body[position][1]
    stages = found.body
    for number in sorted(numbers, reverse=True):
        removed = stages.pop(number).value.body
        _take_over(document, position, removed, stages[number - 1].value.body if number else None)
    if not stages:
        document.body.pop(position)


def _take_over(document: TOMLDocument, position: int, removed: Body, before: Body | None = None) -> None:
    """Move what was behind a table's last key to the place of the blank line before the table.

    ``before`` is the body in front of it; by default that of what is in front of ``position``.
    """
    keys = [i for i, (key, _) in enumerate(removed) if key is not None]
    tail = removed[keys[-1] + 1 :] if keys else removed
    if before is None:
        if position == 0 or document.body[position - 1][0] is None:
            document.body[position:position] = tail
            return
        before = last_body(document.body[position - 1 : position])
    if before and isinstance(before[-1][1], Whitespace) and before[-1][1].s.endswith("\n"):
        before[-1] = (None, Whitespace(before[-1][1].s[:-1]))
    before.extend(tail)


def tables_of(document: TOMLDocument, name: str) -> list[Any]:
    """The tables ``[[name]]``."""
    found: Any = document.get(name)
    return [] if found is None else list(found.body)


def last_body(body: Body) -> Body:
    """The body that has the last lines of ``body``: its last table, if there is one."""
    item = body[-1][1] if body else None
    if item is not None and hasattr(item, "body"):
        item = item.body[-1]
    value = getattr(item, "value", None)
    inner = getattr(value, "body", None)
    return body if inner is None else last_body(inner) if inner else inner


def end_with_blank_line(body: Body) -> None:
    """Add a blank line at the end, unless there is one."""
    if not body or not isinstance(body[-1][1], Whitespace) or not body[-1][1].s.endswith("\n"):
        body.append((None, Whitespace("\n")))


def append(body: Body, name: str, value: Any, comment: str = "") -> tuple[Any, Any]:
    """Put a key behind the last one, indented and ended as that is; gives the new pair."""
    keys = [i for i, (key, _) in enumerate(body) if key is not None]
    item = tomlkit.item(value)
    if keys:
        last = body[keys[-1]][1].trivia
        item.trivia.indent, item.trivia.trail = last.indent, last.trail
    if comment:
        item.trivia.comment_ws, item.trivia.comment = "  ", comment
    pair = (SingleKey(name), item)
    body.insert(keys[-1] + 1 if keys else 0, pair)
    return pair


def key_like(key: Any, name: str) -> Any:
    """Another key, spaced as ``key`` is."""
    original = key.as_string()
    return SingleKey(name, sep=original[len(original.rstrip()) :] + key.sep)


def value_like(item: Any, text: str) -> Any:
    """Another text, with the quotes, the spaces and the comment of ``item``."""
    literal = item.as_string().startswith("'") and "'" not in text
    made = tomlkit.string(text, literal=literal)
    made.trivia.indent, made.trivia.trail = item.trivia.indent, item.trivia.trail
    made.trivia.comment_ws, made.trivia.comment = item.trivia.comment_ws, item.trivia.comment
    return made
