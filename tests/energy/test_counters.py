"""Counters: which files are read, what starts again at zero, what fails, and what graphics cards say."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from crashing import as_nobody
from hypothesis import given
from hypothesis import strategies as st
from machines import RANGE, Machine, intel

from modhub.energy.counters import Counter, Tally, cpu_estimate, dram_estimate
from modhub.energy.nvml import counters_of, nvml_counters
from modhub.energy.rapl import rapl_counters


def test_packages_and_memory_are_read_and_nothing_twice(tmp_path: Path) -> None:
    intel(tmp_path)
    counters, why = rapl_counters(tmp_path)
    assert [(counter.part, counter.device) for counter in counters] == [("cpu", "package-0"), ("dram", "dram-0")]
    assert not why
    assert counters[0].read() == 7000
    assert counters[0].wraps_at == pytest.approx(RANGE / 1e6)


def test_zones_inside_their_package_are_found_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.zone("intel-rapl:0", "package-0", start=10)
    machine.zone("intel-rapl:0/intel-rapl:0:0", "dram")
    assert [counter.part for counter in rapl_counters(tmp_path)[0]] == ["cpu", "dram"]


def test_two_sockets_are_two_and_a_mirrored_die_is_none(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.zone("intel-rapl:0", "package-0-die-0", start=80_000_000)
    machine.zone("intel-rapl:1", "package-0-die-1", start=80_000_400)
    machine.zone("intel-rapl:2", "package-1", start=93_000_000)
    assert [counter.device for counter in rapl_counters(tmp_path)[0]] == ["package-0-die-0", "package-1"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda folder: None, "there is no"),
        (lambda folder: folder.mkdir(), "has no package"),
        (lambda folder: Machine(folder).zone("intel-rapl:0", "psys"), "has no package"),
        (lambda folder: (Machine(folder).zone("intel-rapl:0", "package-0") / "energy_uj").write_text("?"), "cannot be"),
        (lambda folder: (Machine(folder).zone("intel-rapl:0", "package-0") / "energy_uj").unlink(), "cannot be read"),
    ],
)
def test_without_a_counter_it_says_why(tmp_path: Path, make, why: str) -> None:
    make(tmp_path / "powercap")
    counters, reason = rapl_counters(tmp_path / "powercap")
    assert not counters
    assert why in reason


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becoming another user takes root")
def test_counters_that_root_alone_may_read() -> None:
    with TemporaryDirectory() as folder:
        machine = intel(Path(folder) / "powercap")
        for file in machine.folder.glob("*/energy_uj"):
            file.chmod(0o400)
        Path(folder).chmod(0o755)
        _, (counters, why) = as_nobody(rapl_counters, machine.folder)
    assert not counters
    assert "may be read by root alone" in why


@given(st.integers(0, RANGE - 1), st.lists(st.integers(0, RANGE - 1), max_size=20))
def test_a_tally_counts_over_the_end_of_the_range(start: int, steps: list[int]) -> None:
    """However often the counter starts again, as long as it is read at least once a turn."""
    total = start
    counter = Counter("cpu", "RAPL", "", lambda: total % RANGE / 1e6, RANGE / 1e6)
    tally = Tally(counter, 0.0)
    for second, step in enumerate(steps, 1):
        total += step
        tally.advance(float(second))
    assert tally.joules(float(len(steps))) == pytest.approx(sum(steps) / 1e6, rel=1e-9, abs=1e-3)


def test_a_counter_set_back_counts_nothing_rather_than_less() -> None:
    readings = iter([5.0, 9.0, 1.0, 4.0])
    tally = Tally(Counter("gpu", "NVML", "", lambda: next(readings)), 0.0)
    for second in (1.0, 2.0, 3.0):
        tally.advance(second)
    assert tally.joules(3.0) == 4 + 3


def test_a_counter_that_falls_silent_goes_on_at_its_mean(tmp_path: Path) -> None:
    machine = intel(tmp_path)
    tally = Tally(rapl_counters(tmp_path)[0][0], machine.now)
    machine.draw(4, {"intel-rapl:0": 30})
    tally.advance(machine.now)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    machine.draw(6, {})
    tally.advance(machine.now)
    assert tally.lost
    assert tally.joules(machine.now) == pytest.approx(300)


def test_estimates_follow_this_process() -> None:
    cpu, dram = cpu_estimate(10), dram_estimate()
    before = os.times()
    started = cpu.read()
    while os.times().user + os.times().system < before.user + before.system + 0.1:
        pass
    assert cpu.read() - started == pytest.approx(1.0, abs=0.5)
    assert cpu.estimate
    assert "estimate: 10 W for each of" in cpu.source
    first = dram.read()
    assert dram.read() > first > 0


class RecordedNvml:
    """NVML's functions over recorded readings; cards older than Volta have no energy counter, as theirs have not."""

    class NVMLError(Exception):
        pass

    def __init__(self, cards: list[SimpleNamespace], *, driver: bool = True) -> None:
        self.cards, self.driver = cards, driver

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        return self.cards[index]

    def nvmlDeviceGetName(self, card: Any) -> str | bytes:  # noqa: N802
        return card.name

    def nvmlDeviceGetTotalEnergyConsumption(self, card: Any) -> int:  # noqa: N802
        if card.millijoules is None:
            raise self.NVMLError("Not Supported")
        return card.millijoules

    def nvmlDeviceGetPowerUsage(self, card: Any) -> int:  # noqa: N802
        return card.milliwatts


def test_a_card_with_an_energy_counter_and_one_without() -> None:
    new = SimpleNamespace(name="NVIDIA H100", millijoules=5_000_000, milliwatts=0)
    old = SimpleNamespace(name=b"Tesla P100", millijoules=None, milliwatts=40_000)
    now = [0.0]
    counters, why = counters_of(RecordedNvml([new, old]), lambda: now[0])
    assert not why
    assert [counter.device for counter in counters] == ["0 NVIDIA H100", "1 Tesla P100"]
    assert [counter.source for counter in counters] == ["NVML", "NVML power, sampled"]
    tallies = [Tally(counter, 0.0) for counter in counters]
    now[0] = 10.0
    new.millijoules += 3_000_000
    old.milliwatts = 60_000
    for tally in tallies:
        tally.advance(10.0)
    assert [tally.joules(10.0) for tally in tallies] == [3000, 500]


def test_a_card_that_fails_later_is_lost_and_not_fatal() -> None:
    card = SimpleNamespace(name="NVIDIA H100", millijoules=1000, milliwatts=0)
    tally = Tally(counters_of(RecordedNvml([card]))[0][0], 0.0)
    card.millijoules = None
    tally.advance(1.0)
    assert tally.lost


def test_no_driver_and_no_card() -> None:
    assert counters_of(RecordedNvml([], driver=False)) == ([], "no NVIDIA GPU was found: Driver Not Loaded")
    assert counters_of(RecordedNvml([])) == ([], "no NVIDIA GPU was found")


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="this machine has a GPU")
def test_the_real_library_without_a_driver() -> None:
    pytest.importorskip("pynvml")
    counters, why = nvml_counters()
    assert not counters
    assert why.startswith("no NVIDIA GPU was found: ")
