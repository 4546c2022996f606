"""The bar that Python shows while long work runs: one line in a terminal, one piece of HTML in a notebook."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from modhub.spec.html import Bar, HtmlTable, as_html
from modhub.storage.progress import Unit, in_notebook

#: Seconds of work before anything is shown, and between two pictures in a notebook.
LATE: Final = 2.0
_BETWEEN: Final = 0.25
_STEPS: Final = ("kB", "MB", "GB", "TB")


def columns() -> list[ProgressColumn]:
    """What a line shows: what is done, a bar, how much of all, the rate, the time that is left."""
    return [
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}", markup=False),
        TextColumn("{task.fields[rate]}", markup=False, style="progress.data.speed"),
        TimeRemainingColumn(compact=True),
    ]


def amount_text(done: int, total: int, unit: Unit) -> str:
    """``1,024/50,000 images``."""
    if unit == "bytes":
        return f"{_bytes(done)}/{_bytes(total)}"
    return f"{done:,}/{total:,} {unit}".rstrip()


class Rate:
    """How fast one piece of work goes, from when it was first heard of."""

    def __init__(self) -> None:
        self._what = ""
        self._since = 0.0
        self._before = 0

    def text(self, what: str, done: int, unit: Unit) -> str:
        """``312 images/s``; empty where nothing can be said yet."""
        now = time.monotonic()
        if what != self._what or done < self._before:
            self._what, self._since, self._before = what, now, done
        if done <= self._before or now <= self._since:
            return ""
        rate = (done - self._before) / (now - self._since)
        if unit == "bytes":
            return f"{_bytes(rate)}/s"
        return f"{rate:,.{0 if rate >= 10 else 1}f}{f' {unit}' if unit else ''}/s"


class LateBar:
    """A listener that shows nothing of work that is soon done."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._rate = Rate()
        self._line: RichProgress | None = None
        self._picture: Any = None
        self._drawn = 0.0

    def at(self, what: str, done: int, total: int, unit: Unit = "") -> None:
        rate = self._rate.text(what, done, unit)
        if time.monotonic() - self._start < LATE:
            return
        amount = amount_text(done, total, unit)
        if in_notebook():
            self._draw(what, done / max(total, 1), amount, rate)
            return
        if self._line is None:
            self._line = RichProgress(*columns(), console=Console(file=sys.stderr), transient=True)
            self._task = self._line.add_task(what, total=total, amount=amount, rate=rate)
            self._line.start()
        self._line.update(self._task, description=what, total=total, completed=done, amount=amount, rate=rate)

    def close(self) -> None:
        """Take it away again."""
        if self._line is not None:
            self._line.stop()
        if self._picture is not None:
            self._picture.update(self._html(""))

    def _draw(self, what: str, share: float, amount: str, rate: str) -> None:
        now = time.monotonic()
        if now - self._drawn < _BETWEEN:
            return
        self._drawn = now
        picture = self._html(as_html("", (), [HtmlTable((), [[what, Bar(share, amount), rate]], 1)]))
        if self._picture is None:
            self._picture = import_module("IPython.display").display(picture, display_id=True)
        else:
            self._picture.update(picture)

    @staticmethod
    def _html(text: str) -> Any:
        return import_module("IPython.display").HTML(text)


def _bytes(count: float) -> str:
    if count < 1000:
        return f"{count:.0f} B"
    for step in _STEPS:
        count /= 1000
        if count < 1000 or step == _STEPS[-1]:
            break
    return f"{count:.1f} {step}"
