"""Votes: the argmax of margins and of probabilities; what modules say by themselves never decides."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modhub.composition.votes import NONE_OF_THESE, Prediction, decided
from modhub.errors import UsageError


def prediction(margins, *, said=None, thresholds=None, scales=None, temperature=1.0, reject=False):
    margins = np.asarray(margins, np.float32)
    k = margins.shape[1]
    return Prediction(
        classes=tuple("abcdefgh"[:k]),
        margins=margins,
        module_margins=margins if said is None else np.asarray(said, np.float32),
        thresholds=np.zeros(k) if thresholds is None else np.asarray(thresholds, float),
        scales=np.ones(k) if scales is None else np.asarray(scales, float),
        temperature=temperature,
        reject=reject,
    )


MARGINS = [[1.0, 3.0, 2.0], [-1.0, -3.0, -2.0], [0.0, 0.0, 0.0], [5.0, 5.0, 9.0]]


def test_the_largest_margin_wins():
    assert prediction(MARGINS).labels == ["b", "a", "a", "c"]


def test_the_margin_decides_where_the_modules_own_scores_are_saturated():
    found = prediction([[40.0, 41.0], [90.0, 89.0]])
    assert found.module_scores.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert found.labels == ["b", "a"]
    assert found.probabilities.argmax(axis=1).tolist() == [1, 0]


#: Margins as networks have them, and such that float32 cannot tell their probabilities apart.
_WIDE = st.floats(-60, 60, width=32) | st.sampled_from(
    [0.0, 1e-30, 2e-30, -1e-30, 1.0, float(np.nextafter(np.float32(1), 2))]
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    arrays.arrays(np.float32, (4, 3), elements=_WIDE),
    arrays.arrays(np.float32, (4, 3), elements=_WIDE),
    st.sampled_from([1e-3, 0.085, 1.0, 1.24, 40.0, 1e6]),
    st.booleans(),
    st.booleans(),
)
def test_the_largest_probability_is_the_answer(margins, verifying, temperature, reject, is_verified):
    """Whatever ties, whoever verifies; an image that is rejected has the probabilities that it would have had."""
    votes = decided(margins, verifying, [(0, 2, 1)]) if is_verified else margins
    found = prediction(votes, said=margins, temperature=temperature, reject=reject)
    shares = found.probabilities
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    best = shares.argmax(axis=1)
    assert np.where(found.rejected, -1, best).tolist() == found.indices.tolist()
    assert [found.classes[column] for column in best[~found.rejected]] == [
        label for label in found.labels if label != NONE_OF_THESE
    ]
    assert [row[0] for row in found.top(3)] == [found.classes[column] for column in best]
    assert not found.rejected.any() or reject


def test_probabilities_are_the_softmax_of_the_margins_at_the_temperature():
    found = prediction(MARGINS, temperature=1.6).probabilities
    expected = np.exp(np.array(MARGINS) / 1.6)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-6)


def test_probabilities_of_one_class_and_of_no_image():
    assert prediction([[-3.0], [5.0]]).probabilities.tolist() == [[1.0], [1.0]]
    assert prediction(np.zeros((0, 3))).probabilities.shape == (0, 3)


def test_thresholds_and_scales_do_not_change_the_vote():
    found = prediction(MARGINS, thresholds=[9.0, -9.0, 0.5], scales=[3.0, 0.1, 1.0])
    assert found.labels == prediction(MARGINS).labels


def test_of_equal_margins_the_first_wins():
    assert prediction([[2.0, 2.0, 1.0]]).labels == ["a"]
    assert prediction([[1.0, 2.0, 2.0]]).top(3) == [["b", "c", "a"]]


def test_top_is_in_order_of_the_margins():
    found = prediction(MARGINS)
    assert found.top(1) == [[label] for label in found.labels]
    assert found.top(2) == [["b", "c"], ["a", "c"], ["a", "b"], ["c", "a"]]
    assert [set(row) for row in found.top(3)] == [set("abc")] * 4


@pytest.mark.parametrize("k", [0, -1, 4])
def test_top_of_more_classes_than_there_are(k):
    with pytest.raises(UsageError) as caught:
        prediction(MARGINS).top(k)
    assert str(caught.value) == f"top({k}) of a composite of 3 classes. Hint: ask for 1 to 3."


def test_module_scores_are_a_plain_sigmoid():
    thresholds, scales = np.array([0.5, -1.0, 2.0]), np.array([2.0, 0.3, 1.0])
    found = prediction(MARGINS, thresholds=thresholds, scales=scales).module_scores
    expected = 1 / (1 + np.exp(-scales * (np.asarray(MARGINS) - thresholds)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    arrays.arrays(np.float32, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.floats(1e-3, 1e3),
)
def test_module_scores_stay_between_zero_and_one_without_a_warning(margins, scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = prediction(margins, scales=[scale, scale]).module_scores
    assert ((found >= 0) & (found <= 1)).all()
    clear = np.abs(margins) > 1e-3
    assert np.array_equal(found[clear] > 0.5, margins[clear] > 0)


def test_positive_is_above_the_modules_own_threshold():
    found = prediction(MARGINS, thresholds=[0.5, 3.0, -2.0])
    assert found.positive.dtype == bool
    assert found.positive.tolist() == [
        [True, False, True],
        [False, False, False],
        [False, False, True],
        [True, True, True],
    ]


def test_a_module_score_of_a_half_is_the_threshold():
    found = prediction([[1.25, 1.25]], thresholds=[1.25, 1.24])
    assert found.module_scores[0, 0] == 0.5
    assert found.positive.tolist() == [[False, True]]


def test_only_who_may_reject_answers_none_of_these():
    thresholds = [0.5, 3.0, -1.5]
    assert prediction(MARGINS, thresholds=thresholds).labels == ["b", "a", "a", "c"]
    rejecting = prediction(MARGINS, thresholds=thresholds, reject=True)
    assert rejecting.labels == ["b", NONE_OF_THESE, "a", "c"]
    assert rejecting.indices.tolist() == [1, -1, 0, 2]
    assert NONE_OF_THESE == "none of these"


def test_no_images_give_no_answers():
    found = prediction(np.zeros((0, 3)), reject=True)
    assert len(found) == 0
    assert found.labels == []
    assert found.top(2) == []
    assert found.module_scores.shape == (0, 3)
