"""Figure 6's machinery: what is metered answers as it should, and ratios are what they say."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import common
import footprint
from footprint import Step, Training

import modhub
from modhub.energy import EnergyResult, Figure
from tests.small_origins import fitted_model, plain_features, quadrants, quadrants_model

PAIR = ("top right", "bottom left")


def energy(watts: float, seconds: float = 3600.0, *, estimate: bool = False) -> EnergyResult:
    source = "estimate: recorded" if estimate else "RAPL"
    figures = [Figure("cpu", seconds, watts, 0.0, 1, source, estimate)]
    figures += [Figure(part, seconds, 0.0, 0.0, 0, "none", False) for part in ("dram", "gpu")]
    return EnergyResult(seconds, tuple(figures), 10.0, pue=1.0, intensity=1.0)


def example(*, estimate: bool = False, best_epoch: int = 3) -> dict:
    training = Training(Step(energy(400, estimate=estimate), 0.9), energy(300, estimate=estimate), 4, best_epoch)
    steps = {"decompose, once": Step(energy(90)), "reuse": Step(energy(10), 0.95), "replace": Step(energy(20), 0.93)}
    return footprint.figures_of(training, steps)


def test_ratios_with_and_without_the_one_time_decomposition() -> None:
    found = example()
    ratios = {name: [value for key, value in row.items() if "epoch" in key] for name, row in found["steps"].items()}
    assert ratios["reuse"] == pytest.approx([40, 30, 4, 3])
    assert ratios["replace"] == pytest.approx([20, 15, 400 / 110, 300 / 110])
    assert ratios["decompose, once"] == pytest.approx([400 / 90, 300 / 90] * 2)
    text = footprint.table(found)
    assert "| reuse | 3600.0 | 0.01 | 0.01 | 95.00% | 40.0x | 30.0x | 4.0x | 3.0x |" in text
    assert "Sources: RAPL; none; none." in text
    assert footprint.ESTIMATED not in text
    assert footprint.UNFINISHED not in text


def test_an_estimate_and_a_training_that_had_not_ended_say_so() -> None:
    assert footprint.ESTIMATED in footprint.table(example(estimate=True))
    assert footprint.UNFINISHED in footprint.table(example(best_epoch=4))


def test_only_two_classes_in_the_order_of_the_pair() -> None:
    data = quadrants()
    two = footprint.only(common.Images(data.x, data.y, data.classes), ("bottom left", "top right"))
    assert two.classes == ("bottom left", "top right")
    assert (two.y == 0).sum() == (data.y == 2).sum()
    np.testing.assert_array_equal(two.x[two.y == 1], data.x[data.y == 1])


def test_a_network_for_two_classes_has_new_weights() -> None:
    own = quadrants_model()
    network = footprint.two_class_network(own)
    assert network.output_shape == (None, 2)
    assert [type(layer) for layer in network.layers] == [type(layer) for layer in own.layers]
    for fresh, old in zip(network.layers[:-1], own.layers[:-1], strict=True):
        if isinstance(fresh, keras.layers.Conv2D | keras.layers.Dense):
            assert np.abs(fresh.kernel - old.kernel).max() > 0.01


def test_a_small_run() -> None:
    train, test = (common.Images(data.x, data.y, data.classes) for data in (quadrants(), quadrants(10, seed=7)))
    other = fitted_model(quadrants(), plain_features, seed=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training, steps = footprint.measured(
            quadrants_model(), other, train, test, PAIR, epochs=2, samples=30, meter=lambda: modhub.meter(background=0)
        )
    assert training.epochs == 2
    assert training.best_epoch in (1, 2)
    assert 0 < training.until_best.seconds <= training.whole.energy.seconds
    assert list(steps) == ["decompose, once", "reuse", "replace", "update"]
    assert all(step.energy.kwh > 0 for step in steps.values())
    assert steps["reuse"].top_1 >= 0.9
    assert steps["replace"].top_1 >= 0.9
    assert steps["update"].top_1 >= 0.9
    assert footprint.table(footprint.figures_of(training, steps)).count("\n| ") == 6
