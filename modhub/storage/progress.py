"""How far long work is: who does it tells, and whoever listens shows it.

Work that may take seconds calls ``tell``, or a ``Progress`` that it was given. The command line listens while a command
runs; in Python ``progress_shown`` opens a bar after two seconds, in terminals and notebooks only. Else nobody hears.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Final, Literal, Protocol

#: Called with what is being done, the bytes done and the bytes in all.
Progress = Callable[[str, int, int], None]
#: What is counted.
Unit = Literal["bytes", "images", "batches", "steps", ""]

#: Says whether progress is shown in Python: 1 or 0; without it where a person watches.
VARIABLE: Final = "MODHUB_PROGRESS"


class ProgressListener(Protocol):
    """Shows how far work is."""

    def at(self, what: str, done: int, total: int, unit: Unit = "") -> None:
        """``done`` of ``total`` units of what is being done."""


_listener: ContextVar[ProgressListener | None] = ContextVar("progress", default=None)


def is_heard() -> bool:
    """Whether anybody listens here."""
    return _listener.get() is not None


def tell(what: str, done: int, total: int, unit: Unit) -> None:
    """Say how far work is; nothing happens where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener.at(what, done, total, unit)


def told(unit: Unit) -> Progress | None:
    """What tells whoever listens now, also when it is called from other threads; None where nobody does."""
    listener = _listener.get()
    return None if listener is None else lambda what, done, total: listener.at(what, done, total, unit)


def told_of(what: str, unit: Unit) -> Callable[[int, int], None] | None:
    """``told`` for work that says only how far it is."""
    progress = told(unit)
    return None if progress is None else lambda done, total: progress(what, done, total)


@contextmanager
def heard_by(listener: ProgressListener | None) -> Iterator[None]:
    """Let ``listener``, or nobody, hear of all work inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def progress_shown() -> Iterator[None]:
    """Show how far the work inside is when it takes more than two seconds and a person watches; a decorator too.

    Where a caller listens already it is the caller's to show.
    """
    if is_heard() or not _is_watched():
        yield
        return
    # rich, IPython and what they need, which most work is done before.
    bar = import_module("modhub.storage.progress_bar").LateBar()
    try:
        with heard_by(bar):
            yield
    finally:
        bar.close()


def _is_watched() -> bool:
    wanted = os.environ.get(VARIABLE)
    if wanted is not None:
        return wanted.lower() not in ("", "0", "no", "false", "off")
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb")


def in_notebook() -> bool:
    """Whether this is Python in a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")
