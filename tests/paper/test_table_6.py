"""Table 6: every option is measured as its composite answers, and the table has the paper's figures beside."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import table_6
import table_6_page

from examples.paper.faulty import Case
from modhub import compose
from modhub.data.images import ImageData
from modhub.engine.read.check import logits_of
from tests import small_origins

VERIFY = "(4) verify with the two-class network's"


@pytest.fixture(scope="module")
def case() -> Case:
    """Quadrants, the module of whose first class is spoilt."""
    good, data = small_origins.quadrant_modules(), small_origins.quadrants(seed=9)
    pair = data.classes[0], data.classes[3]
    few = small_origins.Data(data.x[np.isin(data.y, (0, 3))], (data.y[np.isin(data.y, (0, 3))] == 3) * 1, pair)
    two = small_origins.decomposed(small_origins.fitted_model(few, small_origins.plain_features), few, "shapes/two")
    test = small_origins.quadrants(seed=11)
    return Case(
        pair=pair,
        confused=7,
        modules=[small_origins.with_random_masks(good.modules[0], 5, 0.3), *good.modules[1:]],
        better=[good.modules[0], good.modules[3]],
        two=two.modules,
        two_network="two quadrants",
        answers=logits_of(good.origin, good.origin.contract, test.x, 60),
        test=ImageData(test.x, test.y, test.classes, "quadrants_test"),
    )


def test_every_option_is_measured_as_its_composite_answers(case: Case) -> None:
    found = table_6.figures(case)
    assert found["checked"]["largest_difference"] < 1e-4
    options = table_6.repaired(compose(case.modules, vote="raw"), case)
    assert [row["what"] for row in found["rows"]] == ["the network", *options]
    truth = case.test.labels
    for row, composite in zip(found["rows"][1:], options.values(), strict=True):
        right = np.array(composite.predict(case.test.x).labels) == truth
        recalls = {name: right[truth == name].mean() for name in case.test.classes}
        assert row["top_1"] == pytest.approx(np.mean(list(recalls.values())))
        assert row["recalls"] == pytest.approx([recalls[name] for name in case.pair])
        others = [recall for name, recall in recalls.items() if name != case.pair[0]]
        assert row["others_top_1"] == pytest.approx(np.mean(others))
        assert row["change"][0]["mean"] == pytest.approx(row["top_1"] - found["rows"][1]["top_1"])
    spoilt, replaced, _, removed, _ = found["rows"][1:]
    assert replaced["top_1"] > spoilt["top_1"]
    assert (removed["recalls"][0], removed["top_5"]) == (0.0, 0.75)
    assert spoilt["change"][0]["interval"] == [0.0, 0.0]
    assert replaced["change"][0]["interval"][0] > 0


def test_the_two_class_modules_decide_again_where_the_pair_was_answered(case: Case) -> None:
    clf = compose(case.modules, vote="raw")
    before, two, after = (
        np.array(composite.predict(case.test.x).labels)
        for composite in (clf, compose(case.two), table_6.repaired(clf, case)[VERIFY])
    )
    again = np.isin(before, case.pair)
    assert 0 < again.sum() < len(again)
    assert (before != two)[again].any()
    assert after.tolist() == np.where(again, two, before).tolist()


def test_the_table_has_the_paper_s_figures_beside(case: Case) -> None:
    found = table_6.figures(case)
    table = table_6_page.table(found)
    assert table_6_page.about(found).startswith("Faulty: `top left`; 7 of the training images")
    line = next(line for line in table.splitlines() if line.startswith("| (3) remove"))
    row = found["rows"][4]
    assert f"| {100 * row['top_1']:.2f} / 75.00 | {100 * row['others_top_1']:.2f} / 100.00 | " in line
    assert line.endswith("| 24.0 / 48.2 |")
    assert "without top left's images" in table
