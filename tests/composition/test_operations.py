"""Operations on plans: identities there and back, verifiers that follow their classes, and every refusal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.composition.operations import added, removed, renamed, restricted, swapped, verified
from modhub.composition.plan import natural_classes
from modhub.composition.recipe import Stage
from modhub.composition.votes import decided
from modhub.errors import Conflict, Incompatible, NotFound, UsageError
from tests.composition.made_by_hand import CONTRACT, made_plan, module

LARGE = CONTRACT.model_copy(update={"height": 64, "width": 64})
derandomized = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def plan_of(*refs, **options):
    return made_plan([module(ref) for ref in refs], **options)


PETS = plan_of("c/m:cat", "c/m:dog", "c/m:ship", "d/n:apple")
TWO = [module("me/two:cat"), module("me/two:dog")]


@st.composite
def plans(draw):
    """Plans of up to 8 members, some of one class, with a verifier where there are two classes."""
    refs = draw(
        st.lists(
            st.builds("{}:{}".format, st.sampled_from(["c/m", "d/n", "e/o"]), st.sampled_from("abcd")),
            min_size=2,
            max_size=8,
            unique=True,
        )
    )
    plan = plan_of(*refs)
    if draw(st.booleans()):
        labels = draw(st.permutations(plan.labels))[: draw(st.integers(2, len(refs)))]
        plan = verified(plan, labels, [module(f"v/v{place}:x") for place in range(len(labels))])
    return plan


@derandomized
@given(plans(), st.data())
def test_swap_there_and_back_is_the_identity(plan, data):
    label = data.draw(st.sampled_from(plan.labels))
    column = plan.column(label)
    there = swapped(plan, label, module("new/net:z"))
    assert there.modules[column].ref == "new/net:z"
    assert swapped(there, there.labels[column], plan.modules[column]) == plan


@derandomized
@given(plans())
def test_add_then_remove_is_the_identity(plan):
    more = added(plan, natural_classes([module("new/net:z")]))
    assert more.labels[:-1] == plan.labels
    assert removed(more, "z") == plan


@derandomized
@given(plans(), st.data())
def test_rename_there_and_back_is_the_identity(plan, data):
    label = data.draw(
        st.sampled_from([n for n, m in zip(plan.labels, plan.modules, strict=True) if n == m.name] or [""])
    )
    if label:
        there = renamed(plan, label, "another name")
        assert there.labels[plan.column(label)] == "another name"
        assert renamed(there, "another name", label) == plan


@derandomized
@given(plans(), st.data())
def test_the_order_of_parts_changes_only_the_order_of_columns(plan, data):
    order = data.draw(st.permutations(range(len(plan.recipe.classes))))
    turned = restricted(plan, [plan.labels[column] for column in order])
    assert turned.labels == tuple(plan.labels[column] for column in order)
    margins = np.random.default_rng(0).normal(size=(5, len(plan.recognisers))).astype(np.float32)
    k = len(plan.recipe.classes)
    votes = decided(margins[:, :k], margins[:, k:], [v.columns for v in plan.recipe.stages])
    again = decided(margins[:, :k][:, order], margins[:, k:], [v.columns for v in turned.recipe.stages])
    np.testing.assert_array_equal(again, votes[:, order])


def test_restricting_keeps_the_order_given():
    assert restricted(PETS, ["apple", "cat"]).labels == ("apple", "cat")


def test_a_verifier_follows_its_classes():
    plan = verified(PETS, ["dog", "cat"], [module("me/two:dog"), module("me/two:cat")])
    assert plan.recipe.stages[0].columns == (1, 0)
    turned = restricted(plan, ["apple", "cat", "dog"])
    assert turned.recipe.stages == (Stage((2, 1), plan.recipe.stages[0].modules),)
    assert removed(plan, "dog").recipe.stages == ()
    assert removed(plan, "ship").recipe.stages == plan.recipe.stages
    assert swapped(plan, "cat", module("d/n:cat")).recipe.stages == plan.recipe.stages
    three = verified(PETS, ["dog", "cat", "apple"], [*TWO, module("me/two:apple")])
    left = removed(three, "dog").recipe.stages[0]
    assert (left.columns, [m.ref for m in left.modules]) == ((0, 2), ["me/two:cat", "me/two:apple"])


def test_merging_brings_verifiers_along():
    other = verified(plan_of("x/y:cat", "x/y:dog"), ["cat", "dog"], TWO)
    both = added(PETS, other.recipe.classes, other.recipe.stages)
    assert [verifier.columns for verifier in both.recipe.stages] == [(4, 5)]
    assert both.labels == ("c/m:cat", "c/m:dog", "ship", "apple", "x/y:cat", "x/y:dog")


def test_modules_verify_the_class_of_their_name_else_in_order():
    by_name = verified(PETS, ["cat", "dog"], TWO[::-1])
    assert [m.name for m in by_name.recipe.stages[0].modules] == ["cat", "dog"]
    others = [module("me/two:feline"), module("me/two:canine")]
    assert verified(PETS, ["cat", "dog"], others).recipe.stages[0].modules == tuple(others)
    half = [module("me/two:dog"), module("me/two:canine")]
    assert verified(PETS, ["cat", "dog"], half).recipe.stages[0].modules == tuple(half)


def test_stages_are_printed():
    plan = verified(PETS, ["cat", "dog"], TWO)
    assert str(plan).splitlines()[-1] == "between cat | dog decide again: me/two:cat, me/two:dog"
    assert plan.to_dict()["verifiers"][0]["classes"] == ["cat", "dog"]


# Deciding again


def literally(margins, verifying, stages):
    """Row by row: who wins, who is asked, and margins given out from the largest."""
    result = [list(map(float, row)) for row in margins]
    start = 0
    for stage in stages:
        for row, votes in zip(result, verifying, strict=True):
            if row.index(max(row)) in stage:
                said = list(votes[start : start + len(stage)])
                ranked = sorted(range(len(stage)), key=lambda position: -said[position])
                values = sorted((row[column] for column in stage), reverse=True)
                for position, value in zip(ranked, values, strict=True):
                    row[stage[position]] = value
        start += len(stage)
    return np.array(result, np.float32)


@derandomized
@given(plans(), st.integers(0, 1000))
def test_deciding_again_is_what_it_says(plan, seed):
    random, k = np.random.default_rng(seed), len(plan.recipe.classes)
    stages = [verifier.columns for verifier in plan.recipe.stages]
    margins, verifying = random.normal(size=(9, k)), random.normal(size=(9, sum(map(len, stages))))
    found = decided(margins.astype(np.float32), verifying.astype(np.float32), stages)
    np.testing.assert_array_equal(found, literally(margins.astype(np.float32), verifying.astype(np.float32), stages))
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(margins.astype(np.float32), axis=1))


def test_a_stage_decides_where_one_of_its_classes_won_and_nowhere_else():
    margins = np.array([[3, 1, 2], [1, 3, 2], [1, 2, 3]], np.float32)
    votes = np.array([[0, 9], [0, 9], [0, 9]], np.float32)
    assert decided(margins, votes, [(0, 1)]).tolist() == [[1, 3, 2], [1, 3, 2], [1, 2, 3]]


def test_stages_follow_one_another():
    margins = np.array([[3, 1, 2]], np.float32)
    votes = np.array([[0, 9, 0, 9]], np.float32)
    assert decided(margins, votes, [(0, 1), (1, 2)]).argmax() == 2


# Adapters in a plan


def test_without_adapt_differing_sizes_are_an_error_with_a_way_out():
    with pytest.raises(Incompatible) as caught:
        made_plan([module("c/m:cat"), module("i/n:goldfish", contract=LARGE)])
    assert str(caught.value) == (
        "cannot compose c/m:cat with i/n:goldfish: input 32x32x3 vs 64x64x3. "
        'Hint: adapt="resize" (--adapt resize) gives each module an adapter; or take modules of equal inputs.'
    )


def test_a_verifier_of_another_size_is_an_error_too():
    small = [module("me/two:cat", contract=LARGE), module("me/two:dog", contract=LARGE)]
    with pytest.raises(Incompatible, match="cannot compose c/m:cat with me/two:cat: input 32x32x3 vs 64x64x3"):
        verified(PETS, ["cat", "dog"], small)


def test_the_plan_says_which_module_gets_which_adapter():
    members = [module("c/m:cat"), module("i/n:goldfish", contract=LARGE)]
    plan = made_plan(members, adapt="resize")
    assert plan.contract.shape == (64, 64, 3)
    assert str(plan).splitlines()[-1] == "adapter of cat: resize 64x64 -> 32x32 (4 pixels become one)"
    assert plan.to_dict()["members"][0]["adapter"] == {
        "steps": ["resize 64x64 -> 32x32"],
        "costs": ["4 pixels become one"],
    }
    assert plan.to_dict()["members"][1]["adapter"] is None
    small = made_plan(members, adapt="resize", size=(32, 32))
    assert small.contract.shape == (32, 32, 3)
    assert "adapter of goldfish: resize 32x32 -> 64x64" in str(small)
    assert swapped(small, "cat", module("d/n:cat")).settings.size == (32, 32)


# Refusals


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda: renamed(PETS, "cat", "dog"), "duplicate-label", "the classifier has a class 'dog' already: c/m:dog."),
        (lambda: renamed(PETS, "cat", " "), "bad-label", "' ' cannot be a label."),
        (lambda: renamed(PETS, "cat", "a\x1b[2J"), "bad-label", r"'a\x1b[2J' cannot be a label."),
        (lambda: renamed(PETS, "cat", "x" * 501), "bad-label", "'xxx"),
        (lambda: renamed(PETS, "bat", "x"), "unknown-class", "the classifier has no class 'bat'; it has cat, dog"),
        (lambda: restricted(PETS, []), "empty", "no class was named to keep."),
        (lambda: restricted(PETS, "cat"), "bad-classes", "a list of classes is needed, not the one name 'cat'."),
        (lambda: restricted(PETS, ["cat", "cat"]), "duplicate-class", "'cat' is named twice to restrict."),
        (lambda: restricted(PETS, ["cat", "c/m:cat"]), "duplicate-class", "'cat' is named twice to restrict."),
        (
            lambda: verified(PETS, ["cat"], TWO[:1]),
            "bad-verifier",
            "a stage needs at least two classes, between which modules decide; it has cat.",
        ),
        (
            lambda: verified(PETS, [], []),
            "bad-verifier",
            "a stage needs at least two classes, between which modules decide; it has none.",
        ),
        (
            lambda: verified(PETS, ["cat", "dog"], TWO[:1]),
            "bad-verifier",
            "1 modules cannot verify 2 classes (cat, dog): me/two:cat.",
        ),
        (lambda: verified(PETS, ["cat", "bat"], TWO), "unknown-class", "the classifier has no class 'bat'"),
    ],
)
def test_what_is_refused(change, kind, message):
    with pytest.raises((UsageError, Conflict, NotFound)) as caught:
        change()
    assert caught.value.kind == kind
    assert str(caught.value).startswith(message)
    assert caught.value.hint or kind in ("unknown-class", "bad-classes")


def test_a_name_that_two_modules_have_cannot_be_taken_back_by_one():
    plan = plan_of("c/m:cat", "d/n:cat")
    assert plan.labels == ("c/m:cat", "d/n:cat")
    with pytest.raises(Conflict, match="has a class 'cat' already: d/n:cat"):
        renamed(plan, "c/m:cat", "cat")
