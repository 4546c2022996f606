"""What an origin's margins are measured by: their size, and the temperature at which they are probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from modhub.decomposition.head import margins_from_logits
from modhub.decomposition.vote import fit_temperature, margins_of_logits, vote_record


def drawn(temperature: float, classes: int = 5, count: int = 40_000, seed: int = 0):
    """Margins (n, k), and labels drawn from their softmax at ``temperature``."""
    random = np.random.default_rng(seed)
    margins = random.normal(0, 4, (count, classes))
    z = margins / temperature
    shares = np.exp(z - z.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    return margins, np.minimum(labels, classes - 1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 9.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature):
    margins, labels = drawn(temperature)
    assert fit_temperature(margins, labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_temperature_fits_better(seed):
    """Against the loss itself, written out, on a fine grid."""
    margins, labels = drawn(1.7, classes=4, count=60, seed=seed)
    count, classes = margins.shape
    target = np.full((count, classes), 1 / ((count + 2) * (classes - 1)))
    target[np.arange(count), labels] = (count + 1) / (count + 2)

    def loss(temperature):
        z = margins / temperature
        return float((np.log(np.exp(z).sum(axis=1)) - (target * z).sum(axis=1)).mean())

    found = fit_temperature(margins, labels)
    assert loss(found) <= min(loss(found * factor) for factor in np.geomspace(0.2, 5, 2001)) + 1e-12


def test_margins_of_another_unit_have_a_temperature_of_that_unit():
    margins, labels = drawn(1.3, count=2000)
    for unit in (1e-3, 615_000.0):
        assert fit_temperature(margins * unit, labels) == pytest.approx(unit * fit_temperature(margins, labels))


def test_where_every_answer_is_right_or_none_depends_on_the_margins_it_stays_finite():
    margins, _ = drawn(1.0, count=50)
    right, wrong = fit_temperature(margins, margins.argmax(axis=1)), fit_temperature(margins, margins.argmin(axis=1))
    assert 0 < right < wrong < np.inf
    assert np.isfinite(fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])))


def test_margins_of_logits_are_those_of_every_modular_head():
    logits = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    expected = np.stack([margins_from_logits(logits, cls) for cls in range(6)], axis=1)
    np.testing.assert_allclose(margins_of_logits(logits), expected, atol=1e-12)


def test_the_record_has_the_mean_of_the_largest_margins_and_says_what_fitted_the_temperature():
    random = np.random.default_rng(1)
    observed = random.normal(0, 5, (300, 4)).astype(np.float32)
    other = random.normal(0, 5, (200, 4)).astype(np.float32)
    labels = other.argmax(axis=1)
    labels[::5] = random.integers(0, 4, 40)
    record = vote_record(observed, other, labels, "held out")
    assert record is not None
    assert record.margin_scale == pytest.approx(margins_of_logits(observed).max(axis=1).mean(), rel=1e-5)
    assert record.temperature == pytest.approx(fit_temperature(margins_of_logits(other), labels), rel=1e-5)
    assert (record.data, record.examples) == ("held out", 200)


def test_logits_that_are_all_equal_have_no_scale():
    assert vote_record(np.zeros((5, 3), np.float32), np.zeros((5, 3), np.float32), np.zeros(5, int), "x") is None
