"""One way to write labels among other words, the same in every command: ``cat,"dog, big"``, ``"a=b"=me/two:cat``.

A part that begins with a double quote is a label in quotes: everything up to the next quote is meant as it stands, and
two quotes in a row are one. Any other part is what it says, without blanks around it. So what has ``=``, ``,``, blanks
at an end or a quote at its beginning is put in quotes, and so may be what begins with ``-``, which is no option then.
"""

from __future__ import annotations

import re
from typing import Final

from modhub.errors import UsageError, shown

_QUOTED: Final = re.compile(r'\s*"((?:[^"]|"")*)"\s*')
RULE: Final = "put a label with =, or , or blanks at its ends in double quotes, a quote in it twice: '\"a=b\"'."


def split_labels(text: str, separator: str, most: int = -1) -> list[str]:
    """``text`` at each ``separator``, a comma or an equals sign, outside quotes, or at the first ``most``; quotes stay.

    Raises UsageError, kind ``bad-quotes``, for quotes that do not end, or do not end the part.
    """
    parts: list[str] = []
    start = at = 0
    while len(parts) != most:
        quoted = _QUOTED.match(text, at)
        if quoted is None and text[at:].lstrip().startswith('"'):
            raise _bad(text)
        end = quoted.end() if quoted else at
        # A comma begins another label, whatever is looked for.
        found = re.compile(f"[,{separator}]").search(text, end)
        if quoted and end != (found.start() if found else len(text)):
            raise _bad(text)
        if found is None:
            break
        at = found.end()
        if found[0] == separator:
            parts.append(text[start : found.start()])
            start = at
    return [*parts, text[start:]]


def label_of(part: str) -> str:
    """The label that a part means, without its quotes or the blanks around it. Raises UsageError, ``bad-quotes``."""
    if not part.lstrip().startswith('"'):
        return part.strip()
    quoted = _QUOTED.fullmatch(part)
    if quoted is None:
        raise _bad(part)
    return quoted[1].replace('""', '"')


def labels_of(text: str) -> list[str]:
    """``cat,"dog, big"`` as labels; empty parts are none. Raises UsageError, kind ``bad-quotes``."""
    return [label_of(part) for part in split_labels(text, ",") if part.strip()]


def quoted_label(label: str) -> str:
    """``label`` as any command reads it."""
    plain = label == label.strip() and not re.search(r'[=,]|^["-]', label) and label
    return label if plain else '"' + label.replace('"', '""') + '"'


def _bad(text: str) -> UsageError:
    return UsageError(
        f"{shown(text)} has quotes that do not end, or do not end a label.", kind="bad-quotes", hint=RULE, argument=text
    )
