"""Which way an origin's modules run, by mode and by what their release recorded; and the error for a bad mode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.composition.agreement import Agreement, agreement_of
from modhub.composition.modes import exact_percent, way_of
from modhub.composition.operations import added, removed, renamed, restricted, swapped, verified
from modhub.composition.plan import natural_classes
from modhub.composition.recipe import ClassifierSettings
from modhub.composition.votes import Prediction
from modhub.errors import UsageError
from modhub.package.module import PackedMasks
from modhub.spec.manifest import FusedAgreement
from tests.composition.made_by_hand import made_plan, module

CAT, DOG, SHIP = (f"cifar10/r56:{name}@1.0.0" for name in ("cat", "dog", "ship"))


def recorded(labels=0.9995, examples=2000, classes=3):
    return FusedAgreement(data="held out", examples=examples, classes=classes, labels=labels, margin=0.25)


def masked(ref, node, fused=None):
    """The module without one node, so that two of them differ."""
    keep = np.ones((2, 2, 2), bool)
    keep.flat[node] = False
    return module(ref, keep=PackedMasks.of({"relu": keep}), fused=fused)


def modules(fused):
    return [masked(ref, node, fused) for node, ref in enumerate((CAT, DOG, SHIP))]


# The way


def test_isolated_is_isolated_whatever_is_recorded():
    way = way_of("isolated", modules(recorded(1.0)))
    assert not way.fused
    assert str(way) == "cifar10/r56@1.0.0 runs isolated: each module under its own masks"


def test_auto_fuses_where_the_release_records_enough():
    way = way_of("auto", modules(recorded()))
    assert way.fused
    assert str(way) == (
        "cifar10/r56@1.0.0 runs fused: its release records 99.95 % equal labels of all 3 classes "
        "on 2,000 images of held out"
    )


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "no agreement is recorded"),
        (
            recorded(0.9989),
            "its release records 99.89 % equal labels of all 3 classes on 2,000 images of held out, "
            "and 99.9% is needed",
        ),
        (
            recorded(1.0, examples=999),
            "its release records 100.00 % equal labels of all 3 classes on 999 images of held out, "
            "and at least 1,000 images are needed",
        ),
    ],
)
def test_auto_is_isolated_where_it_does_not_and_says_why(found, why):
    way = way_of("auto", modules(found))
    assert not way.fused
    assert way.why == why


@given(st.floats(0, 1), st.integers(1, 5000))
def test_auto_fuses_exactly_from_999_in_1000_on_1000_images(labels, examples):
    assert way_of("auto", modules(recorded(labels, examples))).fused == (labels >= 0.999 and examples >= 1000)


def test_auto_fuses_equal_masks_because_that_changes_nothing():
    alike = [masked(CAT, 0), masked(DOG, 0)]
    assert way_of("auto", alike).fused
    assert way_of("auto", alike[:1]).fused
    assert not way_of("auto", [*alike, masked(SHIP, 1)]).fused


def test_auto_does_not_fuse_what_was_not_measured_together():
    """Another version, and a module that was changed after its release was measured."""
    mixed = [*modules(recorded())[:2], masked("cifar10/r56:ship@2.0.0", 2, recorded())]
    way = way_of("auto", mixed)
    assert not way.fused
    assert str(way) == ("cifar10/r56@1.0.0, cifar10/r56@2.0.0 run isolated: their releases were not measured together")
    changed = [*modules(recorded())[:2], masked(SHIP, 2)]
    assert not way_of("auto", changed).fused


def test_fused_is_fused_and_says_what_is_known():
    assert way_of("fused", modules(None)).why == "as asked; no agreement is recorded"
    assert way_of("fused", modules(recorded(0.5))).why == (
        "as asked; its release records 50.00 % equal labels of all 3 classes on 2,000 images of held out"
    )


def test_a_share_is_never_rounded_up():
    assert exact_percent(0.99999) == "99.99 %"
    assert exact_percent(1.0) == "100.00 %"
    assert exact_percent(0.0) == "0.00 %"


# Plans


def plan(mode="auto", dtype="float32", fused=None):
    return made_plan(modules(fused), mode=mode, dtype=dtype)


def test_a_plan_prints_how_it_runs_only_where_that_is_not_the_default():
    assert " run" not in str(plan("isolated"))
    assert str(plan("auto")).splitlines()[-1] == "cifar10/r56@1.0.0 runs isolated: no agreement is recorded"
    both = str(plan("fused", "bfloat16")).splitlines()[-2:]
    assert both == [
        "cifar10/r56@1.0.0 runs fused: as asked; no agreement is recorded",
        "trunks in bfloat16, heads in float32",
    ]


def test_each_origin_goes_its_own_way():
    others = [masked(f"cifar100/r20:{name}@1.0.0", node) for node, name in enumerate(("apple", "pear"))]
    found = made_plan((*modules(recorded()), *others), mode="auto")
    assert [way.fused for way in found.ways] == [True, False]
    assert found.to_dict()["ways"] == [
        {"releases": ["cifar10/r56@1.0.0"], "fused": True, "why": found.ways[0].why},
        {"releases": ["cifar100/r20@1.0.0"], "fused": False, "why": "no agreement is recorded"},
    ]


def test_a_plan_is_exact_unless_it_approximates():
    assert plan("isolated").is_exact
    assert plan("auto").is_exact
    assert not plan("auto", fused=recorded()).is_exact
    assert not plan("fused").is_exact
    assert not plan("isolated", "bfloat16").is_exact
    assert made_plan([masked(CAT, 0), masked(DOG, 0)], mode="fused").is_exact


def test_every_operation_keeps_mode_and_dtype():
    start = plan("fused", "bfloat16")
    other = masked("cifar100/r20:apple", 5)
    for changed in (
        added(start, natural_classes([other])),
        removed(start, "cat"),
        restricted(start, ["dog", "cat"]),
        renamed(start, "cat", "pet"),
        swapped(start, "cat", other),
        verified(start, ["cat", "dog"], [other, masked("cifar100/r20:pear", 6)]),
    ):
        assert (changed.settings.mode, changed.settings.dtype) == ("fused", "bfloat16")


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        ("mode", "zzz", "mode is 'zzz'; there is isolated, fused and auto.", "isolated is exact."),
        ("mode", "fussed", "mode is 'fussed'; there is isolated, fused and auto.", "did you mean fused?"),
        ("mode", None, "mode is None; there is isolated, fused and auto.", "isolated is exact."),
        ("dtype", "float16", "dtype is 'float16'; there is float32 and bfloat16.", "did you mean"),
        ("dtype", 32, "dtype is 32; there is float32 and bfloat16.", "float32 is exact."),
    ],
)
def test_unknown_modes_and_dtypes_are_refused(name, value, message, hint):
    with pytest.raises(UsageError) as caught:
        ClassifierSettings(**{name: value}).checked()
    assert message in str(caught.value)
    assert hint in str(caught.value)
    assert caught.value.kind in ("bad-mode", "bad-dtype")


def test_a_plan_refuses_them_too():
    with pytest.raises(UsageError, match="mode is 'fast'"):
        plan("fast")
    with pytest.raises(UsageError, match="dtype is 'int8'"):
        plan(dtype="int8")


# Agreement


def prediction(margins, reject=False, thresholds=(0.0, 0.0), own=None):
    values = np.array(margins, np.float32).reshape(-1, 2)
    said = values if own is None else np.array(own, np.float32)
    return Prediction(("cat", "dog"), values, said, np.array(thresholds), np.ones(2), 1.0, reject)


def test_agreement_counts_labels_and_takes_the_largest_difference():
    found = agreement_of(
        prediction([[1, 0], [0, 1], [3, 2]]),
        prediction([[1, 0.5], [0.25, 0], [3, 2]]),
    )
    assert found == Agreement(3, 2, 1.0)
    assert str(found) == "66.66 % equal labels (2 of 3 images), margins differ by at most 1"
    assert found.to_dict() == {"images": 3, "equal": 2, "labels": 2 / 3, "margin": 1.0}


def test_answering_none_of_these_is_a_label():
    found = agreement_of(prediction([[1, 0]], reject=True), prediction([[-1, -2]], reject=True))
    assert found.equal == 0


def test_margins_are_compared_before_verifiers_change_them():
    found = agreement_of(
        prediction([[1, 0]], own=[[1, 0]]),
        prediction([[0, 1.5]], own=[[1, 0.5]]),
    )
    assert found == Agreement(1, 0, 0.5)


def test_no_images_agree():
    found = agreement_of(prediction([]), prediction([]))
    assert (found.labels, found.margin) == (1.0, 0.0)
