"""Equations 1 and 2 of Pan & Rajan (ICSE 2022), which take them from Strubell, Ganesh & McCallum (ACL 2019)."""

from __future__ import annotations

from typing import Final

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
