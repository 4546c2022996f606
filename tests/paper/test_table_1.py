"""Table 1 of the study measures what composites answer, and its page shows what the cells say."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import table_1
import table_1_page
from cells import Cells
from study import Data, Study, Trained, mean, top_hits

import modhub
from modhub.data.images import ImageData
from modhub.engine.run.isolated import OriginRunner
from tests.small_origins import quadrants, quadrants_model


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    train, test = (ImageData(part.x, part.y, part.classes, "quadrants") for part in (quadrants(), quadrants(seed=9)))
    data = Data("quadrants", train, test)
    model = quadrants_model()
    folder = tmp_path_factory.mktemp("study")
    options = argparse.Namespace(networks=None, images=None, models=folder)
    return Study(
        options, Cells(folder / "cells"), folder, {"quadrants-a": Trained("quadrants-a", data, lambda: model, "a")}
    )


@pytest.fixture(scope="module")
def cell(study: Study) -> Any:
    return table_1.cell(study, study.networks["quadrants-a"], "relu")


def test_every_row_is_what_a_composite_answers(study: Study, cell: Any) -> None:
    network = study.networks["quadrants-a"]
    test = study.test_images(network)
    for stage, rule, delta in (("none", "text", 0.5), ("last-conv", "text", "q90"), ("input", "printed", "q95")):
        made = modhub.decompose(
            network.load(), network.data.train.x, network.data.train.y, classes=test.classes, name="a/b",
            rescale=1 / 255, backtrack=stage, rule=rule, delta=delta,
        )  # fmt: skip
        margins = OriginRunner(made.origin, made.modules).margins(test.x, 64)
        row = table_1_page.row_of(cell, "CI+TI+MC" if stage == "none" else stage, rule, delta)
        hits = top_hits(margins, test.y)
        assert [row["top_1"]["mean"], row["top_5"]["mean"]] == pytest.approx([hit.mean() for hit in hits])
        assert row["jaccard"] == pytest.approx(np.mean([module.jaccard for module in made.modules]))
        assert row["last_conv"] == pytest.approx(np.mean([sum(module.stages.last_conv) for module in made.modules]))
        assert row["input"] == pytest.approx(np.mean([sum(module.stages.input) for module in made.modules]))
        assert row["cost_1"]["mean"] == pytest.approx(cell["origin"]["top_1"]["mean"] - row["top_1"]["mean"])


def test_the_ablation_keeps_the_concern_alone(study: Study, cell: Any) -> None:
    network = study.networks["quadrants-a"]
    test = study.test_images(network)
    made = modhub.decompose(
        network.load(), network.data.train.x, network.data.train.y, classes=test.classes, name="a/b", rescale=1 / 255
    )

    alone = [replace(module, keep=module.concern) for module in made.modules]
    row = table_1_page.row_of(cell, "CI+MC")
    hits = top_hits(OriginRunner(made.origin, alone).margins(test.x, 64), test.y)
    assert row["top_1"]["mean"] == pytest.approx(hits[0].mean())
    assert row["kept"] < table_1_page.row_of(cell, "CI+TI+MC")["kept"]


def test_a_cell_is_measured_once(study: Study, cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_1, "measured", lambda *_: pytest.fail("measured again"))
    assert table_1.cell(study, study.networks["quadrants-a"], "relu") == cell


def test_the_page_keeps_what_was_written_by_hand(study: Study, cell: Any) -> None:
    page = study.out / "table-1.md"
    page.write_text("# Mine\n\nBefore.\n\n<!-- as the paper prints it -->\nold\n<!-- end -->\n\nAfter.\n")
    conv = table_1.cell(study, study.networks["quadrants-a"], "conv")
    study.options.whole = True
    whole = table_1.whole_cells(study, [study.networks["quadrants-a"]])
    for k in (1, 5):
        row = table_1_page.row_of(cell, "last-conv")
        assert whole["quadrants-a"][f"cost_{k}"]["mean"] == pytest.approx(row[f"cost_{k}"]["mean"])
    study.options.whole = False
    assert table_1.whole_cells(study, [study.networks["quadrants-a"]]) == whole
    shown = table_1_page.write(study, {"quadrants-a": [cell, conv]}, whole)
    text = page.read_text()
    assert text.startswith("# Mine\n\nBefore.\n")
    assert "After." in text
    assert "old" not in text
    assert "| quadrants-a | CI+TI+MC |" in text
    assert shown.count("\n| quadrants-a | relu |") == 1
    assert (study.out / "table-1.png").read_bytes()[:4] == b"\x89PNG"


def test_intervals_hold_their_mean() -> None:
    found = mean(np.random.default_rng(1).random(400) < 0.3)
    low, high = found["interval"]
    assert low < found["mean"] < high
    assert high - low == pytest.approx(4 * np.sqrt(0.3 * 0.7 / 400), rel=0.15)
