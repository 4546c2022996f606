"""Refits never do worse on their own data than the old weights, and find weights that are there to be found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from modhub.compaction.refitting import Rectified, explained, refitted, refitted_depthwise

NUMBERS = st.floats(-4, 4, width=32)


def drawn(data: st.DataObject, *shape: int) -> np.ndarray:
    return data.draw(arrays(np.float32, shape, elements=NUMBERS))


@given(st.data(), st.sampled_from([None, Rectified(), Rectified(2.0)]), st.booleans())
def test_a_refit_never_raises_the_error_on_its_own_data(
    data: st.DataObject, rectified: Rectified | None, shifted: bool
) -> None:
    inputs, targets, old = drawn(data, 12, 3), drawn(data, 12, 2), drawn(data, 4, 2).astype(np.float64)
    shift = drawn(data, 12, 2) if shifted else None
    found = refitted(inputs, targets, old, ridge=1e-3, rectified=rectified, rounds=4, shift=shift)

    def error(weights: np.ndarray) -> float:
        given = (np.hstack([inputs, np.ones((12, 1))]) @ weights + (0 if shift is None else shift)).astype(np.float32)
        return float(((targets - given) ** 2).mean()) if rectified is None else rectified.error(targets, given)

    assert error(found) <= error(old) * (1 + 1e-4) + 1e-4


def test_weights_that_explain_everything_are_found_behind_a_relu() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(4000, 5)).astype(np.float32)
    true = random.normal(size=(6, 3))
    targets = (np.hstack([inputs, np.ones((4000, 1))]) @ true).astype(np.float32)
    seen = np.maximum(targets, np.minimum(targets, -1))  # what lies below zero is not known exactly
    found = refitted(inputs, seen, np.zeros((6, 3)), ridge=1e-8, rectified=Rectified(), rounds=60)
    np.testing.assert_allclose(found, true, atol=0.02)


def test_depthwise_is_one_regression_a_channel() -> None:
    random = np.random.default_rng(1)
    inputs = random.normal(size=(300, 4, 3)).astype(np.float32)
    targets, old = random.normal(size=(300, 3)).astype(np.float32), random.normal(size=(5, 3))
    for rectified in (None, Rectified(6.0)):
        found = refitted_depthwise(inputs, targets, old, ridge=1e-3, rectified=rectified, rounds=3)
        for channel in range(3):
            own = refitted(
                inputs[:, :, channel],
                targets[:, channel : channel + 1],
                old[:, channel : channel + 1],
                ridge=1e-3,
                rectified=rectified,
                rounds=3,
            )
            np.testing.assert_allclose(found[:, channel : channel + 1], own, rtol=1e-3, atol=1e-4)


def test_explained_is_scikit_learns_r2_of_centred_logits() -> None:
    from sklearn.metrics import r2_score

    random = np.random.default_rng(2)
    wanted, given = random.normal(size=(50, 4)), random.normal(size=(50, 4))
    centred = [each - each.mean(axis=1, keepdims=True) for each in (wanted, given)]
    assert explained(wanted, given) == pytest.approx(
        r2_score(centred[0], centred[1], multioutput="variance_weighted"), abs=1e-12
    )


def test_below_a_relu_anything_below_will_do_and_above_its_bound_anything_above() -> None:
    targets = np.array([2, -1, -1, 7, 7, 3], np.float32)
    predicted = np.array([-5, -3, 4, 9, 2, 8], np.float32)
    np.testing.assert_array_equal(Rectified().wanted(targets, predicted), [2, -3, 0, 7, 7, 3])
    np.testing.assert_array_equal(Rectified(6.0).wanted(targets, predicted), [2, -3, 0, 9, 6, 3])
