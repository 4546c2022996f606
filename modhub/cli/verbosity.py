"""``-v`` and ``-q``: how much of what modhub does is said on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

from modhub.cli import printing
from modhub.spec.log import DETAIL, INFO, record


@contextmanager
def heard(given: Sequence[str]) -> Iterator[None]:
    """Print what the logger ``modhub`` says as often as ``-v`` is among ``given``, and less for ``-q``.

    With ``-v`` the last line says how long all of it took, and how long the processor worked.
    """
    words = list(takewhile(lambda word: word != "--", given))
    verbose = _count(words, "v", "--verbose")
    printing.keep_quiet(_count(words, "q", "--quiet"))
    if not verbose:
        yield
        return
    import logging  # 5 ms, for those who listen

    class _Lines(logging.Handler):
        def emit(self, said: logging.LogRecord) -> None:
            printing.echo(printing.printable(f"{said.name.removeprefix('modhub.')}: {said.getMessage()}"), err=True)

    logger, handler = logging.getLogger("modhub"), _Lines()
    before = logger.level, logger.propagate
    logger.setLevel(DETAIL if verbose > 1 else INFO)
    logger.propagate = False
    logger.addHandler(handler)
    began, worked = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        processor = time.process_time() - worked
        record("cli", "done in %.2f s, of which %.2f s of processor time", time.perf_counter() - began, processor)
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _count(words: Sequence[str], letter: str, name: str) -> int:
    """How often a flag is given: ``-v -v``, ``-vv`` and ``--verbose`` count."""
    short = [word for word in words if len(word) > 1 and word[0] == "-" and set(word[1:]) <= {"v", "q"}]
    return sum(word.count(letter) for word in short) + list(words).count(name)
