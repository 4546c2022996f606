"""The harness of modes: separate models answer as the composite, a process tells its peak, and the table compares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import common
import modes
import peers

from tests.small_origins import quadrant_modules, quadrants, quadrants_model, with_random_masks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modes")
    train, test = quadrants(), quadrants(10, seed=7)
    peers.prepare(
        folder,
        quadrants_model(),
        common.Images(train.x, train.y, train.classes),
        common.Images(test.x, test.y, test.classes),
        samples=20,
    )
    return folder


def test_all_contenders_answer_and_are_timed(folder: Path) -> None:
    images = quadrants(10, seed=7).x
    found = modes.speed(folder, images, 1)
    assert (found["modules"], found["images"]) == (4, 40)
    assert list(found["seconds"]) == ["models", "bare models", "origin", "origin, not XLA", *modes.WAYS]
    assert all(taken > 0 for taken in found["seconds"].values())


def test_other_answers_of_the_separate_models_end_the_run() -> None:
    modes.check_equal(np.ones((2, 2)), np.ones((2, 2)) + 1e-5)
    with pytest.raises(SystemExit, match=r"the separate models answer otherwise: margins differ by 0\.5"):
        modes.check_equal(np.ones((2, 2)), np.full((2, 2), 1.5))


def test_a_process_reports_what_it_took(folder: Path) -> None:
    child = [sys.executable, modes.__file__, "--child", "fused", str(folder)]
    done = subprocess.run(child, capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) > peers.MIB


def test_the_first_round_does_not_count() -> None:
    asked = []
    found = modes.in_turn({"a": lambda: asked.append("a"), "b": lambda: asked.append("b")}, 2)
    assert asked == ["a", "b"] * 3
    assert list(found) == ["a", "b"]


def test_agreement_of_modules_that_differ() -> None:
    modules = [with_random_masks(module, seed) for seed, module in enumerate(quadrant_modules().modules)]
    data = quadrants(10, seed=7)
    found = modes.agreement(modules, data.x, data.y)
    assert list(found["ways"]) == list(modes.WAYS)[1:]
    assert found["ways"]["fused"]["labels"] < 1
    assert found["top_1"]["fused"] != found["top_1"]["isolated"]


def test_the_table_compares_with_the_models_and_the_origin() -> None:
    speed = {"modules": 4, "images": 40, "seconds": {"models": 8.0, "origin": 1.0, "fused": 0.5}}
    way = {"images": 40, "equal": 39, "labels": 0.975, "margin": 0.1234}
    kind = {
        "modules": 4,
        "images": 40,
        "jaccard": 0.75,
        "top_1": {"isolated": 0.5, "fused": 0.25},
        "ways": {"fused": way},
    }
    memory = {"models": 90 * peers.MIB, "fused": 30 * peers.MIB}
    lines = modes.table({"speed": speed, "memory": memory, "agreement": {"net, sparse": kind}}).splitlines()
    assert "| 4 modules, 40 images | models | 8.00 | 1.0 | 8.00 |" in lines
    assert "| 4 modules, 40 images | fused | 0.50 | 16.0 | 0.50 |" in lines
    assert "| fused | 30 | 0.33 |" in lines
    assert "| net, sparse | 4 | 0.75 | 40 | fused | 97.50% | 0.12 | 50.00% -> 25.00% |" in lines
