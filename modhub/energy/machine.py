"""A meter on this machine: the counters that it has, and what the user's configuration says."""

from __future__ import annotations

from functools import cache

from modhub.energy.counters import Counter, PowerPart, cpu_estimate, dram_estimate
from modhub.energy.meter import BACKGROUND, PAPER_INTENSITY, Instruments, Meter
from modhub.energy.nvml import MISSING, nvml_counters
from modhub.energy.rapl import rapl_counters
from modhub.energy.result import PAPER_PUE
from modhub.settings.config import load_config
from modhub.settings.values import EnergySettings


def meter(
    *,
    background: float | None = None,
    pue: float | None = None,
    intensity: float | None = None,
    require_counter: bool = False,
) -> Meter:
    """A context that measures the energy and CO2e of the work inside it: ``with modhub.meter() as m: ...; m.result``.

    ``background``: seconds before the work in which to measure what the machine draws anyway, which is subtracted; once
    a process, and not at all where power is an estimate; 0 for not. ``pue`` and ``intensity`` (kg CO2e for a kWh) are
    the factors of the paper's equations. What is None comes from the table [energy] of the configuration, else it is
    the paper's: 10 s, 1.58, 0.4327 kg (0.954 lb).

    Without a readable counter the figures are estimates that say so, with one EstimateWarning; ``require_counter``
    raises ModhubError, kind ``no-power-counter``, instead. Raises UsageError for a factor out of range.

    >>> import modhub
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"), modhub.meter(background=0) as running:  # it may be an estimate
    ...     total = sum(range(100_000))
    >>> running.result.gross_kwh > 0
    True
    """
    settings = load_config().energy
    return Meter(
        _instruments(settings.watts_per_core),
        background=_chosen(background, settings.background, BACKGROUND),
        pue=_chosen(pue, settings.pue, PAPER_PUE),
        intensity=_chosen(intensity, settings.intensity, PAPER_INTENSITY),
        require_counter=require_counter,
    )


def instruments_of(
    rapl: tuple[list[Counter], str], nvml: tuple[list[Counter], str], settings: EnergySettings
) -> Instruments:
    """The counters of processor and memory, and of GPUs, with estimates where the first are lacking."""
    counters, missing = [*rapl[0], *nvml[0]], dict[PowerPart, str]()
    parts = {counter.part for counter in counters}
    if "cpu" not in parts:
        counters.append(cpu_estimate() if settings.watts_per_core is None else cpu_estimate(settings.watts_per_core))
        missing["cpu"] = rapl[1]
    if "dram" not in parts:
        counters.append(dram_estimate())
    if "gpu" not in parts:
        missing["gpu"] = nvml[1]
    return Instruments(counters, missing, frozenset({"gpu"} if nvml[1] == MISSING else ()))


@cache
def _instruments(watts_per_core: float | None) -> Instruments:
    """One for a process, so that the background is measured once."""
    return instruments_of(rapl_counters(), nvml_counters(), EnergySettings(watts_per_core=watts_per_core))


def _chosen(given: float | None, configured: float | None, default: float) -> float:
    if given is not None:
        return given
    return default if configured is None else configured
