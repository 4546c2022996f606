"""Energy counters as values, and adding up what one of them says.

Hardware counts in a register that starts again at zero; a tally that is advanced at least once a turn counts right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Part = Literal["cpu", "dram", "gpu"]
PARTS: Final[tuple[Part, ...]] = ("cpu", "dram", "gpu")


@dataclass(frozen=True)
class Counter:
    """One source of joules.

    ``read`` gives joules since some moment; it may raise OSError or ValueError. ``wraps_at``: the joules at which the
    count starts again at zero, None for never. ``device`` is what a figure's source names. An ``estimate`` counts only
    what this process itself uses; anything else counts the whole machine, so that others' power is to be subtracted.
    """

    part: Part
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
            # A counter that goes back without a known range was set back: nothing tells what passed meanwhile.
            step = max(0.0, step + self.counter.wraps_at) if self.counter.wraps_at else 0.0
        self._joules += step
        self._last, self._heard = value, now

    def joules(self, now: float) -> float:
        """Joules until ``now``; a counter that fell silent goes on at its mean, so that its loss hides no energy."""
        heard = self._heard - self._start
        if not self.lost or heard <= 0:
            return self._joules
        return self._joules * (now - self._start) / heard
