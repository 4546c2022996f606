"""Platt scaling against scikit-learn's, on data that separate, overlap, run backwards or hardly vary."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.linear_model import LogisticRegression

from modhub.decomposition.calibration import fit_platt


def by_scikit_learn(concerned, unconcerned):
    """Threshold and scale of scikit-learn's own Platt scaling, which gives 1 / (1 + exp(a * m + b))."""
    margins = np.concatenate([concerned, unconcerned])
    labels = np.repeat([1, 0], [len(concerned), len(unconcerned)])
    fitted = _SigmoidCalibration().fit(margins, labels)
    return -fitted.b_ / fitted.a_, -fitted.a_


def by_weighted_regression(concerned, unconcerned):
    """The same by an unpenalised logistic regression that sees each margin as a bit of both classes."""
    yes, no = len(concerned), len(unconcerned)
    margins = np.concatenate([concerned, unconcerned])[:, None]
    target = np.repeat([(yes + 1) / (yes + 2), 1 / (no + 2)], [yes, no])
    both = np.concatenate([margins, margins])
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(
        both, np.repeat([1, 0], yes + no), sample_weight=np.concatenate([target, 1 - target])
    )
    scale = float(fitted.coef_[0, 0])
    return -float(fitted.intercept_[0]) / scale, scale


def curve(fitted, margins):
    threshold, scale = fitted
    return 1 / (1 + np.exp(-np.clip(scale * (margins - threshold), -500, 500)))


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    yes=st.integers(5, 300),
    no=st.integers(5, 300),
    distance=st.floats(0.8, 6),
    spread=st.floats(0.01, 50),
    centre=st.floats(-40, 40),
)
def test_the_curve_is_scikit_learns(seed, yes, no, distance, spread, centre):
    random = np.random.default_rng(seed)
    concerned = centre + spread * random.normal(distance, 1, yes)
    unconcerned = centre + spread * random.normal(0, 1, no)
    expected = by_scikit_learn(concerned, unconcerned)
    assume(expected[1] * spread > 0.01)
    grid = np.linspace(min(unconcerned.min(), concerned.min()), max(unconcerned.max(), concerned.max()), 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = curve(fit_platt(concerned, unconcerned), grid)
    np.testing.assert_allclose(found, curve(expected, grid), atol=2e-3)


def test_threshold_and_scale_are_those_of_an_unpenalised_regression():
    random = np.random.default_rng(5)
    concerned, unconcerned = random.normal(3, 2, 400), random.normal(0, 1, 600)
    np.testing.assert_allclose(
        fit_platt(concerned, unconcerned), by_weighted_regression(concerned, unconcerned), rtol=1e-4
    )


def test_float32_margins_give_the_same():
    random = np.random.default_rng(6)
    concerned, unconcerned = random.normal(3, 2, 400), random.normal(0, 1, 600)
    single = fit_platt(concerned.astype(np.float32), unconcerned.astype(np.float32))
    np.testing.assert_allclose(single, fit_platt(concerned, unconcerned), rtol=1e-4)


@pytest.mark.parametrize("each", [1, 2, 50, 5000])
def test_separable_margins_give_a_finite_scale_and_a_threshold_between_them(each):
    random = np.random.default_rng(each)
    concerned, unconcerned = random.uniform(4, 5, each), random.uniform(-1, 0, each)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threshold, scale = fit_platt(concerned, unconcerned)
    assert unconcerned.max() < threshold < concerned.min()
    assert 0 < scale < 100
    assert curve((threshold, scale), concerned).min() > 0.5 > curve((threshold, scale), unconcerned).max()


def test_a_margin_far_outside_neither_warns_nor_breaks_the_fit():
    random = np.random.default_rng(8)
    concerned, unconcerned = random.normal(3, 1, 3000), np.append(random.normal(0, 1, 3000), -1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threshold, scale = fit_platt(concerned, unconcerned)
    np.testing.assert_allclose((threshold, scale), by_scikit_learn(concerned, unconcerned), rtol=1e-4)


def test_uneven_numbers_move_the_threshold_to_the_larger_side():
    random = np.random.default_rng(9)
    even = fit_platt(random.normal(2, 1, 500), random.normal(0, 1, 500))[0]
    rare = fit_platt(random.normal(2, 1, 50), random.normal(0, 1, 5000))[0]
    assert rare > even + 0.5


def test_margins_that_run_backwards_warn_and_lie_midway():
    random = np.random.default_rng(10)
    concerned, unconcerned = random.normal(-3, 1, 200), random.normal(1, 1, 100)
    with pytest.warns(UserWarning, match=r"the margins of me/net:cat do not rise .* is midway"):
        threshold, scale = fit_platt(concerned, unconcerned, what="me/net:cat")
    assert scale == 1.0
    assert threshold == pytest.approx((concerned.mean() + unconcerned.mean()) / 2)


@pytest.mark.parametrize(("yes", "no"), [(10, 10), (3, 30)])
def test_margins_that_are_all_equal_warn(yes, no):
    """A module that lost every node answers its bias whatever it sees."""
    with pytest.warns(UserWarning, match="do not rise with its class"):
        threshold, scale = fit_platt(np.full(yes, 2.5), np.full(no, 2.5))
    assert (threshold, scale) == (2.5, 1.0)


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_the_unit_of_the_margins_does_not_matter(factor):
    random = np.random.default_rng(11)
    concerned, unconcerned = random.normal(3, 1, 200), random.normal(0, 1, 200)
    threshold, scale = fit_platt(concerned, unconcerned)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = fit_platt(factor * concerned, factor * unconcerned)
    np.testing.assert_allclose(scaled, (factor * threshold, scale / factor), rtol=1e-6)
