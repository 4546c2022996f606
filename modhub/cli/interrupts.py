"""Ctrl-C ends a command with one line and exit code 130, whatever is being imported at that moment.

Until a command does something, there is nothing to tidy up, and libraries may swallow an exception that is raised
while they are imported; so the process ends at once. While a command works, Ctrl-C is the exception KeyboardInterrupt
as always, so that nothing is left half done.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

#: What a shell reports of a process that SIGINT ended.
EXIT_CODE: Final = 130
MESSAGE: Final = "interrupted."
KIND: Final = "interrupted"

_Handler = Callable[[int, FrameType | None], object] | int | None


def end_at_once(*, as_json: bool = False) -> _Handler:
    """Let Ctrl-C end the process without an exception. Gives what was done with it before."""
    text = f'{{"error": "{KIND}", "message": "{MESSAGE}", "hint": null}}' if as_json else f"error: {MESSAGE}"

    def end(number: int, frame: FrameType | None) -> None:
        # As bytes to the descriptor: what Python's streams are doing at this moment is unknown.
        os.write(2, f"{text}\n".encode())
        os._exit(EXIT_CODE)

    return handle(end)


def handle(handler: _Handler) -> _Handler:
    """Set what Ctrl-C does, and give what it did; only the main thread may, elsewhere nothing changes."""
    try:
        return signal.signal(signal.SIGINT, handler)
    except ValueError:
        return handler


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt inside, also when the command was going to end at once."""
    before = handle(signal.default_int_handler)
    try:
        yield
    finally:
        handle(before)


@contextmanager
def never_swallowed() -> Iterator[None]:
    """For imports of large libraries: KeyboardInterrupt leaves even where one of them turned it into something else."""
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    before = handle(note)
    try:
        yield
    except Exception:
        if not came:
            raise
    finally:
        handle(before)
        if came:
            raise KeyboardInterrupt from None
