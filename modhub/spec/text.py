"""How text is compared, and how shares are written where people read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def composed(text: str) -> str:
    """``text`` in Unicode's composed form (NFC): é as one character, however it was written."""
    return unicodedata.normalize("NFC", text)


def find_class(name: str, classes: Iterable[str]) -> str | None:
    """That of ``classes`` which ``name`` means, spelled as it stands there: the same text, else the same in NFC."""
    names = list(classes)
    if name in names:
        return name
    same = [each for each in names if composed(each) == composed(name)]
    return same[0] if len(same) == 1 else None


def percent(share: float | None) -> str:
    """``0.9342`` as ``93.4%``; a dash for None."""
    return "-" if share is None else f"{share:.1%}"
