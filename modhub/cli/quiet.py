"""Stderr belongs to the person: libraries keep their start-up talk to themselves, and warnings are single lines."""

from __future__ import annotations

import faulthandler
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final, TextIO

from modhub.cli.interrupts import never_swallowed
from modhub.cli.printing import warn

_PACKAGE: Final = str(Path(__file__).parents[1])
_LEVEL: Final = "TF_CPP_MIN_LOG_LEVEL"


def let_backends_talk() -> None:
    """For ``--debug``: hide nothing that ``load_engine`` would hide."""
    os.environ.setdefault(_LEVEL, "0")


def load_engine() -> None:
    """Import keras and its backend, without what they log about themselves, unless it was asked for.

    A log level that the user has set decides what the backend says later; only at 0 it may greet too.
    """
    if os.environ.setdefault(_LEVEL, "3") == "0" or "keras" in sys.modules:
        with never_swallowed():
            import_module("modhub.engine.run.network")
        return
    import logging  # with tempfile and faulthandler below, 5 ms that only a network is worth

    with _native_stderr_hidden(), never_swallowed():
        import_module("modhub.engine.run.network")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _native_stderr_hidden() -> Iterator[None]:
    """Keep what native code writes to stderr, and give it back when the body fails.

    TensorFlow heeds its log level only after it has greeted, so nothing gentler reaches the greeting.
    """
    try:
        visible = os.dup(2)
    except OSError:  # stderr is closed, and nothing can be seen anyway
        yield
        return
    import tempfile

    with tempfile.TemporaryFile() as hidden, os.fdopen(visible, "wb", buffering=0) as stderr:
        sys.stderr.flush()
        was_enabled = faulthandler.is_enabled()
        # A crash of native code would take its message along; this says at least where it was.
        faulthandler.enable(stderr)
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except Exception:
            hidden.seek(0)
            stderr.write(hidden.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr.fileno(), 2)
            faulthandler.disable()
            if was_enabled:
                faulthandler.enable(2)


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
