"""Debian's chromium, driven by playwright, and what of a page is watched while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: Names of the browser, as distributions have it.
PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: What a planted script writes where it can, and asks for.
MARK = "planted-payload-ran"


def chromium_path() -> str | None:
    """Where chromium is, None where it is not installed."""
    return next((place for place in PLACES if Path(place).is_file()), None)


@dataclass
class Watched:
    """What happened on a page that our own pages never do. ``origin`` is where it may ask for things."""

    origin: str
    dialogs: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def everything(self) -> list[str]:
        """All of it, in words; empty where all was well."""
        return [
            f"{name}: {text}"
            for name in ("dialogs", "foreign", "left", "console", "errors", "failed", "opened")
            for text in dict.fromkeys(getattr(self, name))
        ]

    def is_own(self, url: str) -> bool:
        """Whether a URL is of the origin that is watched; what is in the page itself leaves no trace."""
        return url.startswith(f"{self.origin}/") or urlsplit(url).scheme in ("blob",) or url == "about:blank"


@contextmanager
def watched(page: Any, origin: str) -> Iterator[Watched]:
    """Watch ``page``: dialogs, requests to and navigations to elsewhere, the console, errors, windows."""
    seen = Watched(origin)

    def dialog(each: Any) -> None:
        seen.dialogs.append(each.message)
        each.dismiss()

    def request(each: Any) -> None:
        if not seen.is_own(each.url):
            seen.foreign.append(each.url)

    def response(each: Any) -> None:
        if each.status >= 400:
            seen.failed.append(f"{each.status} {each.url}")

    def navigated(frame: Any) -> None:
        if not seen.is_own(frame.url):
            seen.left.append(frame.url)

    def said(message: Any) -> None:
        if MARK in message.text or message.type in ("error", "warning"):
            seen.console.append(f"{message.type} {message.text}")

    listeners = {
        "dialog": dialog,
        "request": request,
        "response": response,
        "framenavigated": navigated,
        "console": said,
        "pageerror": lambda error: seen.errors.append(str(error)),
        "popup": lambda other: seen.opened.append(other.url),
    }
    for name, listener in listeners.items():
        page.on(name, listener)
    try:
        yield seen
    finally:
        for name, listener in listeners.items():
            page.remove_listener(name, listener)
