"""A machine whose counters are real files, laid out like /sys/class/powercap, and whose time passes on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Where an Intel package starts again at zero, in microjoules.
RANGE = 262_143_328_850


@dataclass
class Machine:
    """``watts`` are what the zones draw while nothing works: zone file name -> watts."""

    folder: Path
    watts: Mapping[str, float] = field(default_factory=dict)
    now: float = 1000.0

    def zone(self, zone: str, name: str, *, start: int = 0, wraps_at: int = RANGE) -> Path:
        path = self.folder / zone
        path.mkdir(parents=True)
        (path / "name").write_text(name + "\n")
        (path / "max_energy_range_uj").write_text(f"{wraps_at}\n")
        (path / "energy_uj").write_text(f"{start}\n")
        return path

    def draw(self, seconds: float, watts: Mapping[str, float]) -> None:
        """Let time pass while zones draw so much; their counters start again at the end of their range."""
        self.now += seconds
        for zone, power in watts.items():
            file = self.folder / zone / "energy_uj"
            wraps_at = int((self.folder / zone / "max_energy_range_uj").read_text())
            file.write_text(f"{(int(file.read_text()) + round(power * seconds * 1e6)) % wraps_at}\n")

    def clock(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.draw(seconds, self.watts)


def intel(folder: Path) -> Machine:
    """One package with cores and memory, the platform beside it, and the same package through another register."""
    machine = Machine(folder, {"intel-rapl:0": 10, "intel-rapl:0:1": 2})
    (folder / "intel-rapl").mkdir(parents=True)
    machine.zone("intel-rapl:0", "package-0", start=7_000_000_000)
    machine.zone("intel-rapl:0:0", "core", start=5_000_000)
    machine.zone("intel-rapl:0:1", "dram", start=123)
    machine.zone("intel-rapl:1", "psys", start=9_000_000_000)
    machine.zone("intel-rapl-mmio:0", "package-0", start=7_000_000_000)
    return machine
