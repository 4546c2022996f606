"""A README as its YAML front matter and its Markdown, with the line of every value, and nothing but texts as values.

Whatever YAML would make of a plain scalar, a date, a boolean, a number, stays the text that was written: ``no`` is the
language Norwegian. Only texts, lists and mappings come out, so a tag can name no class; anchors are refused, because a
few hundred bytes of them can stand for gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from modhub.errors import UsageError, plain, shown
from modhub.limits import MAX_README_BYTES, MAX_YAML_DEPTH, MAX_YAML_VALUES
from modhub.spec.text import text_of

#: What the front matter's parts are: None, a text, a list or a mapping.
YamlValue = None | str | list[Any] | dict[str, Any]

_FENCED: Final = re.compile(r"\A\s*---[ \t]*\n(.*?)(?:\n)?^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
#: The beginning of one; by itself, a line of dashes is a rule of Markdown.
_BEGUN: Final = re.compile(r"\A\s*---[ \t]*\n(?=[A-Za-z_][\w-]*:)")
_LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NULLS: Final = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class FrontMatter:
    """``values``: the mapping at the top. ``lines``: key to its line in the file. ``text``: the whole file, its lines
    ended by ``\\n``; ``body``: its Markdown."""

    values: Mapping[str, YamlValue]
    lines: Mapping[str, int]
    text: str
    body: str


def read_front_matter(data: bytes, *, what: str) -> FrontMatter:
    """Untrusted bytes of a README. One without front matter has no values.

    Raises UsageError, kind ``bad-card``, naming ``what`` and the line.
    """
    if len(data) > MAX_README_BYTES:
        raise UsageError(
            f"{what} has {len(data):,} bytes; a card has at most {MAX_README_BYTES:,}.",
            kind="bad-card",
            hint="keep images out of it, and link to what is long.",
            path=what,
        )
    try:
        text = text_of(data)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise bad_card(what, line, "it is not UTF-8 text", "save it as UTF-8.") from error
    fenced = _FENCED.match(text)
    if fenced is None:
        if begun := _BEGUN.match(text):
            line = text[: begun.end()].count("\n") + 1
            raise bad_card(what, line, "its front matter has no end", "end it with a line of three dashes (---).")
        return FrontMatter({}, {}, text, text)
    first = text[: fenced.start(1)].count("\n") + 1
    values, lines = _mapping(fenced[1], first, what)
    return FrontMatter(values, lines, text, text[fenced.end() :].lstrip("\n"))


def markdown_of(text: str) -> str:
    """The Markdown of a README, without the front matter that it may begin with."""
    fenced = _FENCED.match(text)
    return text if fenced is None else text[fenced.end() :].lstrip("\n")


def bad_card(what: str, line: int, reason: str, hint: str) -> UsageError:
    """What to raise for a card that cannot be read."""
    return UsageError(f"{what}, line {line}: {reason}.", kind="bad-card", hint=hint, path=what, line=line)


def _mapping(text: str, first: int, what: str) -> tuple[dict[str, YamlValue], dict[str, int]]:
    try:
        _check_events(yaml.parse(text, Loader=_LOADER), first, what)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = plain(str(getattr(error, "problem", None) or error))
        line = first + (mark.line if mark else 0)
        raise bad_card(what, line, f"its front matter is not YAML: {problem}", "correct that line.") from error
    if node is None:
        return {}, {}
    if not isinstance(node, yaml.MappingNode):
        raise bad_card(what, first, "its front matter is no mapping", "write keys with values, such as license: mit.")
    values = _value(node, first, what)
    assert isinstance(values, dict)
    return values, {key.value: first + key.start_mark.line for key, _ in node.value}


def _check_events(events: Iterator[Any], first: int, what: str) -> None:
    """Before anything is built of them: no anchors, no depth or number of values that takes a machine."""
    depth = 0
    for count, event in enumerate(events):
        line = first + event.start_mark.line
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise bad_card(what, line, "it has an anchor (& or *)", "write the value out, or put it in quotes.")
        if depth > MAX_YAML_DEPTH or count > MAX_YAML_VALUES:
            reason = f"its front matter has more than {MAX_YAML_DEPTH} levels or {MAX_YAML_VALUES:,} values"
            raise bad_card(what, line, reason, "keep what is long in the Markdown below it.")


def _value(node: Any, first: int, what: str) -> YamlValue:
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, first, what) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        values: dict[str, YamlValue] = {}
        for key, value in node.value:
            line = first + key.start_mark.line
            if not isinstance(key, yaml.ScalarNode):
                raise bad_card(what, line, "a key is no text", "correct that line.")
            if key.value in values:
                raise bad_card(what, line, f"the key {shown(key.value)} occurs twice", "leave one of the two.")
            values[key.value] = _value(value, first, what)
        return values
    return None if node.style is None and node.value in _NULLS else str(node.value)
