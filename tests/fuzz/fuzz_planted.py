"""Readers with the faults that the fuzzer is there to find, to see that it does."""

from __future__ import annotations

import os
import signal
from random import Random

from fuzz_kinds import Case, Kind, attempt

from modhub.errors import IntegrityError
from modhub.limits import GIB


def _make(chance: Random) -> Case:
    return {"file": chance.randbytes(3)}


def _is_bad(case: Case) -> bool:
    return case["file"][0] >= 128


def _sound(case: Case) -> bool:
    def refuse() -> None:
        raise IntegrityError("it is bad.")

    return not _is_bad(case) or bool(attempt(refuse))


def _raises(case: Case) -> bool:
    if _is_bad(case):
        raise KeyError("checksum")
    return True


def _leaks(case: Case) -> bool:
    raise IntegrityError("outside of attempt(), an error of ours is a fault of the fuzzer's.")


def _steers_the_terminal(case: Case) -> bool:
    def refuse() -> None:
        raise IntegrityError("it is \x1b[31mred\x1b[0m.")

    return bool(attempt(refuse))


class _Unbounded(IntegrityError):
    """What the bound in ``ModhubError`` keeps from happening."""

    def __str__(self) -> str:
        return "x" * 10_000


def _talks(case: Case) -> bool:
    def refuse() -> None:
        raise _Unbounded("a message")

    return bool(attempt(refuse))


def _allocates(case: Case) -> bool:
    return bool(bytearray(GIB))


def _dies(case: Case) -> bool:
    if _is_bad(case):
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def _hangs(case: Case) -> bool:
    while True:
        pass


KINDS = [
    Kind("sound", 1, _make, _sound),
    Kind("raises", 1, _make, _raises),
    Kind("leaks", 1, _make, _leaks),
    Kind("steers the terminal", 1, _make, _steers_the_terminal),
    Kind("talks", 1, _make, _talks),
    Kind("allocates", 1, _make, _allocates),
    Kind("dies", 1, _make, _dies),
    Kind("hangs", 1, _make, _hangs),
]
