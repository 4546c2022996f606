"""One moving line on stderr while long work runs; nothing at all where stderr is no terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from modhub.cli import printing
from modhub.storage.progress import Unit, heard_by

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class ProgressLine:
    """A context; the line is gone when it ends, however it ends. ``doing`` is what comes first."""

    def __init__(self, doing: str) -> None:
        self._bar: RichProgress | None = None
        self._terminal: TextIO | None = None
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not printing.is_quiet():
            # 30 ms, which only a terminal is worth.
            from rich.console import Console
            from rich.progress import Progress as RichProgress

            from modhub.storage.progress_bar import Rate, amount_text, columns

            self._amount_text, self._rate = amount_text, Rate()
            # A file of its own, so that the line keeps moving while ``quiet`` hides what native code writes to stderr.
            self._terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding)
            self._bar = RichProgress(
                *columns(),
                console=Console(file=self._terminal),
                transient=True,
                # What is printed meanwhile goes above the line; but never from a pipe's stdout to the terminal.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._task = self._bar.add_task(doing, total=None, amount="", rate="")

    def __enter__(self) -> ProgressLine:
        if self._bar is not None:
            self._bar.start()
        self._heard = heard_by(self)
        self._heard.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heard.__exit__(kind, error, trace)
        if self._bar is not None:
            self._bar.stop()
        if self._terminal is not None:
            self._terminal.close()

    def doing(self, what: str) -> None:
        """Work whose length is unknown."""
        if self._bar is not None:
            self._bar.update(self._task, description=what, total=None, completed=0, amount="", rate="")

    def at(self, what: str, done: int, total: int, unit: Unit = "") -> None:
        """So much of all, in ``unit``."""
        if self._bar is not None:
            amount, rate = self._amount_text(done, total, unit), self._rate.text(what, done, unit)
            self._bar.update(self._task, description=what, total=total, completed=done, amount=amount, rate=rate)

    def bytes(self, what: str, done: int, total: int) -> None:
        """So many bytes of all."""
        self.at(what, done, total, "bytes")

    def steps(self, what: str, unit: Unit = "") -> Callable[[int, int], None]:
        """``at`` for callers that say only how far they are."""
        return lambda done, total: self.at(what, done, total, unit)
