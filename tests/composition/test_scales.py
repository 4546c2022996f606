"""Votes across origins: margins on one scale, the temperature, and what the plan says of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import modhub
from modhub.composition.composite import Composite
from modhub.composition.recipe import Stage
from modhub.composition.scales import counting_of, relative_scales
from modhub.errors import UsageError
from modhub.package.module import Head, Module
from modhub.spec.manifest import VoteRecord
from tests.composition.made_by_hand import made_plan, module
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants


def scaled(ref: str, scale: float | None, temperature: float = 1.0, **fields) -> Module:
    made = module(ref, **fields)
    record = scale and VoteRecord(margin_scale=scale, temperature=temperature, data="d (observed)", examples=9)
    return replace(made, origin=replace(made.origin, vote=record or None))


CAT, DOG, APPLE = scaled("a/m:cat", 8.0, 1.2), scaled("a/m:dog", 8.0, 1.2), scaled("b/n:apple", 2.0, 0.5)
WITHOUT = scaled("c/old:ship", None)


def test_margins_are_divided_by_their_origins_scale_and_the_temperature_is_the_mean():
    found = counting_of([CAT, APPLE, DOG], "scaled")
    assert found.divisors == (8.0, 2.0, 8.0)
    assert found.temperature == pytest.approx((1.2 / 8 + 0.5 / 2) / 2)
    assert found.remarks == ("margins are divided before they vote: a/m by 8, b/n by 2",)


def test_within_one_origin_nothing_changes():
    found = counting_of([CAT, DOG], "scaled")
    assert (found.divisors, found.temperature, found.remarks) == ((1.0, 1.0), 1.2, ())


def test_raw_votes_as_the_paper_does():
    found = counting_of([CAT, APPLE], "raw")
    assert found.divisors == (1.0, 1.0)
    assert found.temperature == pytest.approx((1.2 + 0.5) / 2)
    assert found.remarks == ("margins vote as they are, as asked",)


def test_where_one_release_has_no_scale_all_vote_raw_and_the_plan_says_so():
    plan = made_plan([CAT, WITHOUT, APPLE])
    assert plan.counting.divisors == (1.0, 1.0, 1.0)
    assert plan.counting.temperature == pytest.approx((1.2 + 0.5 + 3 / 2) / 3)
    said = str(plan)
    assert "margins vote as they are, since c/old records no margin_scale" in said
    assert "c/old records no temperature: probabilities are too sure" in said
    assert plan.to_dict()["counting"]["divisors"] == [1.0, 1.0, 1.0]


def test_another_release_of_the_same_network_lends_its_scale():
    old = replace(CAT, name="old cat", digest="sha256:other", origin=replace(CAT.origin, vote=None))
    assert counting_of([old, DOG, APPLE], "scaled").divisors == (8.0, 8.0, 2.0)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(arrays.arrays(np.float32, (5, 5), elements=st.floats(-90, 90, width=32)), st.sampled_from(["scaled", "raw"]))
def test_the_vote_is_the_argmax_of_divided_margins_and_of_probabilities(margins, vote):
    """With a stage whose modules are of two origins, whose margins are divided alike."""
    stage = Stage((0, 1), (scaled("d/v:cat", 4.0), scaled("e/w:apple", 1.0)))
    plan = made_plan([CAT, APPLE, DOG], [stage], vote=vote)
    found = plan.prediction(margins)
    divisors = np.array([8, 2, 8, 4, 1] if vote == "scaled" else [1] * 5)
    counted = (margins / divisors).astype(np.float32)
    for row, votes in zip(range(5), counted, strict=True):
        best = votes[:3].argmax()
        if best in (0, 1) and votes[0] != votes[1]:
            best = votes[3:].argmax()
        assert found.indices[row] == best
    assert found.probabilities.argmax(axis=1).tolist() == found.indices.tolist()
    np.testing.assert_array_equal(found.module_margins, margins[:, :3])
    assert found.positive.tolist() == (margins[:, :3] > 0).tolist()


def test_relative_scales_count_alike_and_keep_the_size_of_margins():
    found = relative_scales([CAT, APPLE, DOG], "scaled")
    assert found[0] / found[1] == pytest.approx(4)
    assert np.mean(1 / found[:2]) == pytest.approx(1)
    assert relative_scales([CAT, APPLE], "raw").tolist() == [1, 1]


# Matching a module to the one that it replaces


def with_head(each: Module, seed: int) -> Module:
    random = np.random.default_rng(seed)
    head = Head(random.normal(size=(8, 2)).astype(np.float32), random.normal(size=2).astype(np.float32))
    return replace(each, head=head, threshold=1.5, scale=0.7)


def test_a_scaled_vote_leaves_nothing_to_match():
    old, new = with_head(CAT, 1), with_head(APPLE, 2)
    swapped = modhub.compose([old, DOG]).swap("cat", new, match=True)
    assert swapped.modules[0] is new
    assert swapped.plan.counting.divisors == (2.0, 8.0)
    # Also where the module that goes is what kept the vote from being scaled.
    again = modhub.compose([with_head(WITHOUT, 1), DOG]).swap("ship", new, match=True)
    assert (again.modules[0], again.plan.counting.divisors) == (new, (2.0, 8.0))


@pytest.mark.parametrize("vote", ["scaled", "raw"])
def test_where_margins_vote_as_they_are_matching_puts_the_module_on_the_scale_that_went(vote):
    """Raw, and beside a release without a scale; then no other margin is divided either, and the plan says why."""
    old, new = with_head(CAT, 1), replace(with_head(APPLE, 2), threshold=-2.0, scale=0.1)
    beside = DOG if vote == "raw" else WITHOUT
    swapped = modhub.compose([old, beside], vote=vote).swap(old.name, new, match=True)
    made = swapped.modules[0]
    assert (made.threshold, made.scale) == (old.threshold, old.scale)
    assert swapped.plan.counting.divisors == (1.0, 1.0)
    features = np.random.default_rng(5).normal(size=(30, 8)).astype(np.float32)
    np.testing.assert_array_equal(
        made.head.margins(features) > made.threshold, new.head.margins(features) > new.threshold
    )
    scaled_again = modhub.compose([swapped], vote="scaled").plan
    assert scaled_again.counting.divisors == (1.0, 1.0)
    assert "was put on another one's scale" in str(scaled_again)


# The same vote however it is run


@pytest.fixture(scope="module")
def mixed() -> Composite:
    quarters, lines = quadrant_modules().modules, bar_modules().modules
    return modhub.compose([quarters[0], lines[0], quarters[1], lines[1]])


IMAGES = np.concatenate([quadrants().x, bars().x])


def test_isolated_fused_keras_and_evaluation_vote_alike(mixed: Composite):
    scales = [each.origin.vote.margin_scale for each in mixed.modules]
    assert len(set(scales)) == 2
    expected = mixed.predict(IMAGES)
    np.testing.assert_allclose(expected.margins, expected.module_margins / np.array(scales), rtol=1e-5)
    fused = mixed.in_mode("fused")
    found = fused.predict(IMAGES)
    np.testing.assert_allclose(found.margins, found.module_margins / np.array(scales), rtol=1e-5)
    np.testing.assert_allclose(fused.to_keras().predict(IMAGES, verbose=0), found.margins, atol=1e-4)
    np.testing.assert_allclose(mixed.to_keras().predict(IMAGES, verbose=0), expected.margins, atol=1e-4)
    names = [name for name in mixed.classes if name not in ("top left",)]
    rows = [row for row, name in enumerate(_names()) if name in names]
    evaluation = modhub.evaluate(mixed, (IMAGES[rows], [_names()[row] for row in rows]))
    assert evaluation.right.tolist() == [expected.labels[row] == _names()[row] for row in rows]


def test_raw_is_another_vote_here(mixed: Composite):
    raw, one = mixed.in_vote("raw"), mixed.predict(IMAGES)
    np.testing.assert_array_equal(raw.predict(IMAGES).margins, one.module_margins)
    assert raw.plan.settings.vote == modhub.compose([mixed], vote="raw").plan.settings.vote == "raw"
    with pytest.raises(UsageError, match="vote is 'cooked'"):
        mixed.in_vote("cooked")


def _names() -> list[str]:
    return [data.classes[label] for data in (quadrants(), bars()) for label in data.y]
