"""The faulty class: which pair is chosen, and what is counted, on cases small enough to count by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.paper.faulty import PAPER, Case, Figures, confused_pair, measured, table
from modhub.data.images import ImageData

CLASSES = ("a", "b", "c")


def data(labels: list[int], classes: tuple[str, ...] = CLASSES) -> ImageData:
    return ImageData(np.zeros((len(labels), 1, 1, 1), np.uint8), np.array(labels, np.int64), classes, "made")


def case(labels: list[int], pair: tuple[str, str] = ("b", "c")) -> Case:
    return Case(pair, 0, (), (), (), "", np.zeros((0, 3)), data(labels))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=6, max_size=40))
def test_the_pair_is_the_one_confused_most(answers: list[tuple[int, int]]) -> None:
    labels, given_ = [label for label, _ in answers], [answer for _, answer in answers]
    pair, count = confused_pair(np.eye(3)[given_], data(labels))
    counted = {
        frozenset(two): sum({label, answer} == set(two) for label, answer in answers)
        for two in itertools.combinations(range(3), 2)
    }
    assert count == max(counted.values()) == counted[frozenset(CLASSES.index(name) for name in pair)]
    recalls = [
        sum(one == other == CLASSES.index(name) for one, other in answers) / max(1, labels.count(CLASSES.index(name)))
        for name in pair
    ]
    assert recalls[0] <= recalls[1], "the faulty class comes first"


def test_every_class_weighs_the_same() -> None:
    # Four images of a, all right; one of b, wrong but second; one of c, right.
    scores = np.array([[3, 2, 1]] * 4 + [[1, 2, 3], [1, 2, 3]], float)
    found = measured("it", CLASSES, scores, case([0, 0, 0, 0, 1, 2]))
    assert found == Figures("it", pytest.approx(2 / 3), 1.0, 1.0, 1.0, (0.0, 1.0))


def test_a_class_that_was_removed_is_never_right() -> None:
    found = measured("removed", ("a", "c"), np.array([[2, 1], [2, 1], [1, 2]], float), case([0, 1, 2]))
    assert found == Figures("removed", pytest.approx(2 / 3), pytest.approx(2 / 3), 1.0, 1.0, (0.0, 1.0))


def test_columns_may_come_in_any_order() -> None:
    found = measured("turned", ("c", "b", "a"), np.array([[1, 2, 3], [1, 3, 2], [3, 1, 2]], float), case([0, 1, 2]))
    assert found.top_1 == 1.0


def test_the_table_shows_six_lines_beside_the_paper_s() -> None:
    rows = [Figures(f"row {k}", 0.5, 0.75, 0.25, 1.0, (0.1, 0.2)) for k in range(6)]
    lines = table(rows, ("b", "c")).splitlines()
    assert " ".join(lines[0].split()) == "top-1 / top-5 without b recall b recall c the paper's"
    assert len({len(line) for line in lines}) == 1
    for line, (one, five) in zip(lines[1:], PAPER, strict=True):
        assert " ".join(line.split()[2:]) == f"50.0 / 75.0 25.0 / 100.0 10.0 20.0 {one} / {five}"
