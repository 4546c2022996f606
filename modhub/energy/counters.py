"""Energy counters as values, and adding up what one of them says.

Hardware counts in a register that starts again at zero; a tally that is advanced at least once a turn counts right.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

PowerPart = Literal["cpu", "dram", "gpu"]
PARTS: Final[tuple[PowerPart, ...]] = ("cpu", "dram", "gpu")


@dataclass(frozen=True)
class Counter:
    """One source of joules.

    ``read`` gives joules since some moment; it may raise OSError or ValueError. ``wraps_at``: the joules at which the
    count starts again at zero, None for never. ``device`` is what a figure's source names. An ``estimate`` counts only
    what this process itself uses; anything else counts the whole machine, so that others' power is to be subtracted.
    """

    part: PowerPart
    source: str
    device: str
    read: Callable[[], float]
    wraps_at: float | None = None
    estimate: bool = False


class Tally:
    """The joules that a counter has counted since the tally was made, in seconds of the meter's clock."""

    def __init__(self, counter: Counter, now: float) -> None:
        self.counter = counter
        self.lost = False
        self._start = self._heard = now
        self._joules = 0.0
        self._last = 0.0
        try:
            self._last = counter.read()
        except (OSError, ValueError):
            self.lost = True

    def advance(self, now: float) -> None:
        """Read the counter. One that fails is left alone from then on."""
        if self.lost:
            return
        try:
            value = self.counter.read()
        except (OSError, ValueError):
            self.lost = True
            return
        step = value - self._last
        if step < 0:
            # A counter that goes back without a known range was set back: nothing says what was used meanwhile.
            step = max(0.0, step + self.counter.wraps_at) if self.counter.wraps_at else 0.0
        self._joules += step
        self._last, self._heard = value, now

    def joules(self, now: float) -> float:
        """Joules until ``now``; one that stopped answering continues at its mean, so that its loss hides no energy."""
        heard = self._heard - self._start
        if not self.lost or heard <= 0:
            return self._joules
        return self._joules * (now - self._start) / heard


#: Watts of one core that is busy: what codecarbon takes for a processor that it does not know.
WATTS_PER_CORE: Final = 4.0
#: Watts of one GiB of memory: 3 W for each module of 8 GiB, the rule of thumb that such tools share.
WATTS_PER_GIB: Final = 3 / 8
_GIB: Final = 2**30
#: Where a platform does not report a process's memory.
_UNKNOWN_MEMORY_GIB: Final = 4.0


def cpu_estimate(watts_per_core: float = WATTS_PER_CORE) -> Counter:
    """Processor time of this process and of its children that have ended, times the watts of a core."""
    cores = os.cpu_count() or 1
    source = f"estimate: {watts_per_core:g} W for each of {cores} cores while this process keeps it busy"
    return Counter("cpu", source, "", lambda: watts_per_core * _busy_seconds(), estimate=True)


def dram_estimate(clock: Callable[[], float] = time.perf_counter) -> Counter:
    """The peak memory of this process so far, in GiB, times the watts of one."""
    source = f"estimate: {WATTS_PER_GIB:g} W for each GiB of this process's peak memory"
    return Counter("dram", source, "", integrated(lambda: WATTS_PER_GIB * _peak_gib(), clock), estimate=True)


def _busy_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _peak_gib() -> float:
    try:
        import resource  # not on every system
    except ImportError:
        return _UNKNOWN_MEMORY_GIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GIB


def integrated(watts: Callable[[], float], clock: Callable[[], float]) -> Callable[[], float]:
    """Joules from power that is sampled now and then: trapezoids between the samples."""
    joules, last, before = 0.0, clock(), watts()

    def read() -> float:
        nonlocal joules, last, before
        now, here = clock(), watts()
        joules += (now - last) * (before + here) / 2
        last, before = now, here
        return joules

    return read
