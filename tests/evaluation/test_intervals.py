"""Intervals: as wide as resampling images by hand makes them, and around the truth as often as they say."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from modhub.errors import UsageError
from modhub.evaluation.intervals import Estimate, Resampling
from modhub.updating.result import measured

HOW = Resampling(resamples=4000)


def by_hand(values: np.ndarray, figure, seed: int = 1, resamples: int = 4000) -> tuple[float, float]:
    """The percentile bootstrap as textbooks have it: images drawn with replacement, the figure computed again."""
    random = np.random.default_rng(seed)
    drawn = [figure(values[random.integers(0, len(values), len(values))]) for _ in range(resamples)]
    return float(np.nanquantile(drawn, 0.025)), float(np.nanquantile(drawn, 0.975))


def close(ours: Estimate, theirs: tuple[float, float], within: float) -> bool:
    return abs(ours.low - theirs[0]) < within and abs(ours.high - theirs[1]) < within


def data(images: int = 300, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.choice(classes, images, p=np.array([4, 3, 2, 1]) / 10)
    return truth, random.random(images) < np.array([0.9, 0.6, 0.8, 0.5])[truth]


def test_an_accuracy_as_if_images_were_drawn():
    _, right = data()
    found = HOW.share(int(right.sum()), len(right))
    assert found.value == right.mean()
    assert close(found, by_hand(right, np.mean), 0.008)


def test_scipy_agrees():
    _, right = data()
    theirs = stats.bootstrap(
        (right.astype(float),), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert close(HOW.share(int(right.sum()), len(right)), (theirs.low, theirs.high), 0.008)


def test_balanced_accuracy_and_recalls_as_if_images_were_drawn():
    truth, right = data()
    whole, rights = np.bincount(truth, minlength=4), np.bincount(truth[right], minlength=4)

    def balanced(rows: np.ndarray) -> float:
        return float(np.mean([rows[rows[:, 0] == c, 1].mean() for c in range(4) if (rows[:, 0] == c).any()]))

    pairs = np.column_stack([truth, right])
    found = HOW.mean_share(rights, whole)
    assert np.isclose(found.value, balanced(pairs))
    assert close(found, by_hand(pairs, balanced), 0.01)
    for cls, recall in enumerate(HOW.shares(rights, whole, len(truth))):
        assert recall is not None

        def of_class(rows: np.ndarray, cls: int = cls) -> float:
            chosen = rows[rows[:, 0] == cls, 1]
            return float(chosen.mean()) if len(chosen) else np.nan

        assert close(recall, by_hand(pairs, of_class, resamples=2000), 0.025)


def test_differences_as_if_images_were_drawn():
    truth, first = data()
    second = np.random.default_rng(5).random(len(truth)) < np.where(first, 0.5, 0.6)
    gained, lost = first & ~second, second & ~first
    found = HOW.difference(int(gained.sum()), int(lost.sum()), len(truth))
    assert np.isclose(found.value, first.mean() - second.mean())
    assert close(found, by_hand(first.astype(int) - second.astype(int), np.mean), 0.01)
    counts = [np.bincount(truth[rows], minlength=4) for rows in (gained, lost, slice(None))]
    rows = np.column_stack([truth, first.astype(int) - second.astype(int)])

    def balanced(rows: np.ndarray) -> float:
        return float(np.mean([rows[rows[:, 0] == c, 1].mean() for c in range(4) if (rows[:, 0] == c).any()]))

    assert close(HOW.mean_difference(*counts), by_hand(rows, balanced), 0.012)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("figure", ["share", "mean_share", "difference"])
def test_the_truth_is_inside_as_often_as_promised(figure, level):
    """400 data sets from known odds; of so many intervals a share of ``level`` must hold the truth, give or take."""
    random = np.random.default_rng(7)
    odds, whole = np.array([0.9, 0.7, 0.5]), np.array([200, 150, 150])
    inside = 0
    for trial in range(400):
        how = Resampling(level, 1000, seed=trial)
        right = random.binomial(whole, odds)
        if figure == "share":
            found, truth = how.share(int(right.sum()), 500), float((odds * whole).sum() / 500)
        elif figure == "mean_share":
            found, truth = how.mean_share(right, whole), float(odds.mean())
        else:
            gained, lost, _ = random.multinomial(500, [0.12, 0.07, 0.81])
            found, truth = how.difference(int(gained), int(lost), 500), 0.05
        inside += found.low <= truth <= found.high
    # Three standard errors of 400 trials, and what a percentile interval is known to fall short at such sizes.
    assert abs(inside / 400 - level) < 3 * np.sqrt(level * (1 - level) / 400) + 0.012


@pytest.mark.parametrize(("right", "whole"), [(0, 1), (0, 40), (1, 1), (40, 40), (1000, 1000)])
def test_all_or_none_right_has_the_exact_bound(right, whole):
    exact = stats.binomtest(right, whole).proportion_ci(0.95, method="exact")
    for found in (HOW.share(right, whole), HOW.shares(np.array([right]), np.array([whole]), 2000)[0]):
        assert found is not None
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    assert HOW.mean_share(np.array([5, 8]), np.array([5, 8])).high == 1.0
    assert HOW.mean_share(np.array([5, 5]), np.array([5, 5])).low == HOW.share(10, 10).low


@pytest.mark.parametrize(("right", "each"), [((1, 0), 1), ((1, 1, 1, 0, 0), 1), ((6, 6, 0), 6), ((20, 0, 0, 0), 20)])
def test_classes_of_which_all_or_none_are_right_have_wilsons_interval(right, each):
    """Drawing such images again gives the same share each time, as if it were known exactly."""
    whole = np.full(len(right), each)
    found = HOW.mean_share(np.array(right), whole)
    theirs = stats.binomtest(sum(right), int(whole.sum())).proportion_ci(0.95, method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((sum(right) / whole.sum(), theirs.low, theirs.high))


def test_balanced_accuracy_from_few_images_of_each_class_holds_the_truth():
    """One image of each of 40 classes, half of which are as good as a coin: too wide is honest, too narrow is not."""
    random, whole = np.random.default_rng(3), np.ones(40, np.int64)
    odds = np.repeat([0.5, 0.9], 20)
    inside = 0
    for _ in range(400):
        found = HOW.mean_share(random.binomial(whole, odds), whole)
        inside += found.low <= odds.mean() <= found.high
    assert inside / 400 > 0.94


@pytest.mark.parametrize("images", [1, 12, 60])
def test_differences_that_no_resample_would_change_are_not_known_exactly(images):
    bound = stats.binomtest(0, images).proportion_ci(0.95, method="exact").high
    classes = [np.array(counts) for counts in ([0, 0], [images, images], [images, 0])]
    none, every, some = classes
    for same in (HOW.difference(0, 0, images), HOW.mean_difference(none, none, every)):
        assert same.value == 0
        assert -bound - 1e-9 <= same.low == -same.high < 0
    assert HOW.difference(0, 0, images).high == pytest.approx(bound)
    for gained, lost, value in ((images, 0, 1), (0, images, -1)):
        found = HOW.difference(gained, lost, images)
        outer = sorted((value, value * (1 - 2 * bound)))
        assert (found.value, found.low, found.high) == pytest.approx((value, *outer))
    apart = HOW.mean_difference(some, some[::-1], every)
    assert apart.value == 0
    assert apart.low < -0.1 < 0.1 < apart.high


@pytest.mark.parametrize("right", [60, 0])
def test_an_update_and_an_evaluation_give_one_interval(right):
    labels = np.arange(60) % 4
    given = measured(np.arange(60) < right, labels, ("a", "b", "c", "d"), seed=0)
    found = Resampling().mean_share(np.full(4, right // 4), np.full(4, 15))
    assert given.interval == (found.low, found.high)
    exact = stats.binomtest(right, 60).proportion_ci(0.95, method="exact")
    assert given.interval == pytest.approx((exact.low, exact.high))


def test_a_share_of_nothing_is_none():
    found = HOW.shares(np.array([0, 3]), np.array([0, 5]), 5)
    assert found[0] is None
    assert found[1] is not None


def test_a_seed_decides_and_figures_do_not_disturb_each_other():
    assert HOW.share(30, 50) == HOW.share(30, 50)
    first = HOW.mean_share(np.array([3, 4]), np.array([5, 9]))
    HOW.share(1, 2)
    assert HOW.mean_share(np.array([3, 4]), np.array([5, 9])) == first
    assert Resampling(resamples=4000, seed=1).share(3000, 5001) != HOW.share(3000, 5001)


def test_ten_thousand_images_of_a_hundred_classes_cost_nearly_nothing():
    whole = np.full(100, 100)
    right = np.random.default_rng(0).binomial(whole, 0.7)
    start = time.process_time()
    how = Resampling(resamples=2000)
    how.share(int(right.sum()), 10_000)
    how.mean_share(right, whole)
    how.shares(right, whole, 10_000)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"confidence": 1.0}, "confidence is 1.0. Hint: 0.95 is usual."),
        ({"confidence": float("nan")}, "confidence is nan."),
        ({"resamples": 10}, "resamples is 10. Hint: use 1,000 or more; at most 100,000."),
        ({"seed": -1}, "seed is -1. Hint: use 0 or more."),
    ],
)
def test_settings_that_make_no_sense(fields, message):
    with pytest.raises(UsageError) as raised:
        Resampling(**fields)
    assert message in str(raised.value)


def test_texts():
    assert str(Estimate(0.934, 0.921, 0.946)) == "93.4% (92.1 to 94.6)"
    assert Estimate(0.012, -0.003, 0.027).points == "+1.2 (-0.3 to +2.7) points"
