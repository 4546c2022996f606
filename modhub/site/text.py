"""Text from a registry on a page: escaped, of no influence on what stands around it; figures as people read them."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

from modhub.spec.text import percent

#: Characters that turn the direction of text, or that nobody sees: shown by their number.
_UNSEEN: Final = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def unhidden(text: str) -> str:
    """``text`` with what turns its direction, or cannot be seen, as ``<U+202E>``."""
    if text.isascii():
        return text
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def isolated(text: object) -> Markup:
    """``text`` for a page: escaped, visible, and of no influence on the direction of what stands beside it."""
    return Markup(f"<bdi>{escape(unhidden(str(text)))}</bdi>")


def paragraphs(text: str) -> Markup:
    """Text of several lines: a paragraph for each that is set off by an empty line."""
    parts = [part.strip() for part in unhidden(text).split("\n\n")]
    return Markup("").join(Markup('<p dir="auto">{}</p>').format(escape(part)) for part in parts if part)


def grouped_digits(number: int) -> Markup:
    """``1234567`` as ``1,234,567``."""
    return Markup(f"{number:,}")


def share_text(share: float | None) -> Markup:
    """``percent``, for a page: there are many, and none needs to be escaped."""
    return Markup(percent(share))


def share_bar(share: float) -> Markup:
    """A share as a bar, for who sees it; its text stands beside it."""
    return Markup(
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="6"/><rect class="fill" width="{100 * share:.1f}" height="6"/></svg>'
    )


def span_bar(least: float, mean: float, most: float) -> Markup:
    """As ``share_bar``: from the least to the most, and the mean."""
    width = max(100 * (most - least), 0.8)
    return Markup(
        '<svg class="bar wide" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="6"/><rect class="fill soft" x="{100 * least:.1f}" width="{width:.1f}"'
        f' height="6"/><rect class="fill" x="{100 * mean:.1f}" width="0.8" height="6"/></svg>'
    )


def amount_of_bytes(count: int) -> str:
    """``1536`` as ``1.5 KiB``."""
    size = float(count)
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.3g} {unit}" if unit != "bytes" and size < 100 else f"{size:,.0f} {unit}"
        size /= 1024
    return f"{size:,.1f} {_UNITS[-1]}"


def date_text(moment: str) -> str:
    """``2026-01-01T10:00:00+00:00`` as ``2026-01-01 10:00``; any other text as it is."""
    found = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(\.\d+)?(\+00:00|Z)?\Z", moment)
    return f"{found[1]} {found[2]} UTC" if found else moment


def short_digest(digest: str) -> str:
    """The beginning of a digest, enough to tell two apart."""
    return digest.removeprefix("sha256:")[:12]


def is_web_url(url: str) -> bool:
    """Whether a link may lead there: http and https, nothing that runs or holds data."""
    return re.match(r"https?://[^\s\x00-\x20]", url, re.IGNORECASE) is not None
