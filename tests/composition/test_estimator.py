"""A composite is a fitted classifier to scikit-learn's tools, and a container of its labels to Python."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, get_scorer, log_loss, top_k_accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

import modhub
from modhub.composition.composite import Composite
from modhub.composition.votes import NONE_OF_THESE
from modhub.errors import InvalidData, UsageError
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants

DATA = quadrants(each=6)
NAMES = np.array(DATA.classes)[DATA.y]


@cache
def composite() -> Composite:
    return modhub.compose(quadrant_modules())


def test_it_is_a_fitted_classifier() -> None:
    check_is_fitted(composite())
    assert is_classifier(composite())
    assert get_tags(composite()).estimator_type == "classifier"
    assert clone(composite()) is composite()
    assert composite().fit(DATA.x, NAMES) is composite()
    assert composite().classes_.tolist() == composite().classes == list(DATA.classes)


def test_its_probabilities_are_those_of_the_vote() -> None:
    prediction, proba = composite().predict(DATA.x), composite().predict_proba(DATA.x)
    np.testing.assert_array_equal(proba, prediction.probabilities)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert composite().classes_[proba.argmax(axis=1)].tolist() == prediction.labels
    np.testing.assert_array_equal(composite()(DATA.x).margins, prediction.margins)


def test_metrics_of_scikit_learn_take_its_answers() -> None:
    prediction = composite().predict(DATA.x)
    right = accuracy_score(NAMES, prediction)
    assert right == np.mean(np.array(prediction.labels) == NAMES) == composite().score(DATA.x, NAMES)
    assert confusion_matrix(NAMES, prediction, labels=composite().classes_).trace() == right * len(NAMES)
    assert f1_score(NAMES, prediction, average="macro") > 0.5
    in_order = np.argsort(composite().classes_)
    proba = composite().predict_proba(DATA.x)[:, in_order]
    assert log_loss(NAMES, proba, labels=composite().classes_[in_order]) > 0
    assert top_k_accuracy_score(NAMES, proba, k=2, labels=composite().classes_[in_order]) >= right
    assert get_scorer("accuracy")(composite(), DATA.x, NAMES) == right
    assert np.mean(cross_val_score(composite(), DATA.x, NAMES, cv=3)) == pytest.approx(right)


def test_a_frozen_estimator_may_hold_it() -> None:
    frozen = FrozenEstimator(composite())
    check_is_fitted(frozen)
    assert frozen.predict(DATA.x).labels == composite().predict(DATA.x).labels
    calibrated = CalibratedClassifierCV(frozen, cv=3, method="temperature").fit(DATA.x, NAMES)
    assert calibrated.predict_proba(DATA.x).shape == (24, 4)


def test_score_takes_names_columns_weights_and_batches() -> None:
    right = np.array(composite().predict(DATA.x).labels) == NAMES
    assert composite().score(DATA.x, DATA.y) == right.mean()
    assert composite().score(DATA.x, pd.Series(NAMES)) == right.mean()
    weights = np.arange(1, 25)
    assert composite().score(DATA.x, NAMES, weights) == pytest.approx(np.average(right, weights=weights))
    batches = [(DATA.x[:10], DATA.y[:10]), (DATA.x[10:], DATA.y[10:])]
    assert composite().score(batches) == composite().score(iter(batches)) == right.mean()
    for bad in (np.full(24, "elephant"), NAMES[:5], np.full(24, 9), np.zeros(24) + 0.5):
        with pytest.raises(InvalidData):
            composite().score(DATA.x, bad)


def test_rejected_images_can_be_right() -> None:
    picky = composite().set_params(reject=True)
    assert (picky.reject, composite().reject) == (True, False)
    rows = np.flatnonzero([label == NONE_OF_THESE for label in picky.predict(bars(each=9).x).labels])
    assert len(rows)
    assert picky.score(bars(each=9).x[rows], np.full(len(rows), NONE_OF_THESE)) == 1
    with pytest.raises(InvalidData):
        composite().score(bars(each=9).x[rows], np.full(len(rows), NONE_OF_THESE))


def test_parameters_are_the_settings() -> None:
    assert composite().get_params() == {
        "adapt": None,
        "size": None,
        "reject": False,
        "mode": "isolated",
        "dtype": "float32",
        "vote": "scaled",
    }
    other = composite().set_params(adapt="crop", size=(9, 9), mode="fused")
    assert (other.plan.contract.shape, other.plan.settings.mode) == ((9, 9, 1), "fused")
    for bad in ({"mod": "fused"}, {"mode": "fast"}, {"size": (3, 3)}):
        with pytest.raises(UsageError) as caught:
            composite().set_params(**bad)
    assert caught.value.kind == "bad-adapt"


def test_it_contains_its_labels() -> None:
    assert "top left" in composite()
    assert "elephant" not in composite()
    assert 0 not in composite()
    assert len(composite()) == 4
    both = modhub.compose([composite(), bar_modules().modules[0]])
    assert len(both) == 5, "a composite is one part, and no list of parts"


def test_a_prediction_is_rows() -> None:
    prediction = composite().set_params(reject=True).predict(np.concatenate([DATA.x, bars(each=9).x]))
    rows = list(prediction)
    assert [row.label for row in rows] == prediction.labels == np.asarray(prediction).tolist()
    assert rows[3] == prediction[3]
    assert prediction[-1] == rows[-1]
    with pytest.raises(IndexError):
        prediction[len(rows)]
    for number, row in enumerate(rows):
        best = prediction.margins[number].argmax()
        assert row.probability == prediction.probabilities[number, best]
        assert row.margin == prediction.margins[number, best]
        assert row.module_score == prediction.module_scores[number, best]
        assert row.positive == prediction.positive[number].any()


def test_a_prediction_is_a_table(tmp_path) -> None:
    prediction = composite().predict(DATA.x)
    table = prediction.to_pandas(per_class=True)
    assert list(table.columns[:5]) == ["label", "probability", "margin", "module_score", "positive"]
    np.testing.assert_array_equal(table["probability of top right"], prediction.probabilities[:, 1].astype(float))
    assert "image" not in table
    assert prediction.to_csv(tmp_path / "answers.csv") is None
    text = (tmp_path / "answers.csv").read_text()
    assert text == prediction.to_csv()
    again = pd.read_csv(tmp_path / "answers.csv")
    pd.testing.assert_frame_equal(again, prediction.to_pandas(), check_dtype=False)
