"""The meter: reads counters while work runs, takes away what the machine drew before, and applies the equations.

A thread reads once a second, because counters of processors start again at zero after some minutes. The background is
measured once a process, before the first work that wants it; a meter inside another one uses what the outer one found.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from numbers import Real
from types import TracebackType
from typing import Final

from modhub.energy.counters import PARTS, Counter, PowerPart, Tally
from modhub.energy.result import KG_PER_LB, PAPER_LB_PER_KWH, PAPER_PUE, EnergyResult, Figure
from modhub.errors import ModhubError, UsageError
from modhub.spec.manifest import EnergySpent

#: Seconds between two readings.
_PERIOD: Final = 1.0
#: Kilograms of CO2e for a kWh, as the paper takes it.
PAPER_INTENSITY: Final = PAPER_LB_PER_KWH * KG_PER_LB
#: Seconds of background, as the paper measures it.
BACKGROUND: Final = 10.0


class EstimateWarning(UserWarning):
    """No counter could be read, so figures are estimates. ``kind`` is that of the error of ``require_counter``."""

    kind = "no-power-counter"


@dataclass
class Instruments:
    """The counters to read, and time. ``missing`` says why a part has no counter of its own.

    ``wait`` lets so many seconds pass. A part without any counter counts as absent, with the reason as its source,
    except where ``unread`` names it: then it is there and cannot be read.
    """

    counters: Sequence[Counter]
    missing: Mapping[PowerPart, str] = field(default_factory=dict)
    unread: frozenset[PowerPart] = frozenset()
    clock: Callable[[], float] = time.perf_counter
    wait: Callable[[float], None] = time.sleep
    _background: tuple[float, dict[PowerPart, float]] | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _warned: bool = field(default=False, init=False)

    @property
    def estimated(self) -> list[PowerPart]:
        """The parts that no counter measures, memory aside: many processors have none for it."""
        guessed = {counter.part for counter in self.counters if counter.estimate} | self.unread
        return [part for part in PARTS if part in guessed and part != "dram"]

    def background(self, seconds: float) -> tuple[float, dict[PowerPart, float]]:
        """The seconds of background measured, and the mean watts of each part meanwhile; the first call waits."""
        with self._lock:
            if self._background is None:
                counters = [counter for counter in self.counters if not counter.estimate]
                # An estimate counts this process alone: there is no background to wait for.
                if not counters:
                    return 0.0, {}
                start = self.clock()
                tallies = [Tally(counter, start) for counter in counters]
                self.wait(seconds)
                now = self.clock()
                for tally in tallies:
                    tally.advance(now)
                self._background = now - start, _watts(tallies, start, now)
            return self._background

    def found_background(self) -> tuple[float, dict[PowerPart, float]]:
        """The background as far as it was measured already."""
        return self._background or (0.0, {})

    def check(self) -> None:
        """Raise ModhubError, kind ``no-power-counter``, when the CPU or a GPU has no readable counter."""
        if self.estimated:
            reasons = self._reasons()
            raise ModhubError(
                f"no readable power counter: {reasons}.",
                kind="no-power-counter",
                hint=f"{self._remedy()}, or accept an estimate.",
                parts=list(self.estimated),
            )

    def warn_once(self) -> None:
        """Say, the first time, that figures will be estimates."""
        if self.estimated and not self._warned:
            self._warned = True
            text = (
                f"no readable power counter, so energy is an estimate: {self._reasons()}. To measure, {self._remedy()}."
            )
            warnings.warn(EstimateWarning(text), stacklevel=4)

    def _reasons(self) -> str:
        return "; ".join(self.missing.get(part, part) for part in self.estimated)

    def _remedy(self) -> str:
        steps = []
        if "cpu" in self.estimated:
            steps.append("run on hardware whose /sys/class/powercap/intel-rapl:*/energy_uj this user may read")
        if "gpu" in self.estimated:
            steps.append("pip install 'modhub[energy]'")
        return " and ".join(steps)


@dataclass(frozen=True)
class _Mark:
    """A moment of a running meter: the clock, and the joules of every counter."""

    at: float
    joules: tuple[float, ...]


class Meter:
    """A context around work; ``result`` is what it drew so far, and after the context what it drew in all.

    ``background``: seconds to measure what the machine draws before the work, 0 for not. ``pue`` and ``intensity`` (kg
    CO2e for a kWh) are the factors of equations 1 and 2. ``require_counter`` refuses estimates.
    """

    def __init__(
        self,
        instruments: Instruments,
        *,
        background: float = BACKGROUND,
        pue: float = PAPER_PUE,
        intensity: float = PAPER_INTENSITY,
        require_counter: bool = False,
    ) -> None:
        _check("background", background, 0, 3600, "seconds, 0 for none")
        _check("pue", pue, 1, 10, "the data centre's watts for each watt of the computer")
        _check("intensity", intensity, 0, 10, "kg CO2e for a kWh")
        self._instruments = instruments
        self._seconds = background
        self._factors = pue, intensity
        self._require_counter = require_counter
        self._found: tuple[float, dict[PowerPart, float]] | None = None
        self._tallies: list[Tally] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._started: _Mark | None = None
        self._final: EnergyResult | None = None
        self._token: Token[Meter | None] | None = None

    def prepare(self) -> Meter:
        """Measure the background now; entering the context does it else. Raises ModhubError ``no-power-counter``."""
        if self._require_counter:
            self._instruments.check()
        self._instruments.warn_once()
        if self._found is None:
            if self._seconds == 0:
                self._found = 0.0, {}
            elif _ACTIVE.get() is not None:
                self._found = self._instruments.found_background()
            else:
                self._found = self._instruments.background(self._seconds)
        return self

    def __enter__(self) -> Meter:
        if self._started is not None:
            raise UsageError("this meter has run already.", kind="meter-used", hint="make a new one: modhub.meter().")
        self.prepare()
        now = self._instruments.clock()
        self._tallies = [Tally(counter, now) for counter in self._instruments.counters]
        self._started = _Mark(now, (0.0,) * len(self._tallies))
        self._token = _ACTIVE.set(self)
        threading.Thread(target=self._keep_reading, name="modhub meter", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        assert self._started is not None
        self._final = self.since(self._started)
        if self._token is not None:
            _ACTIVE.reset(self._token)

    @property
    def result(self) -> EnergyResult:
        """Raises UsageError before the context was entered."""
        if self._started is None:
            raise UsageError("this meter has not run yet.", kind="meter-unused", hint="with modhub.meter() as m: ...")
        return self._final or self.since(self._started)

    def mark(self) -> _Mark:
        """Now, to be given to ``since``."""
        with self._lock:
            now = self._instruments.clock()
            for tally in self._tallies:
                tally.advance(now)
            return _Mark(now, tuple(tally.joules(now) for tally in self._tallies))

    def since(self, mark: _Mark) -> EnergyResult:
        """What was drawn since a mark of this meter."""
        now = self.mark()
        seconds = now.at - mark.at
        background_seconds, background = self._found or (0.0, {})
        spent = [after - before for after, before in zip(now.joules, mark.joules, strict=True)]
        figures = tuple(self._figure(part, seconds, spent, background.get(part, 0.0)) for part in PARTS)
        pue, intensity = self._factors
        return EnergyResult(seconds, figures, background_seconds, pue, intensity)

    def _figure(self, part: PowerPart, seconds: float, spent: Sequence[float], background: float) -> Figure:
        own = [
            (tally, joules) for tally, joules in zip(self._tallies, spent, strict=True) if tally.counter.part == part
        ]
        if not own:
            why = self._instruments.missing.get(part, "none")
            unread = part in self._instruments.unread
            return Figure(part, seconds, 0.0, 0.0, 0, f"not counted: {why}" if unread else why, unread)
        watts = sum(joules for _, joules in own) / seconds if seconds > 0 else 0.0
        estimate = any(tally.counter.estimate for tally, _ in own)
        return Figure(part, seconds, watts, background, len(own), _source([tally for tally, _ in own]), estimate)

    def _keep_reading(self) -> None:
        while not self._ended.wait(_PERIOD):
            self.mark()


class Lap:
    """From where it is made to where it is asked: what the meter around this work counted meanwhile."""

    def __init__(self) -> None:
        self._meter = active()
        self._mark = self._meter.mark() if self._meter else None

    def record(self) -> EnergySpent | None:
        """None without a meter."""
        return self._meter.since(self._mark).record() if self._meter and self._mark else None


_ACTIVE: ContextVar[Meter | None] = ContextVar("modhub_meter", default=None)


def active() -> Meter | None:
    """The innermost meter around this work."""
    return _ACTIVE.get()


def lap() -> Lap:
    """Begin to count for a record inside whatever meter runs."""
    return Lap()


def _watts(tallies: Sequence[Tally], start: float, now: float) -> dict[PowerPart, float]:
    watts: dict[PowerPart, float] = {}
    for tally in tallies:
        part = tally.counter.part
        watts[part] = watts.get(part, 0.0) + (tally.joules(now) / (now - start) if now > start else 0.0)
    return watts


def _source(tallies: Sequence[Tally]) -> str:
    """``RAPL (package-0, package-1)``, with what was lost on the way."""
    devices = ", ".join(tally.counter.device for tally in tallies if tally.counter.device)
    name = tallies[0].counter.source + (f" ({devices})" if devices else "")
    lost = sum(tally.lost for tally in tallies)
    return f"{name}; {lost} of {len(tallies)} stopped answering, continued at the mean" if lost else name


def _check(name: str, value: float, least: float, most: float, meaning: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not least <= value <= most:
        raise UsageError(
            f"{name} is {value!r}; it is {meaning}.",
            kind="bad-option",
            hint=f"give a number from {least:g} to {most:g}.",
        )
