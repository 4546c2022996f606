"""How text files of any editor are read, how text is compared, and how shares are written where people read them."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable
from typing import Final

#: What some editors begin a file with, and the encoding that it means; UTF-32's begin with those of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"", "utf-8"),
)

#: Characters of a name, and of several together, in a line that says what a value is.
_LONGEST_SHOWN: Final = 60
_MOST_SHOWN: Final = 240

#: How the name of images ends that modules were made with, where an accuracy on them is recorded.
OBSERVED: Final = " (observed)"


def text_of(data: bytes) -> str:
    """The text of a file that any editor wrote, its lines ended by ``\\n``: UTF-8, or what its byte order mark says.

    Raises UnicodeDecodeError.
    """
    mark, encoding = _written_in(data)
    return data.removeprefix(mark).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def bytes_like(text: str, data: bytes) -> bytes:
    """``text`` as the file that held ``data`` writes it: with its byte order mark and its ends of lines."""
    mark, encoding = _written_in(data)
    before = data.removeprefix(mark).decode(encoding)
    ended = text.replace("\n", "\r\n") if 2 * before.count("\r\n") > before.count("\n") else text
    return mark + ended.encode(encoding)


def _written_in(data: bytes) -> tuple[bytes, str]:
    return next((mark, encoding) for mark, encoding in _MARKS if data.startswith(mark))


def is_observed(data: str) -> bool:
    """Whether ``data``, as an accuracy names it, are images that modules were made with, and not held-out ones."""
    return data.endswith(OBSERVED)


def in_short(names: Iterable[str], *, longest: int = _LONGEST_SHOWN) -> str:
    """Names with commas between, as far as a few hundred characters hold them, and how many more there are.

    ``longest`` is how many characters of one name are shown.
    """
    every = list(names)
    shown: list[str] = []
    for name in every:
        name = name if len(name) <= longest else f"{name[: longest - 3]}..."
        if shown and sum(map(len, shown)) + len(name) > _MOST_SHOWN:
            break
        shown.append(name)
    rest = len(every) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def composed(text: str) -> str:
    """``text`` in Unicode's composed form (NFC): é as one character, however it was written."""
    return unicodedata.normalize("NFC", text)


def find_class(name: str, classes: Iterable[str]) -> str | None:
    """That of ``classes`` which ``name`` means, spelled as it is there: the same text, else the same in NFC."""
    names = list(classes)
    if name in names:
        return name
    same = [each for each in names if composed(each) == composed(name)]
    return same[0] if len(same) == 1 else None


def percent(share: float | None) -> str:
    """``0.9342`` as ``93.4%``; a dash for None."""
    return "-" if share is None else f"{share:.1%}"


def kept_share(kept: int, nodes: int) -> float:
    """Kept nodes as a share of all; 1.0 for a network without a ReLU, which has none and is kept whole."""
    return kept / nodes if nodes else 1.0
