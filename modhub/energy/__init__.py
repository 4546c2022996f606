"""What work costs: watts, kWh and CO2e of any modhub work, each figure with its source.

``equations`` and ``result`` are pure. ``rapl``, ``nvml`` and ``estimate`` make counters, which are values with one
function that reads; ``running`` adds up what they say; ``machine`` finds the counters of this machine. Nothing here
starts a process, writes a file or talks to a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

if TYPE_CHECKING:
    from modhub.energy.counters import Counter
    from modhub.energy.equations import co2e_lb, energy_kwh
    from modhub.energy.machine import meter
    from modhub.energy.result import EnergyResult, Figure
    from modhub.energy.running import EstimateWarning, Instruments, Lap, Meter, active, lap
else:
    __getattr__ = on_first_use(
        __name__,
        {
            "Counter": "modhub.energy.counters",
            "EnergyResult": "modhub.energy.result",
            "EstimateWarning": "modhub.energy.running",
            "Figure": "modhub.energy.result",
            "Instruments": "modhub.energy.running",
            "Lap": "modhub.energy.running",
            "Meter": "modhub.energy.running",
            "active": "modhub.energy.running",
            "co2e_lb": "modhub.energy.equations",
            "energy_kwh": "modhub.energy.equations",
            "lap": "modhub.energy.running",
            "meter": "modhub.energy.machine",
        },
    )

__all__ = [
    "Counter",
    "EnergyResult",
    "EstimateWarning",
    "Figure",
    "Instruments",
    "Lap",
    "Meter",
    "active",
    "co2e_lb",
    "energy_kwh",
    "lap",
    "meter",
]
