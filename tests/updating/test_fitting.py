"""The fit of heads: against scikit-learn where both solve the same problem, and what must hold for any data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from modhub.package.module import Head
from modhub.updating import fitting
from modhub.updating.choosing import (
    HEAD_STRATEGIES,
    Approach,
    Improvement,
    Judged,
    choose_approach,
    judge,
    judged_heads,
    strengths_to_try,
)
from modhub.updating.fitting import (
    FeatureGroup,
    HeadChange,
    Views,
    changed_margins,
    fit,
    log_softmax,
    minimise,
    tempered,
)
from modhub.updating.splitting import first_of_each, folds, set_aside


def scene(seed=0, n=120, groups=False):
    """Three modules of one origin and two of another; features that separate classes, margins that only half do."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 5
    one, two = random.normal(size=(n, 4)), random.normal(size=(n, 3))
    one[np.arange(n), labels % 4] += 1.5
    two[labels >= 3] += 1.0
    margins = random.normal(size=(n, 5))
    margins[np.arange(n), labels] += 1
    if groups:
        first = [FeatureGroup(0, np.array([0, 2]), one), FeatureGroup(0, np.array([1]), one * 1.1)]
    else:
        first = [FeatureGroup(0, np.array([0, 1, 2]), one)]
    return Views(margins, (*first, FeatureGroup(1, np.array([3, 4]), two))), labels


def literal_loss(views, labels, changes, strength):
    """The penalised cross-entropy, written down example by example from the changes."""
    total = 0.0
    for row, label in enumerate(labels):
        margins = views.margins[row].copy()
        for group in views.groups:
            for column in group.columns:
                change = changes[column]
                margins[column] = (
                    change.factor * views.margins[row, column] + group.features[row] @ change.direction + change.offset
                )
        total += np.log(np.exp(margins).sum()) - margins[label]
    return total


@pytest.mark.parametrize("groups", [False, True])
def test_the_gradient_is_that_of_the_value(groups):
    views, labels = scene(groups=groups)
    blocks = list(fitting._blocks(views))
    problem = fitting._Problem(views.margins, labels, blocks, 2.0)
    random = np.random.default_rng(3)
    at, way = random.normal(size=problem.size), random.normal(size=problem.size)
    gradient = problem.value_and_gradient(at)[1]
    ahead, behind = (problem.value_and_gradient(at + step * way)[0] for step in (1e-5, -1e-5))
    assert gradient @ way == pytest.approx((ahead - behind) / 2e-5, rel=1e-5)


def test_the_value_is_the_literal_cross_entropy_and_the_prior():
    views, labels = scene(groups=True)
    blocks = list(fitting._blocks(views))
    problem = fitting._Problem(views.margins, labels, blocks, 2.0)
    at = np.random.default_rng(4).normal(size=problem.size)
    changes = {}
    for block, part in zip(blocks, problem.parts(at / problem.roots), strict=True):
        changes |= block.changes(part)
    value = problem.value_and_gradient(at)[0]
    assert value == pytest.approx(
        literal_loss(views, labels, changes, 2.0) + 0.5 * problem.prior @ (at / problem.roots) ** 2, rel=1e-10
    )
    margins = changed_margins(views, changes)
    assert literal_loss(views, labels, changes, 2.0) == pytest.approx(
        -log_softmax(margins)[np.arange(len(labels)), labels].sum()
    )


def test_with_nothing_but_own_directions_it_is_scikit_learns_logistic_regression(monkeypatch):
    """One origin, margins of zero, everything shared held still: a multinomial logistic regression without bias."""
    for name in ("_SCALE", "_SHIFT", "_SHARED", "_BIAS"):
        monkeypatch.setattr(fitting, name, 1e9)
    monkeypatch.setattr(fitting, "_OWN", 1.0)
    random = np.random.default_rng(5)
    labels = np.arange(90) % 3
    features = random.normal(size=(90, 4)) + labels[:, None] * [0.5, -0.5, 0, 1]
    views = Views(np.zeros((90, 3)), (FeatureGroup(0, np.arange(3), features),))
    ours = changed_margins(views, fit(views, labels, 2.0))
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-8, max_iter=1000).fit(z, labels)
    assert np.abs(log_softmax(ours) - theirs.predict_log_proba(z)).max() < 2e-3


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 1000), st.booleans())
def test_an_infinite_strength_is_voting_and_a_large_one_nearly(seed, groups):
    views, labels = scene(seed, groups=groups)
    assert fit(views, labels, float("inf")) == {}
    assert np.array_equal(changed_margins(views, {}), views.margins)
    assert np.abs(changed_margins(views, fit(views, labels, 1e9)) - views.margins).max() < 1e-4


def test_a_fit_lowers_the_loss_and_equal_input_gives_equal_bytes():
    views, labels = scene()
    changes, again = fit(views, labels, 1.0), fit(views, labels, 1.0)
    rows = np.arange(len(labels))
    before, after = (-log_softmax(m)[rows, labels].mean() for m in (views.margins, changed_margins(views, changes)))
    assert after < before - 0.1
    assert all(changes[c].direction.tobytes() == again[c].direction.tobytes() for c in changes)


