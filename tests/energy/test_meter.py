"""The meter: background, wrap-around, nesting, laps, estimates and refusals, over recorded readings in real files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from machines import Machine, intel

import modhub
from modhub.energy.counters import Counter
from modhub.energy.machine import instruments_of
from modhub.energy.meter import EstimateWarning, Instruments, Meter, active, lap
from modhub.energy.nvml import MISSING
from modhub.energy.rapl import rapl_counters
from modhub.errors import ModhubError, UsageError
from modhub.settings.values import EnergySettings

NO_GPU = ([], "no NVIDIA GPU was found")
BUSY = {"intel-rapl:0": 50, "intel-rapl:0:1": 5}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return intel(tmp_path / "powercap")


def instruments(machine: Machine, gpu=NO_GPU) -> Instruments:
    found = instruments_of(rapl_counters(machine.folder), gpu, EnergySettings())
    found.clock, found.wait = machine.clock, machine.rest
    return found


def test_the_papers_measurement(machine: Machine) -> None:
    """10 s of background at 10 + 2 W, then an hour at 50 + 5 W: 43 W net, 1.58 and 0.954 on top."""
    with Meter(instruments(machine)) as meter:
        for _ in range(60):
            machine.draw(60, BUSY)
            meter.mark()
    result = meter.result
    assert result.seconds == pytest.approx(3600)
    assert result.background_seconds == 10
    assert result["cpu"].watts == pytest.approx(50)
    assert result["cpu"].background_watts == pytest.approx(10)
    assert result["dram"].net_watts == pytest.approx(3)
    assert result.gross_kwh == pytest.approx(0.055)
    assert result.net_kwh == pytest.approx(0.043)
    assert result.kwh == pytest.approx(1.58 * 0.043)
    assert result.co2e_lb == pytest.approx(0.954 * 1.58 * 0.043)
    assert result.co2e_kg == pytest.approx(0.954 * 1.58 * 0.043 * 0.45359237)
    assert result["cpu"].source == "RAPL (package-0)"
    assert not result.is_estimate


def test_factors_are_options(machine: Machine) -> None:
    with Meter(instruments(machine), background=0, pue=1, intensity=0.2) as meter:
        machine.draw(3600, {"intel-rapl:0": 40})
    assert meter.result.background_seconds == 0
    assert meter.result.kwh == pytest.approx(0.04)
    assert meter.result.co2e_kg == pytest.approx(0.008)


def test_counters_start_again_during_the_work(machine: Machine) -> None:
    with Meter(instruments(machine), background=0) as meter:
        for _ in range(100):
            machine.draw(1000, {"intel-rapl:0": 200})
            meter.mark()
    assert meter.result["cpu"].watts == pytest.approx(200)


def test_what_two_sockets_draw_adds_up(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.zone("intel-rapl:0", "package-0", start=1)
    machine.zone("intel-rapl:1", "package-1", start=50_000_000)
    with Meter(instruments(machine), background=0) as meter:
        machine.draw(10, {"intel-rapl:0": 30, "intel-rapl:1": 12})
    assert meter.result["cpu"].watts == pytest.approx(42)
    assert meter.result["cpu"].source == "RAPL (package-0, package-1)"


def test_what_two_cards_draw_adds_up(machine: Machine) -> None:
    """Equation 1 counts g times the watts of one card."""
    joules = [0.0, 0.0]
    cards = [Counter("gpu", "NVML", f"{n} card", lambda n=n: joules[n]) for n in range(2)]
    with Meter(instruments(machine, (cards, "")), background=0, pue=1) as meter:
        machine.draw(100, {})
        joules[:] = [36_000, 18_000]
    assert meter.result["gpu"].watts == pytest.approx(540)
    assert meter.result["gpu"].source == "NVML (0 card, 1 card)"
    assert meter.result.kwh == pytest.approx(0.015)


def test_work_quieter_than_the_background_gives_nothing_back(machine: Machine) -> None:
    with Meter(instruments(machine)) as meter:
        machine.draw(10, {"intel-rapl:0": 4, "intel-rapl:0:1": 5})
    assert meter.result["cpu"].net_watts == 0
    assert meter.result.net_kwh == pytest.approx(30 / 3.6e6)
    assert "CPU 4 W less 10 W background (RAPL (package-0)), which does not exceed the background" in str(meter.result)


def test_the_background_is_measured_once_a_process(machine: Machine) -> None:
    found = instruments(machine)
    before = machine.now
    for _ in range(3):
        with Meter(found) as meter:
            machine.draw(1, BUSY)
    assert machine.now - before == pytest.approx(10 + 3)
    assert meter.result["cpu"].background_watts == pytest.approx(10)


def test_a_meter_inside_another_never_measures_work_as_background(machine: Machine) -> None:
    found = instruments(machine)
    with Meter(found, background=0) as outer:
        machine.draw(5, BUSY)
        with Meter(found) as inner:
            machine.draw(5, BUSY)
            assert active() is inner
        assert active() is outer
    assert active() is None
    assert inner.result.background_seconds == 0
    assert inner.result["cpu"].watts == pytest.approx(50)
    assert (inner.result.seconds, outer.result.seconds) == (pytest.approx(5), pytest.approx(10))


def test_laps_count_their_own_part_of_the_work(machine: Machine) -> None:
    assert lap().record() is None
    with Meter(instruments(machine)) as meter:
        machine.draw(100, BUSY)
        own = lap()
        for _ in range(4):
            machine.draw(900, {"intel-rapl:0": 110, "intel-rapl:0:1": 2})
            meter.mark()
        record = own.record()
        machine.draw(7, BUSY)
    assert record is not None
    assert record.seconds == pytest.approx(3600)
    assert record.kwh == pytest.approx(0.158)
    assert record.co2e_kg == pytest.approx(0.158 * 0.43272712098)
    assert record.source == "CPU: RAPL (package-0); DRAM: RAPL (dram-0); GPU: no NVIDIA GPU was found"
    assert meter.result.seconds == pytest.approx(3707)


def test_a_counter_that_vanishes_says_so(machine: Machine) -> None:
    with Meter(instruments(machine), background=0) as meter:
        machine.draw(5, BUSY)
        meter.mark()
        (machine.folder / "intel-rapl:0" / "energy_uj").unlink()
        machine.draw(5, {})
    assert meter.result["cpu"].watts == pytest.approx(50)
    assert meter.result["cpu"].source == "RAPL (package-0); 1 of 1 stopped answering, continued at the mean"


def test_an_estimate_says_so_once_and_waits_for_no_background(tmp_path: Path) -> None:
    found = instruments_of(rapl_counters(tmp_path / "none"), NO_GPU, EnergySettings(watts_per_core=7))
    found.wait = pytest.fail
    with pytest.warns(EstimateWarning, match="so energy is an estimate: there is no .*none") as caught, Meter(found):
        pass
    assert caught[0].filename == __file__
    assert EstimateWarning.kind == "no-power-counter"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Meter(found) as meter:
            sum(range(300_000))
    result = meter.result
    assert result.is_estimate
    assert result["cpu"].estimate
    assert result["cpu"].source.startswith("estimate: 7 W for each of")
    assert result["dram"].watts > 0
    assert result["dram"].source.startswith("estimate: 0.375 W for each GiB")


def test_memory_without_a_counter_is_estimated_beside_a_measured_processor(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.zone("intel-rapl:0", "package-0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Meter(instruments(machine), background=0, require_counter=True) as meter:
            machine.draw(10, {"intel-rapl:0": 20})
    assert not meter.result.is_estimate
    assert meter.result["dram"].estimate


def test_estimates_can_be_refused(tmp_path: Path) -> None:
    found = instruments_of(rapl_counters(tmp_path / "none"), NO_GPU, EnergySettings())
    with pytest.raises(ModhubError) as caught, Meter(found, require_counter=True):
        pytest.fail("the work began")
    assert caught.value.kind == "no-power-counter"
    assert str(caught.value) == (
        f"no readable power counter: there is no {tmp_path / 'none'}, as on virtual machines and outside Linux. "
        "Hint: run on hardware whose /sys/class/powercap/intel-rapl:*/energy_uj this user may read, "
        "or accept an estimate."
    )
    assert active() is None


def test_a_gpu_that_nothing_reads_is_never_a_silent_zero(machine: Machine) -> None:
    found = instruments(machine, ([], MISSING))
    with pytest.warns(EstimateWarning, match="nvidia-ml-py"), Meter(found, background=0) as meter:
        machine.draw(1, BUSY)
    assert meter.result["gpu"].source == f"not counted: {MISSING}"
    assert meter.result.is_estimate
    with pytest.raises(ModhubError, match=r"modhub\[energy\]"):
        Meter(found, require_counter=True).prepare()


def test_a_failure_inside_ends_the_meter(machine: Machine) -> None:
    meter = Meter(instruments(machine), background=0)
    with pytest.raises(FileNotFoundError), meter:
        machine.draw(1, {"no such zone": 1, **BUSY})
    assert active() is None
    machine.draw(1, BUSY)
    assert meter.result.seconds == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": -1}, "background is -1; it is seconds, 0 for none. Hint: give a number from 0 to 3600."),
        ({"pue": 0.5}, "pue is 0.5; it is the data centre's watts for each watt of the computer."),
        ({"pue": "high"}, "pue is 'high'"),
        ({"background": 3601}, "background is 3601"),
        ({"intensity": float("nan")}, "intensity is nan; it is kg CO2e for a kWh. Hint: give a number from 0 to 10."),
    ],
)
def test_bad_options(options, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        modhub.meter(**options)
    assert caught.value.kind == "bad-option"
    assert message in str(caught.value)


def test_a_meter_runs_once_and_has_no_figures_before(machine: Machine) -> None:
    meter = Meter(instruments(machine), background=0)
    with pytest.raises(UsageError, match="has not run yet"):
        _ = meter.result
    with meter:
        pass
    with pytest.raises(UsageError, match="has run already"), meter:
        pass


def test_all_of_it_as_json(machine: Machine) -> None:
    with Meter(instruments(machine)) as meter:
        machine.draw(3600, BUSY)
    plain = json.loads(json.dumps(meter.result.to_dict()))
    assert plain["parts"]["cpu"] == {
        "watts": pytest.approx(50),
        "background_watts": pytest.approx(10),
        "kwh": pytest.approx(0.05),
        "net_kwh": pytest.approx(0.04),
        "devices": 1,
        "estimate": False,
        "source": "RAPL (package-0)",
    }
    assert plain["kwh"] == pytest.approx(1.58 * 0.043)
    assert plain["parts"]["gpu"]["source"] == "no NVIDIA GPU was found"


def test_the_configuration_gives_the_factors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[energy]\npue = 1.1\nintensity = 0.05\nbackground = 0\nwatts_per_core = 9\n")
    monkeypatch.setenv("MODHUB_CONFIG", str(file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EstimateWarning)
        with modhub.meter(intensity=0.07) as meter:
            pass
    assert (meter.result.pue, meter.result.intensity) == (1.1, 0.07)


@pytest.mark.parametrize(
    ("line", "message"),
    [("pue = 0.9", "energy.pue: Input should be greater than or equal to 1"), ("watts = 3", "energy.watts: Extra")],
)
def test_a_bad_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[energy]\n{line}\n")
    monkeypatch.setenv("MODHUB_CONFIG", str(file))
    with pytest.raises(UsageError) as caught:
        modhub.meter()
    assert caught.value.kind == "bad-config"
    assert message in str(caught.value)
