"""RAPL, the energy counters of Intel's and AMD's processors, as Linux shows them in /sys/class/powercap.

``intel-rapl:0`` is a package (on AMD too), ``intel-rapl:0:1`` a domain of it. Packages make up the CPU's figure and
contain their cores; ``dram`` domains make up the memory's. ``psys`` (the whole platform) and ``intel-rapl-mmio`` (the
same packages seen through another register) would count twice and are left out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from modhub.energy.counters import Counter, PowerPart

POWERCAP: Final = Path("/sys/class/powercap")
_MICRO: Final = 1e-6
#: Joules that two views of one register can differ by, because they are read one after the other.
_MIRROR: Final = 1.0


def rapl_counters(folder: Path = POWERCAP) -> tuple[list[Counter], str]:
    """The counters in ``folder``, and when there are none, why."""
    if not folder.is_dir():
        return [], f"there is no {folder}, as on virtual machines and outside Linux"
    zones = {
        path.name: path for pattern in ("intel-rapl:*", "intel-rapl:*/intel-rapl:*") for path in folder.glob(pattern)
    }
    counters: list[Counter] = []
    refused = ""
    for _, zone in sorted(zones.items()):
        try:
            found = _counter(zone)
        except PermissionError:
            refused = f"{zone / 'energy_uj'} may be read by root alone"
        except (OSError, ValueError) as error:
            refused = f"{zone} cannot be read: {error}"
        else:
            counters += [found] if found else []
    unique = _without_mirrors(counters)
    if not any(counter.part == "cpu" for counter in unique):
        return [], refused or f"{folder} has no package of a processor"
    return unique, ""


def _counter(zone: Path) -> Counter | None:
    """A zone's counter; None when it is no package and no memory. Raises OSError, ValueError."""
    name = (zone / "name").read_text().strip()
    part: PowerPart
    if name.startswith("package"):
        part = "cpu"
    elif name == "dram":
        part = "dram"
    else:
        return None
    wraps_at = _joules(zone / "max_energy_range_uj")
    read = partial(_joules, zone / "energy_uj")
    read()
    package = zone.name.split(":")[1]
    return Counter(part, "RAPL", name if part == "cpu" else f"{name}-{package}", read, wraps_at)


def _joules(file: Path) -> float:
    return int(file.read_text()) * _MICRO


def _without_mirrors(counters: list[Counter]) -> list[Counter]:
    """Without packages that show another's register, as processors of several dies do, one for each die.

    Two registers of their own are as good as never within a joule of each other.
    """
    kept: list[tuple[Counter, float]] = []
    for counter in counters:
        now = counter.read()
        seen = [value for other, value in kept if other.part == counter.part]
        if now == 0 or all(abs(now - value) > _MIRROR for value in seen):
            kept.append((counter, now))
    return [counter for counter, _ in kept]
