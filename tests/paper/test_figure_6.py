"""Figure 6's machinery: what is metered answers as it should, and ratios are what they say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import figure_6
import figure_6_page
from cells import Cells
from figure_6 import Step, Training
from study import Data, Study, Trained

import modhub
from modhub.data.images import ImageData
from modhub.energy.result import EnergyResult, Figure
from modhub.errors import UsageError
from tests.small_origins import fitted_model, plain_features, quadrants, quadrants_model

PAIR = ["top right", "bottom left"]


def energy(watts: float, seconds: float = 3600.0, *, estimate: bool = False) -> EnergyResult:
    source = "estimate: recorded" if estimate else "RAPL"
    figures = [Figure("cpu", seconds, watts, 0.0, 1, source, estimate)]
    figures += [Figure(part, seconds, 0.0, 0.0, 0, "none", False) for part in ("dram", "gpu")]
    return EnergyResult(seconds, tuple(figures), 10.0, pue=1.0, intensity=1.0)


def example(*, estimate: bool = False, best_epoch: int = 3) -> dict[str, Any]:
    whole = Step(energy(400, estimate=estimate), 0.9)
    training = Training(whole, energy(300, estimate=estimate), 4, best_epoch, 60)
    steps = {"replace": Step(energy(20), 0.93), "reuse": Step(energy(10), 0.95), "decompose, once": Step(energy(90))}
    return figure_6.figures_of(training, steps)


def test_ratios_with_and_without_the_one_time_decomposition() -> None:
    found = example()
    ratios = {name: [value for key, value in row.items() if "epoch" in key] for name, row in found["steps"].items()}
    assert ratios["reuse"] == pytest.approx([40, 30, 4, 3])
    assert ratios["replace"] == pytest.approx([20, 15, 400 / 110, 300 / 110])
    assert ratios["decompose, once"] == pytest.approx([400 / 90, 300 / 90] * 2)
    text = figure_6_page.table(found)
    assert "| reuse | 3600.0 | 0.01 | 0.01 | 95.00% | 40.0x | 30.0x | 4.0x | 3.0x | 23.7x / 18.3x |" in text
    assert [line.split(" | ")[0] for line in text.splitlines()[4:]] == ["| decompose, once", "| reuse", "| replace"]
    said = figure_6_page.about(found)
    assert said.startswith("Trained for 4 epochs on 60 images; the best epoch was 3, 90.0% of the test images right.")
    assert "Watts: RAPL; none; none." in said
    assert figure_6_page.ESTIMATED not in said
    assert figure_6_page.UNFINISHED not in said


def test_an_estimate_and_a_training_that_had_not_ended_say_so() -> None:
    assert figure_6_page.ESTIMATED in figure_6_page.about(example(estimate=True))
    assert figure_6_page.UNFINISHED in figure_6_page.about(example(best_epoch=4))


def test_a_pair_is_two_classes_that_there_are() -> None:
    classes = quadrants().classes
    assert figure_6.pair_of(None, classes) == ["top left", "top right"]
    assert figure_6.pair_of("top right,bottom left", classes) == PAIR
    for wrong in ("top right", "top right,top right", "top right,cat", "a,b,c"):
        with pytest.raises(
            UsageError, match=rf"--pair {wrong}: give two classes\. Hint: there are top left, top right"
        ):
            figure_6.pair_of(wrong, classes)


def test_a_network_for_two_classes_has_new_weights() -> None:
    own = quadrants_model()
    network = figure_6.two_class_network("quadrants-good", own, seed=5)
    assert network.output_shape == (None, 2)
    assert [type(layer) for layer in network.layers] == [type(layer) for layer in own.layers]
    for fresh, old in zip(network.layers[:-1], own.layers[:-1], strict=True):
        if isinstance(fresh, keras.layers.Conv2D | keras.layers.Dense):
            assert np.abs(fresh.kernel - old.kernel).max() > 0.01
    assert len(figure_6.two_class_network("cifar10-r20", own).weights) == 2 * (19 + 2 + 1)


@pytest.fixture(scope="module")
def networks() -> tuple[Trained, Trained]:
    parts = [ImageData(part.x, part.y, part.classes, "quadrants") for part in (quadrants(), quadrants(10, seed=7))]
    data = Data("quadrants", *parts)
    models = {"quadrants-good": quadrants_model(), "quadrants-poor": fitted_model(quadrants(), plain_features, seed=2)}
    one, other = (Trained(name, data, lambda model=model: model, name) for name, model in models.items())
    return one, other


def test_a_small_run(networks: tuple[Trained, Trained]) -> None:
    training, steps = figure_6.measured(*networks, PAIR, epochs=2, meter=lambda: modhub.meter(background=0))
    assert (training.epochs, training.images, len(training.curve)) == (2, 60, 2)
    assert training.best_epoch in (1, 2)
    assert 0 < training.until_best.seconds <= training.whole.energy.seconds
    names = [f"{name}{end}" for name in ("reuse", "replace", "update") for end in ("", figure_6_page.MEASURED)]
    assert list(steps) == ["decompose, once", *names]
    assert all(step.energy.kwh > 0 for step in steps.values())
    for name, step in steps.items():
        assert step.top_1 is None or step.top_1 >= 0.9, name
        assert (step.top_1 is not None) == name.endswith(figure_6_page.MEASURED)
    found = figure_6.figures_of(training, steps)
    assert figure_6_page.table(found).count("\n| ") == 9


def test_two_networks_of_the_same_classes_are_needed(networks: tuple[Trained, Trained], tmp_path: Path) -> None:
    options = argparse.Namespace(networks=["quadrants-good"], pair=None, epochs=1, quick=False, models=tmp_path)
    study = Study(options, Cells(tmp_path / "cells"), tmp_path, {one.name: one for one in networks})
    with pytest.raises(UsageError, match="1 networks: Figure 6 takes two"):
        figure_6.command(study)
