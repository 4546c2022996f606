"""What a meter found: for each part of the machine its watts, their source and the background; kWh and CO2e of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from modhub.energy.counters import PowerPart
from modhub.errors import plain
from modhub.spec.manifest import EnergySpent
from modhub.spec.text import in_short

_TITLES = {"cpu": "CPU", "dram": "DRAM", "gpu": "GPU"}


@dataclass(frozen=True)
class Figure:
    """One part's mean power over the work. ``devices`` counts packages, memories, GPUs; 0 says that there is none.

    ``background_watts`` is what the machine drew before the work began. ``estimate`` marks a figure that no counter
    gave; ``source`` says how each came about.
    """

    part: PowerPart
    seconds: float
    watts: float
    background_watts: float
    devices: int
    source: str
    estimate: bool

    @property
    def net_watts(self) -> float:
        """What the work itself drew: never below nothing, since a quieter background cannot give power back."""
        return max(0.0, self.watts - self.background_watts)

    @property
    def kwh(self) -> float:
        return self.watts * self.seconds / JOULES_PER_KWH

    @property
    def net_kwh(self) -> float:
        return self.net_watts * self.seconds / JOULES_PER_KWH

    @property
    def is_drowned(self) -> bool:
        """Whether the work cannot be distinguished from the background."""
        return self.watts > 0 and self.watts <= self.background_watts

    def __str__(self) -> str:
        title = _TITLES[self.part]
        if not self.devices:
            return f"{title}: {self.source}"
        background = f" less {self.background_watts:.3g} W background" if self.background_watts else ""
        drowned = ", which does not exceed the background" if self.is_drowned else ""
        return f"{title} {self.watts:.3g} W{background} ({self.source}){drowned}"


@dataclass(frozen=True)
class EnergyResult:
    """Energy of the metered work. ``intensity`` in kg CO2e for a kWh, ``pue`` the data centre's factor (equation 1).

    ``background_seconds``: how long the background was measured; 0 when it was not, and nothing is subtracted.
    """

    seconds: float
    figures: tuple[Figure, ...]
    background_seconds: float
    pue: float
    intensity: float

    def __repr__(self) -> str:
        return f"<EnergyResult {in_short([str(self)], longest=300)}>"

    def __getitem__(self, part: PowerPart) -> Figure:
        return next(figure for figure in self.figures if figure.part == part)

    @property
    def gross_kwh(self) -> float:
        """What the whole machine's counters showed, background included, before PUE."""
        return sum(figure.kwh for figure in self.figures)

    @property
    def net_kwh(self) -> float:
        """The work's own share of it, before PUE."""
        return sum(figure.net_kwh for figure in self.figures)

    @property
    def kwh(self) -> float:
        """The paper's p_t: equation 1 over the net watts."""
        gpu = self["gpu"]
        return energy_kwh(
            self.seconds / 3600,
            self["cpu"].net_watts,
            self["dram"].net_watts,
            gpu.net_watts / max(1, gpu.devices),
            max(1, gpu.devices),
            pue=self.pue,
        )

    @property
    def co2e_lb(self) -> float:
        """Equation 2."""
        return co2e_lb(self.kwh, lb_per_kwh=self.intensity / KG_PER_LB)

    @property
    def co2e_kg(self) -> float:
        return self.co2e_lb * KG_PER_LB

    @property
    def is_estimate(self) -> bool:
        """Whether the CPU's figure or a GPU's is an estimate, so that a ratio of two such results is one of time."""
        return self["cpu"].estimate or self["gpu"].estimate

    @property
    def source(self) -> str:
        """How all figures came about, in one line."""
        return "; ".join(f"{_TITLES[figure.part]}: {figure.source}" for figure in self.figures)

    def record(self) -> EnergySpent:
        """The part that a release keeps."""
        return EnergySpent(seconds=self.seconds, kwh=self.kwh, co2e_kg=self.co2e_kg, source=plain(self.source))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for ``--json``."""
        return {
            "seconds": self.seconds,
            "kwh": self.kwh,
            "co2e_kg": self.co2e_kg,
            "co2e_lb": self.co2e_lb,
            "net_kwh": self.net_kwh,
            "gross_kwh": self.gross_kwh,
            "pue": self.pue,
            "intensity_kg_per_kwh": self.intensity,
            "background_seconds": self.background_seconds,
            "estimate": self.is_estimate,
            "parts": {
                figure.part: {
                    "watts": figure.watts,
                    "background_watts": figure.background_watts,
                    "kwh": figure.kwh,
                    "net_kwh": figure.net_kwh,
                    "devices": figure.devices,
                    "estimate": figure.estimate,
                    "source": figure.source,
                }
                for figure in self.figures
            },
        }

    def __str__(self) -> str:
        parts = "; ".join(str(figure) for figure in self.figures)
        return (
            f"{self.kwh:.3g} kWh, {self.co2e_kg:.3g} kg CO2e ({self.co2e_lb:.3g} lb) in {self.seconds:.1f} s. {parts}"
        )


#: Power usage effectiveness: what a data centre draws for each watt that its computers draw.
PAPER_PUE: Final = 1.58
#: Pounds of CO2e for a kWh, the average of the United States in those papers.
PAPER_LB_PER_KWH: Final = 0.954
KG_PER_LB: Final = 0.45359237
JOULES_PER_KWH: Final = 3.6e6


def energy_kwh(
    hours: float, cpu: float, dram: float, gpu: float = 0.0, gpus: int = 1, *, pue: float = PAPER_PUE
) -> float:
    """Equation 1: the kWh drawn in ``hours`` at ``cpu`` and ``dram`` watts, and ``gpu`` watts on each of ``gpus``."""
    return pue * hours * (cpu + dram + gpus * gpu) / 1000


def co2e_lb(kwh: float, *, lb_per_kwh: float = PAPER_LB_PER_KWH) -> float:
    """Equation 2: the pounds of CO2e of so many kWh."""
    return lb_per_kwh * kwh
