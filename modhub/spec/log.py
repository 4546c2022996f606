"""What modhub does, for Python's ``logging`` under the logger ``modhub``: requests, cache hits, what names resolved to.

Importing ``logging`` takes as long as a name takes to be looked up, so it is left to whoever listens: nobody can have
asked for a record without having imported it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: The levels of ``logging``, by their numbers.
INFO: Final = 20
DETAIL: Final = 10


def record(part: str, message: str, *values: object, level: int = INFO) -> None:
    """Say ``message % values`` under the logger ``modhub.part``.

    >>> import logging
    >>> logging.getLogger("modhub").setLevel(logging.INFO)
    >>> record("install", "%d modules are in the cache", 3)
    """
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger(f"modhub.{part}").log(level, message, *values)


@contextmanager
def timing(part: str, message: str, *values: object, level: int = INFO) -> Iterator[None]:
    """Say it with how long the body took, also when it fails."""
    began = time.perf_counter()
    try:
        yield
    finally:
        record(part, f"{message}, in %.0f ms", *values, 1000 * (time.perf_counter() - began), level=level)
