"""Licences are read as SPDX means them, and an allow-list lets through what may be used under it, nothing else."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.errors import UsageError
from modhub.licensing import allowed, expression
from modhub.licensing.allowed import LicensedRelease, canonical_allow, check_allowed
from modhub.licensing.expression import MOST_CHOICES, canonical_license, license_choices

NAMES = ["MIT", "Apache-2.0", "GPL-2.0-only", "CC-BY-4.0", "LicenseRef-ours"]


def test_the_examples_do_what_they_say() -> None:
    for module in (expression, allowed):
        assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("given_text", "canonical"),
    [
        ("mit", "MIT"),
        ("gpl-3.0", "GPL-3.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("apache-2.0 or (mit and cc-by-nc-4.0)", "Apache-2.0 OR (MIT AND CC-BY-NC-4.0)"),
        ("gpl-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("LicenseRef-our.own-1", "LicenseRef-our.own-1"),
    ],
)
def test_a_licence_is_spelled_as_spdx_spells_it(given_text: str, canonical: str) -> None:
    assert canonical_license(given_text) == canonical
    assert canonical_license(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("apache-2", "Apache-2.0"),
        ("NOASSERTION", "no licence that SPDX lists"),
        ("MIT AND", "is no SPDX expression"),
        ("MIT Apache-2.0", "is no SPDX expression"),
        ("MIT/Apache-2.0", "is no SPDX expression"),
        ("MIT WITH Apache-2.0", "no exception that SPDX lists"),
        ("Classpath-exception-2.0", "no licence that SPDX lists"),
        ("DocumentRef-a:LicenseRef-b", "no licence that SPDX lists"),
        ("\x1b[2J", "is no SPDX expression"),
        ("(" * 400, "is no SPDX expression"),
        ("MIT OR " * 100 + "MIT", "characters"),
    ],
)
def test_what_is_no_licence_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        canonical_license(text)
    assert caught.value.kind == "bad-license"
    assert "\x1b" not in str(caught.value)


def test_an_expression_with_a_million_choices_is_not_written_out() -> None:
    text = " AND ".join(["(MIT OR ISC)"] * 20)
    assert license_choices(text) is None
    assert len(license_choices("MIT OR ISC") or ()) == 2
    (found,) = check_allowed([LicensedRelease("me/net@1.0.0", text)], ["MIT", "ISC"])
    assert found.kind == "unreadable"


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> tuple[str, object]:
    """An expression, and the same as a tree to be evaluated without the library."""
    if depth == 0 or draw(st.booleans()):
        name = draw(st.sampled_from(NAMES))
        return name, name
    word = draw(st.sampled_from([" AND ", " OR "]))
    parts = draw(st.lists(expressions(depth - 1), min_size=2, max_size=3))
    return "(" + word.join(text for text, _ in parts) + ")", (word.strip(), [tree for _, tree in parts])


def passes(tree: object, names: set[str]) -> bool:
    if isinstance(tree, str):
        return tree in names
    word, parts = tree  # type: ignore[misc]
    return (all if word == "AND" else any)(passes(part, names) for part in parts)


@given(expressions(), st.sets(st.sampled_from(NAMES)))
def test_a_release_passes_exactly_when_its_expression_is_true_of_the_list(
    made: tuple[str, object], names: set[str]
) -> None:
    text, tree = made
    found = check_allowed([LicensedRelease("me/net@1.0.0", text)], names)
    choices = license_choices(text)
    assert choices is not None
    assert len(choices) <= MOST_CHOICES
    assert (not found) == passes(tree, names)
    assert (not found) == any(choice <= names for choice in choices)


def test_the_findings_say_which_release_and_why() -> None:
    releases = [
        LicensedRelease("me/a@1.0.0", "MIT"),
        LicensedRelease("me/b@1.0.0", None),
        LicensedRelease("me/c@1.0.0", "GPL-3.0-only"),
        LicensedRelease("me/d@1.0.0", "nonsense"),
        LicensedRelease("me/e@1.0.0", "GPL-2.0-or-later"),
        LicensedRelease("me/f@1.0.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ]
    found = check_allowed(releases, ["mit", "GPL-2.0"])
    assert [(each.release[3], each.kind) for each in found] == [
        ("b", "no-license"),
        ("c", "not-allowed"),
        ("d", "unreadable"),
        ("f", "not-allowed"),
    ]
    assert found[1].message == "me/c@1.0.0 is under GPL-3.0-only, which is not on the list"


def test_an_allow_list_names_licences_one_by_one() -> None:
    assert canonical_allow(["mit", "MIT", "apache-2.0"]) == ("MIT", "Apache-2.0")
    with pytest.raises(UsageError, match="several licences"):
        canonical_allow(["MIT OR Apache-2.0"])
    with pytest.raises(UsageError, match="no licence that SPDX lists"):
        check_allowed([], ["Apache 2"[:-2] + "x"])
