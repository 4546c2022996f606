"""The benchmark of compact releases: what rows mean, and a table that holds costs against what is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import common
import compact


def _figures(name: str, seed: int, **changed: Any) -> dict[str, Any]:
    estimate = {"value": -0.0125, "low": -0.02, "high": -0.005}
    balanced = {"value": -0.03, "low": -0.04, "high": -0.02}
    return {
        "row": name, "seed": seed, "mixture": compact.ROWS[name].mixture, "flops": 0.4996, "parameters": 0.75,
        "nodes": 0.467, "explained": 0.961, "polish_steps": 0, "images": 5000, "top_1": [0.85, 0.8625],
        "balanced": [0.72, 0.75], "difference": estimate, "balanced_difference": balanced, "processor_seconds": 150.4,
        "passes": 5.55, "time_ratio": 0.444, "bytes": [75, 100], **changed,
    }  # fmt: skip


def test_rows_stand_in_the_order_of_what_is_asked_with_costs_in_points() -> None:
    found = compact.table([_figures("vgg", 0), _figures("r20", 1), _figures("r20", 0)]).splitlines()[2:]
    assert [line.split(" | ")[0] for line in found] == [
        "| cifar10-r20, 50%, JI <= 0.50", "| cifar10-r20, 50%, JI <= 0.50", "| cifar10-vgg, 50%",
    ]  # fmt: skip
    assert found[0] == (
        "| cifar10-r20, 50%, JI <= 0.50 | `r20` | closed form | 0 | -2 | -1.25 (-2.00 to -0.50) | 86.25 | 85.00 "
        "| 0.500 | 0.750 | 0.467 | 0.961 | 0.44 | 0.75 | 5.5 | 150 |"
    )


def test_several_networks_are_compared_by_balanced_accuracy_and_against_one_of_them() -> None:
    row = _figures("mixed-5-5", 0, bytes=None)
    del row["bytes"]
    cells = compact.table([row]).splitlines()[2].split(" | ")
    assert cells[5:9] == ["-3.00 (-4.00 to -2.00)", "75.00", "72.00", "0.999"]


def test_a_polish_that_did_not_help_says_so() -> None:
    line = compact.table([_figures("r20-polish", 0)]).splitlines()[2]
    assert "polish, 700 steps (not kept)" in line
    assert "(not kept)" not in compact.table([_figures("r20-polish", 0, polish_steps=700)])


def test_images_of_chosen_classes_are_labelled_in_the_order_of_those() -> None:
    data = common.Images(np.arange(4).reshape(4, 1, 1, 1), np.array([0, 1, 2, 2]), ("a", "b", "c"))
    found = compact.restricted(data, ("c", "a"))
    assert (found.x.ravel().tolist(), found.y.tolist(), found.classes) == ([0, 2, 3], [1, 0, 0], ("c", "a"))
    both = compact.joined([found, data])
    assert (both.y.tolist(), both.classes) == ([1, 0, 0, 2, 3, 4, 4], ("c", "a", "a", "b", "c"))
    assert sorted(compact.some(data, 1, 0).y.tolist()) == [0, 1, 2]
