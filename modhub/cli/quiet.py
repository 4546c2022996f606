"""Stderr belongs to the person: libraries keep their start-up talk to themselves, and warnings are single lines."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from modhub.cli.printing import warn

_PACKAGE = str(Path(__file__).parents[1])


def silence_backends() -> None:
    """Tell TensorFlow's native side to print nothing below fatal. It reads this once, when it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def warnings_as_lines(*, everything: bool) -> Iterator[None]:
    """Show every warning of modhub's as one line, once; those of libraries only if ``everything`` is wanted."""
    shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message)
        if text not in shown and (everything or filename.startswith(_PACKAGE)):
            shown.add(text)
            warn(text if filename.startswith(_PACKAGE) else f"{filename}:{lineno}: {category.__name__}: {text}")

    with warnings.catch_warnings():
        # "always", because Python's own "once" counts a warning that was shown before this command began.
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield
