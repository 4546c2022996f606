"""When nothing fits, the error names two that disagree, in what, and the nearest thing that would work."""

from __future__ import annotations

import pytest
from catalogs_in_memory import GONE, GREY, LARGE, SMALL, UNIT, YANKED, Release, catalog, resolved_together, takes, two

from modhub.errors import Incompatible, ModhubError
from modhub.spec.contract import NamedContract

ADAPT = 'adapt="resize" (--adapt resize) gives each module an adapter'


def refused(requests, place, **options):
    with pytest.raises(Incompatible) as caught:
        resolved_together(requests, place, **options)
    assert caught.value.kind == "input-mismatch"
    return caught.value


def test_another_version_outside_of_the_range_is_named():
    error = refused(["a/net:cat@^2", "b/net:dog"], two())
    assert str(error) == (
        "cannot compose a/net:cat@2.0.0 with b/net:dog@1.1.0: input 64x64x3 vs 32x32x3. "
        "Hint: a/net@1.0.0 takes 32x32x3 rgb in 0..255; ask for that version."
    )
    assert error.data == {
        "modules": ["a/net:cat@2.0.0", "b/net:dog@1.1.0"],
        "mismatches": [{"field": "input", "first": "64x64x3", "second": "32x32x3"}],
        "alternatives": ["a/net@1.0.0"],
    }


def test_a_version_helps_all_requests_to_its_model_or_none():
    asked = ["a/net:cat@^2", "a/net:dog@^2", "b/net"]
    assert refused(asked, two()).data["alternatives"] == ["a/net@1.0.0"]
    error = refused(asked, two(**{"a/net@1.0.0": Release(SMALL, ["cat"])}))
    assert error.data["alternatives"] == []
    assert error.data["modules"] == ["a/net:cat@2.0.0", "b/net@1.1.0"]


def test_a_version_that_others_could_not_follow_is_not_named():
    place = two(**{"a/net@0.9.0": GREY, "a/net@0.8.0": UNIT})
    assert refused(["a/net:cat@^2", "b/net:dog"], place).data["alternatives"] == ["a/net@1.0.0"]


def test_stable_versions_are_named_before_pre_releases_and_withdrawn_ones_never():
    place = two(**{"a/net@1.5.0-rc.1": SMALL, "a/net@1.4.0": SMALL})
    place.withdrawn["a/net@1.4.0"] = YANKED
    asked = ["a/net:cat@^2", "b/net:dog"]
    assert refused(asked, place).data["alternatives"] == ["a/net@1.0.0"]
    place.withdrawn["a/net@1.0.0"] = GONE
    assert refused(asked, place).data["alternatives"] == ["a/net@1.5.0-rc.1"]


def test_a_damaged_version_is_passed_over_when_looking_for_one_that_would_work():
    place = two(**{"a/net@1.5.0": SMALL})
    place.damaged = {"a/net@1.5.0"}
    assert refused(["a/net:cat@^2", "b/net:dog"], place).data["alternatives"] == ["a/net@1.0.0"]


def test_what_a_farther_catalog_says_of_a_version_that_a_nearer_one_has_is_no_help():
    near, far = two(**{"a/net@1.0.0": GREY}), catalog({"a/net@1.0.0": SMALL}, "far")
    assert refused(["a/net:cat@^2", "b/net:cat"], [near, far]).data["alternatives"] == []


def models(**more):
    return catalog(
        {
            "a/large@1.0.0": Release(LARGE, dataset="animals"),
            "a/other@1.0.0": Release(SMALL, dataset="letters"),
            "a/half@1.0.0": Release(SMALL, ["dog"], dataset="animals"),
            "z/small@1.0.0": Release(SMALL, dataset="animals"),
            "b/net@1.0.0": Release(SMALL, dataset="things"),
        }
        | more
    )


def test_without_such_a_version_another_model_of_the_data_set_is_named():
    error = refused(["b/net:cat", "a/large:cat"], models())
    assert str(error) == (
        "cannot compose b/net:cat@1.0.0 with a/large:cat@1.0.0: input 32x32x3 vs 64x64x3. "
        "Hint: z/small@1.0.0, of the same data set, takes 32x32x3 rgb in 0..255; ask for that model."
    )
    assert error.data["alternatives"] == ["z/small@1.0.0"]