def test_modules_that_are_in_no_group_hold_still():
    views, labels = scene()
    changes = fit(Views(views.margins, views.groups[1:]), labels, 1.0)
    assert set(changes) == {3, 4}
    assert np.array_equal(changed_margins(views, changes)[:, :3], views.margins[:, :3])


def test_many_features_are_kept_in_half_the_memory_and_fit_the_same(monkeypatch):
    views, labels = scene(groups=True)
    exact = changed_margins(views, fit(views, labels, 3.0))
    monkeypatch.setattr(fitting, "_MOST_DOUBLES", 0)
    assert np.abs(changed_margins(views, fit(views, labels, 3.0)) - exact).max() < 0.01


def test_a_changed_head_gives_the_changed_margins():
    random = np.random.default_rng(0)
    head = Head(random.normal(size=(4, 2)).astype(np.float32), random.normal(size=2).astype(np.float32))
    change = HeadChange(1.3, random.normal(size=4), -0.7)
    features = random.normal(size=(6, 4)).astype(np.float32)
    new = change.head(head)
    before = features @ head.margin_kernel + head.margin_bias
    after = features @ new.margin_kernel + new.margin_bias
    assert np.allclose(after, 1.3 * before + features @ change.direction - 0.7, atol=1e-5)
    assert new.kernel.dtype == np.float32


def test_minimise_finds_the_least_of_a_crooked_quadratic():
    scales = np.array([1.0, 10, 100, 1000])
    target = np.array([1.0, -2, 3, 4])

    def function(x):
        return 0.5 * float(scales @ (x - target) ** 2), scales * (x - target)

    assert np.allclose(minimise(function, np.zeros(4), tolerance=1e-8), target, atol=1e-7)


def test_tempering_undoes_a_factor():
    views, labels = scene(n=1000)
    once = tempered(views.margins, labels)
    assert tempered(views.margins * 4, labels) == pytest.approx(once / 4, rel=1e-3)


# Splitting and choosing


def test_the_sets_are_disjoint_whole_and_take_of_every_class():
    labels = np.repeat([0, 1, 2], [4, 9, 30])
    work, report = set_aside(labels, 3, seed=1)
    assert sorted([*work, *report]) == list(range(43))
    assert list(np.bincount(labels[report])) == [1, 3, 10]
    assert [list(part) for part in set_aside(labels, 3, seed=1)] == [list(work), list(report)]
    assert list(set_aside(labels, 3, seed=2)[0]) != list(work)


def test_one_example_of_a_class_reports_and_of_two_one_is_left():
    work, report = set_aside(np.array([0, 1, 1]), 2, seed=0)
    assert list(report[:1]) == [0]
    assert len(work) == 1


def test_folds_spread_every_class_evenly():
    labels = np.repeat([0, 1], [10, 7])
    fold = folds(labels, 2, 5, seed=0)
    assert set(np.bincount(fold[labels == 0])) == {2}
    assert set(np.bincount(fold[labels == 1])) == {1, 2}
    assert first_of_each(labels, 2, 3, seed=0).sum() == 6


def judged(losses, rights):
    return Judged(np.array(losses, float), np.array(rights, float))


def test_the_original_is_kept_unless_a_way_is_clearly_better():
    original = judged([1, 1, 1, 1], [0, 1, 0, 1])
    better, noisy, worse_votes, no_votes = (Approach("calibrate", float(s)) for s in range(4))
    ways = {
        better: judged([0.5, 0.6, 0.5, 0.6], [1, 1, 0, 1]),
        noisy: judged([0.0, 2, 1, 0.9], [1, 1, 0, 1]),
        worse_votes: judged([0.1, 0.1, 0.1, 0.1], [0, 0, 0, 0]),
        no_votes: judged([0.1, 0.2, 0.1, 0.2], [0, 1, 0, 1]),
    }
    chosen, tried = choose_approach(original, ways)
    assert chosen == better
    assert [each.comparison.clearly_better for each in tried] == [True, False, False, False]
    assert choose_approach(original, {noisy: ways[noisy]})[0] is None
    assert choose_approach(original, {})[0] is None


def test_ways_are_compared_where_both_were_judged():
    comparison = judged([1, np.nan, 1], [1, np.nan, 0]).over(judged([2, 9, 3], [0, 0, 0]))
    assert comparison == Improvement(1.5, pytest.approx(0.5 / 2**0.5), 0.5, pytest.approx(0.5 / 2**0.5), 2)


@pytest.mark.parametrize("strategy", HEAD_STRATEGIES)
def test_no_margin_that_an_example_helped_to_fit_judges_it(strategy):
    """Labels that are pure noise: whatever is fitted to them cannot look better on held-out examples."""
    views, _ = scene(n=200)
    random = np.random.default_rng(9)
    noise = random.permutation(np.arange(200) % 5)
    still = Views(random.normal(size=(200, 5)) * 0.01, views.groups)
    fold = folds(noise, 5, 5, seed=0)
    found = judged_heads(strategy, still, noise, fold)
    original = judge(still.margins, noise, fold)
    assert max(each.over(original).loss for each in found.values()) < 0.02
    assert choose_approach(original, found)[0] is None


def test_few_examples_try_one_strength():
    assert len(strengths_to_try(5)) == 1 < len(strengths_to_try(20))
