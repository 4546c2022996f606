"""McNemar's test against scipy's exact binomial, and how often it cries wolf."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modhub.evaluation.intervals import Resampling
from modhub.evaluation.paired import compared, mcnemar, p_text


@given(st.integers(0, 400), st.integers(0, 400))
@settings(deadline=None)
def test_p_values_are_those_of_the_exact_binomial(first, second):
    mid, exact = mcnemar(first, second)
    if first + second == 0:
        assert (mid, exact) == (1.0, 1.0)
        return
    coin = stats.binom(first + second, 0.5)
    assert math.isclose(exact, stats.binomtest(first, first + second).pvalue, rel_tol=1e-9)
    fewer = min(first, second)
    expected = 1.0 if first == second else 2 * coin.cdf(fewer) - coin.pmf(fewer)
    assert math.isclose(mid, expected, rel_tol=1e-9)
    assert mcnemar(second, first) == (mid, exact)
    assert mid <= exact


def test_so_many_images_neither_round_nor_underflow():
    mid, exact = mcnemar(4000, 6000)
    assert math.isclose(exact, stats.binomtest(4000, 10000).pvalue, rel_tol=1e-6)
    assert 0 < mid < exact < 1e-80


def test_equally_good_classifiers_differ_as_rarely_as_promised():
    random = np.random.default_rng(3)
    alarms = {"mid": 0, "exact": 0}
    for _ in range(3000):
        first, second = random.multinomial(200, [0.1, 0.1, 0.8])[:2]
        mid, exact = mcnemar(int(first), int(second))
        alarms["mid"] += mid < 0.05
        alarms["exact"] += exact < 0.05
    assert 0.03 < alarms["mid"] / 3000 < 0.06
    assert alarms["exact"] <= alarms["mid"]


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([1] * 60 + [0] * 40, [1] * 40 + [0] * 60, "left is better than right, by more than noise (p < 0.0001)"),
        ([1] * 40 + [0] * 60, [1] * 60 + [0] * 40, "right is better than left, by more than noise (p < 0.0001)"),
        ([1] * 51 + [0] * 49, [1] * 50 + [0] * 50, "no difference beyond noise (p = 0.500)"),
        ([1] * 50 + [0] * 50, [1] * 50 + [0] * 50, "no difference beyond noise (p = 1.000)"),
    ],
)
def test_verdicts(first, second, verdict):
    truth = np.arange(100) % 4
    found = compared(("left", "right"), truth, (np.array(first, bool), np.array(second, bool)), 4, Resampling())
    assert found.verdict == verdict
    assert found.to_dict()["significant"] == ("better" in verdict)
    assert found.top_1.value == pytest.approx((sum(first) - sum(second)) / 100)
    assert verdict in str(found)
    assert "left against right: 100 images" in str(found)


def test_p_values_as_people_write_them():
    assert [p_text(p) for p in (0.3, 0.0421, 0.00421, 1e-9)] == ["= 0.300", "= 0.042", "= 0.0042", "< 0.0001"]
