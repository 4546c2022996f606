"""The paper's two equations, against the numbers worked out by hand and the laws that they obey."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.energy.meter import PAPER_INTENSITY
from modhub.energy.result import co2e_lb, energy_kwh

WATTS = st.floats(0, 1e4)
HOURS = st.floats(0, 1e4)


def test_an_hour_worked_out_by_hand() -> None:
    # 1.58 * 2 h * (50 W + 10 W + 3 * 200 W) / 1000, and 0.954 lb for each kWh of it.
    assert energy_kwh(2, 50, 10, 200, 3) == pytest.approx(2.0856)
    assert co2e_lb(2.0856) == pytest.approx(1.9896624)


def test_a_pound_is_a_pound() -> None:
    assert pytest.approx(0.954 * 0.45359237) == PAPER_INTENSITY


@given(HOURS, WATTS, WATTS, WATTS, st.integers(1, 8), st.floats(1, 3))
def test_joules_are_joules_whatever_draws_them(hours, cpu, dram, gpu, gpus, pue) -> None:
    joules = 3600 * hours * (cpu + dram + sum([gpu] * gpus))
    assert energy_kwh(hours, cpu, dram, gpu, gpus, pue=pue) == pytest.approx(pue * joules / 3.6e6)


@given(HOURS, HOURS, WATTS, WATTS)
def test_times_add_up(first, second, cpu, dram) -> None:
    apart = energy_kwh(first, cpu, dram) + energy_kwh(second, cpu, dram)
    assert energy_kwh(first + second, cpu, dram) == pytest.approx(apart)
    assert co2e_lb(apart) == pytest.approx(0.954 * apart)