def test_the_other_model_has_the_class_and_one_of_the_same_namespace_is_nearer():
    assert refused(["b/net:cat", "a/large:dog"], models()).data["alternatives"] == ["a/half@1.0.0"]
    assert refused(["b/net:cat", "a/large"], models()).data["alternatives"] == ["z/small@1.0.0"]


def test_without_any_of_these_adapters_are_named():
    place = catalog({"a/net@1.0.0": LARGE, "b/net@1.0.0": SMALL})
    error = refused(["a/net:cat", "b/net:cat"], place)
    assert error.data["alternatives"] == []
    assert ADAPT in error.hint


@pytest.mark.parametrize(
    ("other", "reason", "field"),
    [
        (UNIT, "value range 0..255 vs 0..1", "value range"),
        (takes(colour="other"), "colour order rgb vs other", "colour order"),
        (GREY, "input 32x32x3 vs 32x32x1, colour order rgb vs grey", "input"),
    ],
)
def test_contracts_that_differ_in_one_thing_alone(other, reason, field):
    error = refused(["a/net:cat", "b/net:cat"], catalog({"a/net@1.0.0": SMALL, "b/net@1.0.0": other}))
    assert error.message == f"cannot compose a/net:cat@1.0.0 with b/net:cat@1.0.0: {reason}."
    assert error.data["mismatches"][0]["field"] == field
    assert (ADAPT in error.hint) == (other.colour != "other")


def test_the_pair_is_one_that_disagrees_whatever_else_is_asked_for():
    place = catalog({"a/net@1.0.0": SMALL, "a/net@2.0.0": LARGE, "b/net@1.0.0": SMALL, "c/net@1.0.0": LARGE})
    error = refused(["a/net:cat", "b/net:cat", "c/net:cat"], place)
    assert error.data["modules"] == ["b/net:cat@1.0.0", "c/net:cat@1.0.0"]


def test_three_of_which_any_two_agree():
    place = catalog(
        {"a/net@2.0.0": SMALL, "a/net@1.0.0": LARGE, "b/net@2.0.0": LARGE, "b/net@1.0.0": GREY}
        | {"c/net@2.0.0": GREY, "c/net@1.0.0": SMALL}
    )
    error = refused(["a/net:cat", "b/net:cat", "c/net:cat"], place)
    assert error.message == (
        "cannot compose a/net:cat@2.0.0 with b/net:cat@2.0.0: input 32x32x3 vs 64x64x3. "
        "Where other versions of them agree, c/net:cat@2.0.0 does not."
    )
    assert ADAPT in error.hint


def test_a_fixed_contract_is_named_first_and_never_replaced():
    error = refused(["a/net:cat@^2"], two(), fixed=[NamedContract("pets' dog", SMALL)])
    assert error.message == "cannot compose pets' dog with a/net:cat@2.0.0: input 32x32x3 vs 64x64x3."
    assert error.data["alternatives"] == ["a/net@1.0.0"]
    with pytest.raises(Incompatible, match="cannot compose x with y: input 32x32x3 vs 64x64x3"):
        resolved_together(["a/net:cat"], two(), fixed=[NamedContract("x", SMALL), NamedContract("y", LARGE)])


def test_looking_for_help_never_fails_and_ends():
    place = models(**{f"a/n{number:03d}@1.0.0": Release(LARGE, dataset="animals") for number in range(100)})
    place.damaged = {"z/small@1.0.0", "a/half@1.0.0"}
    error = refused(["b/net:cat", "a/large:cat"], place)
    assert error.data["alternatives"] == []
    assert len(place.contracts) < 40
    assert refused(["b/net:cat", "a/large:dog"], models(**{"a/half@1.0.0": SMALL})).data["alternatives"]


def test_a_damaged_release_that_comes_into_question_is_an_error():
    place = two()
    place.damaged = {"a/net@1.0.0"}
    with pytest.raises(ModhubError, match=r"a/net@1\.0\.0 is damaged"):
        resolved_together(["a/net:cat", "b/net:dog"], place)
