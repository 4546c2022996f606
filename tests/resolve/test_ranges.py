"""Ranges mean what they mean elsewhere: published cases of npm and cargo, and every difference with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from catalogs_in_memory import ANIMALS, YANKED, catalog, takes

from modhub.errors import InvalidRef, ModhubError, NotFound
from modhub.resolve.catalog import all_modules
from modhub.resolve.resolver import resolve
from modhub.resolve.together import resolve_together
from modhub.spec.refs import ModelRef, in_order, parse, satisfying

PUBLISHED = Path(__file__).parent / "published"


def published(name):
    return json.loads((PUBLISHED / f"{name}.json").read_text())


NPM, CARGO, CHOICES = map(published, ("node-semver", "semver-rs", "choices"))

#: What our grammar does not have. Each is refused, never read as something else.
ALTERNATIVES = "one range a request, without ||: two requests say as much"
LETTERS = "* alone stands for any number, as in cargo; x does not"
HYPHEN = "a span is written >=1.0.0,<=2.0.0; 1.0.0-2.0.0 is a version"
SPACE = "all of several conditions are joined by commas, as in cargo"
BUILD = "build metadata never decides what is newer, so ranges do not name it"
OTHERS = "neither v, ~>, an empty range nor a tab is anything here"
OUTSIDE = {
    ALTERNATIVES: ["0.1.20 || 1.2.4", ">=0.2.3 || <0.0.1", "||", "1.2.x || 2.x", "1.2.* || 2.*"],
    LETTERS: ["2.x.x", "1.2.x", "x", "~x", "^x", "=0.7.x", "<=0.7.x", ">=0.7.x", "<0.7.x", "<=7.x"],
    HYPHEN: [
        "1.0.0 - 2.0.0", "1.2.3-pre+asdf - 2.4.3-pre+asdf", "1.2.3+asdf - 2.4.3+asdf",
        "x - 1.0.0", "x - 1.x", "1.0.0 - x", "1.x - x",
    ],
    SPACE: [
        "~1.2.1 >=1.2.3", "~1.2.1 =1.2.3", "~1.2.1 1.2.3", "~1.2.1 >=1.2.3 1.2.3", "~1.2.1 1.2.3 >=1.2.3",
        ">=1.2.1 1.2.3", "1.2.3 >=1.2.1", ">=1.2.3 >=1.2.1", ">=1.2.1 >=1.2.3", "^1.2 ^1",
    ],
    BUILD: ["^1.2.3+build"],
    OTHERS: ["~>3.2.1", "~>1", "~> 1", "~v0.5.4-pre", "~v0.5.4-beta", "", "<\t2.0.0"],
}  # fmt: skip
REFUSED = {wanted for ranges in OUTSIDE.values() for wanted in ranges}

#: What we read, and answer otherwise.
EXACT = "a bare version is that version, as in npm; cargo reads it as ^"
PRE_RELEASES = "a range that names a pre-release takes those of all versions in it, not of that one alone"
BELOW = "below 1.0.0 means also below its pre-releases, as in npm"
METADATA = "=1.0.0+meta is that build alone"
DIFFERING = {
    EXACT: {"1.0.0": ["1.1.0", "1.0.1"], "0.1.0, 0.1.4, 0.1.6": ["0.1.6", "0.1.9"]},
    PRE_RELEASES: {
        ">= 2.1.0-alpha2": ["3.0.0-alpha2"],
        "<= 2.1.0-alpha2": ["2.0.0-alpha2", "1.0.0-alpha2"],
        ">=0.5.1-alpha3, <0.6": ["0.5.2-alpha3", "0.5.5-pre"],
        "~1.2.3-beta.2": ["1.2.4-beta.2"],
        "^0.5.1-alpha3": ["0.5.2-alpha3", "0.5.5-pre"],
        "^1.4.2-beta.5": ["1.4.3-beta.5"],
    },
    BELOW: {">1.0.0-alpha, <1.0.0": ["1.0.0-beta"]},
    METADATA: {"=0.1.0+meta": ["0.1.0", "0.1.0+any"]},
}
DIFFERENCES = {
    (wanted, version) for cases in DIFFERING.values() for wanted, versions in cases.items() for version in versions
}
#: What cargo refuses and we read: 1.0.0- is the library's 1.0.0 without pre-releases, * beside others adds nothing.
READ_HERE = ["1.0.0-", "*, 0.20.0-any", "0.20.0-any, *", "0.20.0-any, *, 1.0"]


def takes_version(wanted, version):
    return list(satisfying([version], wanted)) == [version]


def rows(cases):
    return [(wanted, where) for wanted, where in cases["ranges"].items() if wanted not in REFUSED]


@pytest.mark.parametrize(("wanted", "where"), rows(NPM))
def test_npm_means_the_same(wanted, where):
    assert [version for version in where["in"] if not takes_version(wanted, version)] == []
    assert [version for version in where["out"] if takes_version(wanted, version)] == []


@pytest.mark.parametrize(("wanted", "where"), rows(CARGO))
def test_cargo_means_the_same_but_where_we_say_otherwise(wanted, where):
    theirs = dict.fromkeys(where["in"], True) | dict.fromkeys(where["out"], False)
    differing = {(wanted, version) for version, inside in theirs.items() if takes_version(wanted, version) != inside}
    assert differing == {pair for pair in DIFFERENCES if pair[0] == wanted}


@pytest.mark.parametrize(
    ("wanted", "same"),
    [
        ("^0", ">=0.0.0,<1.0.0"),
        ("^0.0.*", ">=0.0.0,<0.1.0"),
        ("^1.0.0-b", ">=1.0.0-b,<2.0.0"),
        ("^0.1.0-b", ">=0.1.0-b,<0.2.0"),
        ("^0.0.1-b", ">=0.0.1-b,<0.0.2"),
        ("~1.1.0-b", ">=1.1.0-b,<1.2.0"),
        ("~=1.1.0-b", ">=1.1.0-b,<1.2.0"),
        ("~ 0.0.1-b , <1", ">=0.0.1-b,<0.1.0"),
    ],
)
def test_spans_end_where_they_say(wanted, same):
    numbers = [f"{major}.{minor}.{patch}" for major in range(3) for minor in range(3) for patch in range(3)]
    versions = in_order([number + pre for number in numbers for pre in ("", "-a", "-b", "-c")])
    assert list(satisfying(versions, wanted)) == list(satisfying(versions, same))
    assert list(satisfying(versions, wanted))


def test_every_difference_is_one_of_a_published_case():
    assert {wanted for wanted, _ in DIFFERENCES} <= set(CARGO["ranges"])
    assert set(NPM["ranges"]) >= REFUSED
    assert set(READ_HERE) <= set(CARGO["refused"])


@pytest.mark.parametrize("wanted", sorted(REFUSED | set(CARGO["refused"]) - set(READ_HERE)))
def test_what_our_grammar_has_not_is_refused(wanted):
    with pytest.raises(InvalidRef):
        list(satisfying(["1.0.0"], wanted or " "))
    with pytest.raises(InvalidRef):
        parse(f"me/net@{wanted}")


@pytest.mark.parametrize("wanted", READ_HERE)
def test_what_only_we_read_is_at_least_a_range(wanted):
    parse(f"me/net@{wanted}")


def world(case):
    releases = {f"me/{ref}": takes(1 + kind) for ref, kind in case["releases"].items()}
    return catalog(releases, withdrawn={f"me/{ref}": YANKED for ref in case.get("yanked", ())})


def locked(case):
    return [ModelRef("me", *ref.split("@")) for ref in case.get("locked", ())]


def chosen(case):
    pins = all_modules(
        resolve_together([f"me/{each}" for each in case["asked"]], [world(case)], {}, prefer=locked(case))
    )
    releases = [str(pin.ref.release).removeprefix("me/") for pin in pins]
    return releases[:: len(ANIMALS)]


@pytest.mark.parametrize("case", CHOICES["cases"], ids=lambda case: case["name"])
def test_other_package_managers_choose_the_same(case):
    if isinstance(case["chosen"], str):
        with pytest.raises(ModhubError) as caught:
            chosen(case)
        assert caught.value.kind == case["chosen"]
    else:
        assert chosen(case) == case["chosen"]


@pytest.mark.parametrize("case", CHOICES["differing"], ids=lambda case: case["name"])
def test_where_we_choose_otherwise_on_purpose(case):
    assert chosen(case) == case["chosen"]


def test_every_case_names_its_source():
    for case in CHOICES["cases"] + CHOICES["differing"]:
        assert case["source"] in CHOICES["sources"]
    for case in CHOICES["differing"]:
        assert case["why"]
        assert case["theirs"]
    assert all(cases["licence"] and cases["source"].startswith("https://") for cases in (NPM, CARGO))


@pytest.mark.parametrize("resolving", [resolve, resolve_together])
def test_ranges_that_nothing_satisfies_list_what_there_is(resolving):
    place = catalog({"me/net@1.0.0": takes(), "me/net@0.9.0": takes()})
    with pytest.raises(NotFound) as caught:
        resolving(["me/net:cat", "me/net:dog@>=2,<3"], [place], {})
    assert str(caught.value) == (
        "me/net has no version >=2,<3. There is: 0.9.0, 1.0.0 in main. "
        "Hint: ask for one of them, for example me/net@1.0.0."
    )


@pytest.mark.parametrize("resolving", [resolve, resolve_together])
def test_a_release_that_was_withdrawn_in_two_places_is_counted_once(resolving):
    place = catalog({f"me/net@{version}": takes() for version in ("1.0.0", "1.1.0", "2.0.0")})
    place.withdrawn = {"me/net@1.1.0": YANKED, "me/net@1.0.0": YANKED}
    with pytest.raises(NotFound) as caught:
        resolving(["me/net@^1"], [place, place], {})
    assert str(caught.value) == (
        "me/net@1.1.0 is yanked, and so is 1 older one: answers wolf for dog. Hint: there is 2.0.0."
    )


@pytest.mark.parametrize("resolving", [resolve, resolve_together])
def test_two_conditions_that_exclude_each_other_are_satisfied_by_nothing(resolving):
    with pytest.raises(NotFound, match=r"me/net has no version <1,>=2\. There is: 1\.0\.0 in main") as caught:
        resolving(["me/net:cat@<1,>=2"], [catalog({"me/net@1.0.0": takes()})], {})
    assert caught.value.kind == "no-version"
