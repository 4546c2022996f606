"""Figures against scikit-learn on random data, and against their words where it has none."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from modhub.evaluation.metrics import (
    BINS,
    among_best,
    confusion_matrix,
    own_shares,
    positives,
    reliability,
    vote_shares,
)


@st.composite
def answered(draw: st.DrawFn, rejecting: bool = False):
    """Labels and answers (N,) of k classes, some of which have no image or are never answered."""
    classes, images = draw(st.integers(2, 8)), draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = random.integers(0, draw(st.integers(1, classes)), images)
    least = -1 if rejecting else 0
    winners = np.where(random.random(images) < 0.5, truth, random.integers(least, classes, images))
    return truth, winners, classes


def same(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return np.allclose(ours, theirs, equal_nan=True, rtol=1e-12)


@given(answered())
@settings(deadline=None, max_examples=50)
def test_shares_of_classes_are_those_of_scikit_learn(data):
    truth, winners, classes = data
    confusion = confusion_matrix(truth, winners, classes)
    labels = list(range(classes))
    assert np.array_equal(confusion[:, :-1], sk.confusion_matrix(truth, winners, labels=labels))
    assert not confusion[:, -1].any()
    vote = vote_shares(confusion)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, winners, labels=labels, zero_division=np.nan
    )
    assert np.array_equal(vote.images, support)
    assert same(vote.precision, precision)
    assert same(vote.recall, recall)
    assert same(vote.f1, f1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert math.isclose(vote.balanced, sk.balanced_accuracy_score(truth, winners))


@given(answered(rejecting=True))
@settings(deadline=None)
def test_none_of_these_is_a_column_and_never_right(data):
    truth, winners, classes = data
    confusion = confusion_matrix(truth, winners, classes)
    for true in range(classes):
        for said in range(-1, classes):
            column = classes if said < 0 else said
            expected = sum(t == true and w == said for t, w in zip(truth, winners, strict=True))
            assert confusion[true, column] == expected
    assert vote_shares(confusion).right.sum() == (truth == winners).sum()


@given(st.integers(2, 12), st.integers(1, 40), st.integers(1, 6), st.integers(0, 10**6))
@settings(deadline=None)
def test_the_best_few_are_those_of_scikit_learn(classes, images, count, seed):
    random = np.random.default_rng(seed)
    ranking, truth = random.normal(size=(images, classes)), random.integers(0, classes, images)
    ours = among_best(ranking, truth, count).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # With two classes it wants one column, so there it adds nothing.
        if classes > 2:
            theirs = sk.top_k_accuracy_score(truth, ranking, k=count, labels=range(classes))
            assert math.isclose(ours, theirs)
    order = np.argsort(-ranking, axis=1, kind="stable")[:, :count]
    assert np.array_equal(among_best(ranking, truth, count), (order == truth[:, None]).any(axis=1))


def test_of_equals_the_one_in_front_is_better():
    ranking = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert among_best(ranking, np.array([0, 1, 2]), 1).tolist() == [True, False, False]
    assert among_best(ranking, np.array([0, 1, 2]), 2).tolist() == [True, True, False]


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_modules_alone_are_binary_classifiers(classes, images, seed):
    random = np.random.default_rng(seed)
    truth, positive = random.integers(0, classes, images), random.random((images, classes)) < 0.4
    own = own_shares(truth, positive)
    for column in range(classes):
        true, said = truth == column, positive[:, column]
        assert same(own.recall[column], sk.recall_score(true, said, zero_division=np.nan))
        assert same(own.precision[column], sk.precision_score(true, said, zero_division=np.nan))


def test_positives_are_counted_in_three_groups():
    positive = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]], bool)
    found = positives(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), positive)
    assert (found.none, found.one, found.several) == (0.25, 0.25, 0.5)
    assert (found.right_none, found.right_one, found.right_several) == (1.0, 1.0, 0.5)
    assert positives(np.array([0]), np.array([0]), positive[1:2]).right_none is None


@given(st.integers(1, 200), st.integers(0, 10**6), st.booleans())
@settings(deadline=None)
def test_reliability_is_that_of_scikit_learn(count, seed, on_edges):
    random = np.random.default_rng(seed)
    confidence = random.integers(0, BINS + 1, count) / BINS if on_edges else random.random(count)
    right = random.random(count) < confidence
    found = reliability(confidence, right)
    filled = found.counts > 0
    # It knows no data in which nothing, or everything, is right.
    if 0 < right.sum() < count:
        shares, means = calibration_curve(right, confidence, n_bins=BINS)
        assert same(found.right[filled], shares)
        assert same(found.confidence[filled], means)
        assert math.isclose(found.error, (np.abs(shares - means) * found.counts[filled]).sum() / count, abs_tol=1e-12)
    assert found.counts.sum() == count
    assert np.isnan(found.right[~filled]).all()


def test_confidence_without_answers_has_no_error():
    assert math.isnan(reliability(np.empty(0), np.empty(0, bool)).error)


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_an_overconfident_classifier_has_its_error(shift):
    random = np.random.default_rng(0)
    confidence = random.uniform(0.4, 1, 200_000)
    error = reliability(confidence, random.random(len(confidence)) < confidence - shift).error
    assert abs(error - shift) < 0.01
