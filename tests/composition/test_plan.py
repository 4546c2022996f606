"""Plans: labels that distinguish modules, inputs that must agree, and changes that give new plans."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.composition.operations import added, removed, swapped
from modhub.composition.plan import make_plan, natural_classes
from modhub.composition.recipe import Recipe
from modhub.errors import Conflict, Incompatible, NotFound, UsageError
from tests.composition.made_by_hand import CONTRACT, made_plan, module


def plan_of(*refs):
    return made_plan([module(ref) for ref in refs])


# Labels


def test_a_label_is_the_classes_display_name():
    plan = plan_of("cifar10/r56:cat", "cifar100/r20:potter's wheel")
    assert plan.labels == ("cat", "potter's wheel")


def test_two_classes_of_one_name_get_their_full_names_and_the_others_keep_theirs():
    plan = plan_of("cifar10/r56:cat", "cifar10/r56:dog", "cifar10/r20:cat", "cifar100/r20:cat")
    assert plan.labels == ("cifar10/r56:cat", "dog", "cifar10/r20:cat", "cifar100/r20:cat")


def test_two_versions_of_one_module_are_named_by_version():
    plan = plan_of("cifar10/r56:cat@1.0.0", "cifar10/r56:cat@1.1.0", "cifar10/r20:cat@1.0.0")
    assert plan.labels == ("cifar10/r56:cat@1.0.0", "cifar10/r56:cat@1.1.0", "cifar10/r20:cat")


def test_two_unpublished_modules_of_one_name_are_named_by_digest():
    one, other = module(digest="sha256:" + "a" * 64), module(digest="sha256:" + "b" * 64)
    plan = made_plan([one, other])
    assert plan.labels == ("cifar10/r56:cat " + "a" * 12, "cifar10/r56:cat " + "b" * 12)


def test_a_chosen_label_stays():
    plan = make_plan(Recipe((("pet", module("cifar10/r56:cat")), ("cat", module("cifar10/r20:cat")))))
    assert plan.labels == ("pet", "cat")


refs = st.builds(
    "{}/{}:{}{}".format,
    st.sampled_from(["cifar10", "cifar100"]),
    st.sampled_from(["r56", "r20"]),
    st.sampled_from(["cat", "dog", "potter's wheel"]),
    st.sampled_from(["", "@1.0.0", "@1.1.0"]),
)
lists_of_refs = st.lists(refs, min_size=1, max_size=9, unique=True)
derandomized = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@derandomized
@given(lists_of_refs)
def test_labels_are_distinct_and_lead_back_to_their_column(chosen):
    plan = plan_of(*chosen)
    assert len(set(plan.labels)) == len(plan.labels)
    assert [plan.column(label) for label in plan.labels] == list(range(len(chosen)))


# What may stand together


def test_no_modules_at_all():
    with pytest.raises(UsageError) as caught:
        made_plan([])
    assert str(caught.value) == (
        'no modules were given. Hint: name at least one, for example compose(["c10:cat", "c100:apple"]).'
    )


def test_a_module_named_twice():
    with pytest.raises(Conflict) as caught:
        plan_of("cifar10/r56:cat@1.0.0", "cifar10/r56:dog", "cifar10/r56:cat@1.0.0")
    assert str(caught.value) == "cifar10/r56:cat@1.0.0 is named twice. Hint: name every module once."


def test_one_module_under_two_versions_is_named_with_both():
    one, other = (module(f"cifar10/r56:cat@{version}", digest="sha256:" + "a" * 64) for version in ("1.0.0", "2.0.0"))
    with pytest.raises(Conflict) as caught:
        made_plan([one, other])
    assert "cifar10/r56:cat@2.0.0 is named twice, once as cifar10/r56:cat@1.0.0." in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"height": 64, "width": 64}, "input 32x32x3 vs 64x64x3"),
        ({"channels": 1, "colour": "grey"}, "input 32x32x3 vs 32x32x1, colour order rgb vs grey"),
        ({"value_range": (0.0, 1.0)}, "value range 0..255 vs 0..1"),
        ({"value_range": (-1.0, 1.0)}, "value range 0..255 vs -1..1"),
        ({"colour": "other"}, "colour order rgb vs other"),
    ],
)
def test_inputs_that_differ_name_both_modules_and_both_values(changes, reason):
    goldfish = module("imagenet200/r20:goldfish", contract=CONTRACT.model_copy(update=changes))
    with pytest.raises(Incompatible) as caught:
        made_plan([module("cifar10/r56:cat"), module("cifar10/r56:dog"), goldfish])
    assert str(caught.value).startswith(
        f"cannot compose cifar10/r56:cat with imagenet200/r20:goldfish: {reason}. Hint: "
    )
    assert caught.value.data["modules"] == ["cifar10/r56:cat", "imagenet200/r20:goldfish"]


@pytest.mark.parametrize(
    "changes", [{"rescale": 1.0}, {"colour": "bgr"}, {"mean": (0.5,) * 3, "std": (0.2,) * 3}, {"dtype": "float32"}]
)
def test_preprocessing_may_differ_because_every_module_does_its_own(changes):
    other = module("cifar100/r20:apple", contract=CONTRACT.model_copy(update=changes))
    assert made_plan([module(), other]).labels == ("cat", "apple")


# Trunks


def test_modules_of_one_origin_share_a_trunk_and_keep_their_columns():
    cat, apple = module("cifar10/r56:cat"), module("cifar100/r20:apple")
    dog = module("cifar10/r56:dog", origin=cat.origin)
    assert made_plan([cat, apple, dog]).groups() == [[0, 2], [1]]


# Changes


def test_removing_keeps_the_order_of_the_others():
    plan = plan_of("cifar10/r56:cat", "cifar10/r56:dog", "cifar10/r56:ship")
    assert removed(plan, "dog").labels == ("cat", "ship")
    assert plan.labels == ("cat", "dog", "ship")


def test_the_only_class_cannot_be_removed():
    with pytest.raises(UsageError) as caught:
        removed(plan_of("cifar10/r56:cat"), "cat")
    assert str(caught.value) == (
        "'cat' is the composite's only class; nothing would be left. Hint: add another class first."
    )


def test_adding_goes_to_the_end():
    plan = added(plan_of("cifar10/r56:cat"), natural_classes([module("cifar100/r20:apple"), module("cifar10/r56:dog")]))
    assert plan.labels == ("cat", "apple", "dog")


def test_adding_what_is_there_already_is_a_conflict():
    with pytest.raises(Conflict, match="cifar10/r56:cat is named twice"):
        added(plan_of("cifar10/r56:cat"), natural_classes([module("cifar10/r56:cat")]))


def test_a_swap_keeps_place_and_label():
    plan = plan_of("cifar10/r56:cat", "cifar10/r56:dog", "cifar10/r56:ship")
    after = swapped(plan, "dog", module("cifar100/r20:wolf"))
    assert after.labels == ("cat", "dog", "ship")
    assert [m.ref for m in after.modules] == ["cifar10/r56:cat", "cifar100/r20:wolf", "cifar10/r56:ship"]
    again = swapped(after, "dog", module("cifar100/r20:fox"))
    assert again.labels == ("cat", "dog", "ship")
    assert [m.ref for m in plan.modules] == ["cifar10/r56:cat", "cifar10/r56:dog", "cifar10/r56:ship"]


def test_a_swap_among_namesakes_names_the_new_module_and_changes_no_other():
    plan = plan_of("cifar10/r56:cat", "cifar10/r20:cat", "cifar10/r56:dog")
    after = swapped(plan, "cifar10/r56:cat", module("cifar100/r20:tiger"))
    assert after.labels == ("cifar100/r20:tiger", "cifar10/r20:cat", "dog")
    assert swapped(after, "cifar100/r20:tiger", plan.modules[0]) == plan


@derandomized
@given(lists_of_refs, refs, st.data())
def test_a_swap_there_and_back_is_the_identity(chosen, other, data):
    plan = plan_of(*chosen)
    column = data.draw(st.integers(0, len(chosen) - 1))
    if other in chosen and chosen[column] != other:
        with pytest.raises(Conflict):
            swapped(plan, plan.labels[column], module(other))
        return
    there = swapped(plan, plan.labels[column], module(other))
    assert there.modules[column].ref == module(other).ref
    others = [k for k in range(len(chosen)) if k != column]
    assert [there.recipe.classes[k] for k in others] == [plan.recipe.classes[k] for k in others]
    back = swapped(there, there.labels[column], plan.modules[column])
    assert back == plan


def test_a_swap_to_another_input_is_refused():
    large = module("imagenet200/r20:tabby", contract=CONTRACT.model_copy(update={"height": 64}))
    with pytest.raises(Incompatible, match=r"cannot compose .*: input 32x32x3 vs 64x32x3"):
        swapped(plan_of("cifar10/r56:dog", "cifar10/r56:cat"), "cat", large)


# Finding a class


def test_a_class_is_found_by_label_slug_and_full_name():
    plan = plan_of("cifar100/r20:potter's wheel@1.0.0", "cifar10/r56:cat")
    for name in ("potter's wheel", "potters-wheel", "cifar100/r20:potters-wheel", "cifar100/r20:potters-wheel@1.0.0"):
        assert plan.column(name) == 0


def test_a_name_that_two_classes_have_is_not_found():
    plan = plan_of("cifar10/r56:cat", "cifar10/r20:cat")
    with pytest.raises(NotFound) as caught:
        plan.column("cat")
    assert "the classifier has no class 'cat'; it has cifar10/r56:cat, cifar10/r20:cat." in str(caught.value)


def test_an_unknown_class_suggests_the_nearest():
    for change in (removed, lambda plan, label: swapped(plan, label, module("cifar100/r20:apple"))):
        with pytest.raises(NotFound) as caught:
            change(plan_of("cifar10/r56:cat", "cifar10/r56:truck"), "trick")
        assert str(caught.value) == "the classifier has no class 'trick'; it has cat, truck. Hint: did you mean truck?"


# Printing


def test_a_plan_is_frozen_and_printable():
    plan = plan_of("cifar10/r56:cat@1.0.0", "cifar100/r20:potter's wheel@2.0.0")
    with pytest.raises(FrozenInstanceError):
        plan.labels = ()
    assert str(plan).splitlines() == [
        "2 classes on 2 trunk(s); input 32x32x3 rgb, 0..255",
        "  cat             cifar10/r56:cat@1.0.0",
        "  potter's wheel  cifar100/r20:potters-wheel@2.0.0",
        "margins are divided before they vote: cifar10/r56 by 2, cifar100/r20 by 2",
    ]
    assert plan.to_dict()["members"][1] == {
        "label": "potter's wheel",
        "module": "cifar100/r20:potters-wheel@2.0.0",
        "class": "potter's wheel",
        "digest": plan.modules[1].digest,
        "adapter": None,
    }
    assert plan.to_dict()["trunks"] == 2
