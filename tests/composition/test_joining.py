"""Composites that join others keep how these are set, or say how two of them disagree; new settings go first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modhub
from modhub.composition.recipe import ADAPTS, DTYPES, MODES, ClassifierSettings, GivenSettings
from modhub.errors import Conflict, UsageError
from tests.composition.made_by_hand import CONTRACT, module

LARGE = CONTRACT.model_copy(update={"height": 64, "width": 64})

#: One way to differ from the default for each setting.
UNUSUAL = [
    {"reject": True},
    {"adapt": "letterbox"},
    {"adapt": "crop", "size": (48, 48)},
    {"mode": "fused"},
    {"dtype": "bfloat16"},
    {"vote": "raw"},
]


def one(ref: str = "c/m:cat", **options):
    return modhub.compose(module(ref), **options)


def set_as(composite):
    return {name: value for name, value in vars(composite.plan.settings).items() if value not in (None, False)}


def unusual(**options):
    return {"mode": "isolated", "dtype": "float32", "vote": "scaled"} | options


@pytest.mark.parametrize("options", UNUSUAL)
def test_settings_come_along(options):
    first, second = one(**options), one("d/n:apple", **options)
    assert set_as(modhub.compose(first)) == unusual(**options)
    assert set_as(modhub.compose([first])) == unusual(**options)
    assert set_as(modhub.compose([module("e/o:dog"), first])) == unusual(**options)
    assert set_as(modhub.compose([first, second])) == unusual(**options)
    assert set_as(first.add(module("e/o:dog"))) == unusual(**options)
    assert set_as(first.add(second)) == unusual(**options)
    assert first.add(second).classes == ["cat", "apple"]


@pytest.mark.parametrize("options", UNUSUAL)
def test_two_that_disagree_are_named_with_what_each_has(options):
    first, second = one(**options), one("d/n:apple")
    name = next(iter(options))
    for join in (lambda: modhub.compose([first, second]), lambda: first.add(second), lambda: second.add(first)):
        with pytest.raises(Conflict) as caught:
            join()
        assert caught.value.kind == "settings-differ"
        assert caught.value.data["setting"] == name
        assert f"the composite of cat has {name}={options[name]!r}" in str(caught.value)
        assert f"the composite of apple has {name}=" in str(caught.value)
        assert f"compose([...], {name}={options[name]!r})" in str(caught.value)


def test_what_is_said_anew_goes_before_what_composites_have():
    first, second = one(reject=True, mode="fused", dtype="bfloat16", vote="raw"), one("d/n:apple", mode="auto")
    joined = modhub.compose([first, second], reject=False, mode="isolated", dtype="float32", vote="scaled")
    assert joined.plan.settings == ClassifierSettings()
    both = modhub.compose([first, second], mode="fused", reject=True, dtype="bfloat16", vote="raw")
    assert set_as(both) == {"reject": True, "mode": "fused", "dtype": "bfloat16", "vote": "raw"}
    large = modhub.compose(module("d/n:apple", contract=LARGE))
    fitted = modhub.compose([one(adapt="crop", size=(48, 48)), large], adapt="resize", size=(64, 64))
    assert fitted.plan.contract.shape == (64, 64, 3)
    assert "adapter of cat: resize 64x64 -> 32x32" in str(fitted.plan)


def test_a_size_needs_an_adapter_wherever_it_comes_from():
    with pytest.raises(UsageError, match="without adapt"):
        modhub.compose([one(), module("d/n:apple")], size=(48, 48))
    assert modhub.compose([one(adapt="crop")], size=(48, 48)).plan.contract.shape == (48, 48, 3)


def test_a_long_composite_is_named_shortly():
    many = modhub.compose([module(f"c/m:class number {number}") for number in range(100)], reject=True)
    with pytest.raises(Conflict) as caught:
        many.add(one("d/n:apple"))
    assert "class number 2 and 97 more has reject=True" in str(caught.value)


def test_edits_keep_every_setting():
    start = modhub.compose(
        [module("c/m:cat"), module("c/m:dog"), module("c/m:fox")],
        adapt="crop", size=(48, 48), reject=True, mode="auto", dtype="bfloat16",
    )  # fmt: skip
    for changed in (
        start.remove("cat"),
        start.restrict(["dog", "cat"]),
        start.rename("cat", "pet"),
        start.swap("cat", module("d/n:cat")),
        start.verify_with({("cat", "dog"): [module("e/o:cat"), module("e/o:dog")]}),
    ):
        assert changed.plan.settings == start.plan.settings
    exact = start.in_mode()
    assert exact.plan.settings == replace(start.plan.settings, mode="isolated", dtype="float32")


SIZES = st.none() | st.tuples(st.integers(1, 99), st.integers(1, 99))
VALID = st.builds(
    ClassifierSettings,
    adapt=st.none() | st.sampled_from(ADAPTS),
    size=SIZES,
    reject=st.booleans(),
    mode=st.sampled_from(MODES),
    dtype=st.sampled_from(DTYPES),
).map(lambda each: each if each.adapt else replace(each, size=None))
GIVEN = st.builds(
    GivenSettings,
    adapt=st.none() | st.sampled_from(ADAPTS),
    size=SIZES,
    reject=st.none() | st.booleans(),
    mode=st.none() | st.sampled_from(MODES),
    dtype=st.none() | st.sampled_from(DTYPES),
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(VALID, max_size=3), GIVEN)
def test_each_setting_is_what_was_said_else_what_all_have(parts, said):
    """By hand, a setting at a time."""
    wanted, differ = {}, False
    for name, usual in vars(ClassifierSettings()).items():
        found = {getattr(part, name) for part in parts} or {usual}
        differ = differ or (getattr(said, name) is None and len(found) > 1)
        wanted[name] = getattr(said, name) if getattr(said, name) is not None else next(iter(found))
    named = [(f"part {number}", part) for number, part in enumerate(parts)]
    if differ:
        with pytest.raises(Conflict):
            said.joined(named)
    elif wanted["size"] is not None and wanted["adapt"] is None:
        with pytest.raises(UsageError):
            said.joined(named)
    else:
        assert vars(said.joined(named)) == wanted
