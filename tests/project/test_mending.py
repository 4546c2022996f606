"""``modhub audit --fix``: which ways out there are for a class, which is taken, and what is written."""

from __future__ import annotations

import json

import pytest
from made_projects import both, refs, scaled_release, toml
from synthetic import release

import modhub
from modhub import Project
from modhub.ops.mend import mend
from modhub.registry.advising import AdvisoryDraft
from modhub.spec.advisories import Affected, affected_ranges


@pytest.fixture
def pets(tmp_path, registry):
    """cat and dog of me/net 1.0.0, of which 1.1.0 and 2.0.0 are published too."""
    names = ["me/net:cat@~1.0.0", "me/net:dog@~1.0.0"]
    return Project.new(tmp_path / "mended", names, registry=registry.url)


def ways(project, registry):
    """What can be done about each class, without measuring."""
    done = mend(project.folder, registry=registry.url)
    return {plan.faulty.label: [(each.way, each.text) for each in plan.options] for plan in done.plans}


def test_the_four_ways_smallest_first(pets, registry):
    modhub.advise("me/net:cat@1.0.0", "answers wolf", instead="me/two", registry=registry.url)
    before = both(pets)
    assert ways(pets, registry) == {
        "cat": [
            ("newer", "me/net:cat@1.0.0 -> me/net:cat@^2.0.0"),
            ("instead", 'me/net:cat@1.0.0 -> me/two:cat, on the scale of the one that goes, with vote = "raw"'),
            ("verify", "cat | dog decided again by me/two:cat, me/two:dog"),
            ("remove", "without cat"),
        ]
    }
    assert both(pets) == before


def test_a_scaled_vote_has_no_matched_way(tmp_path, registry):
    for name, seed in (("me/even", 20), ("me/level", 21)):
        registry.publish(*scaled_release(name, seed=seed))
    project = Project.new(tmp_path / "even", ["me/even:cat", "me/even:dog"], registry=registry.url)
    modhub.advise("me/even:cat@1.0.0", "answers wolf", instead="me/level", registry=registry.url)
    found = dict(ways(project, registry)["cat"])
    assert found["instead"] == "me/even:cat@1.0.0 -> me/level:cat"


def test_a_newer_release_of_which_the_same_is_said_is_none(pets, registry):
    modhub.advise("me/net:cat@^1", "answers wolf", registry=registry.url)
    modhub.advise("me/net:cat@2.0.0", "still does", registry=registry.url)
    assert [way for way, _ in ways(pets, registry)["cat"]] == ["remove"]
    registry.publish(*release(version="2.1.0-rc.1", seed=8))
    assert [way for way, _ in ways(pets, registry)["cat"]] == ["remove"]
    registry.publish(*release(version="1.2.0", seed=9))
    modhub.yank("me/net:cat@1.2.0", "no better", registry=registry.url)
    assert [way for way, _ in ways(pets, registry)["cat"]] == ["remove"]


@pytest.mark.parametrize("instead", ["./folder", "a/b/c", "<b>mark-up</b>", "me/two:", "x" * 700, "me/two@^9"])
def test_a_hostile_name_in_its_place_is_no_way(pets, registry, instead):
    draft = AdvisoryDraft("me", "lies", "low", (Affected(model="net", ranges=affected_ranges(None)),), instead)
    registry.advise(draft)
    assert [way for way, _ in ways(pets, registry)["cat"]] == ["remove"]


def test_what_is_nowhere_is_no_way(pets, registry):
    modhub.advise("me/net:cat@*", "answers wolf", instead="no/where:cat", registry=registry.url)
    assert [way for way, _ in ways(pets, registry)["cat"]] == ["remove"]


MODULES = {"newer": "me/net:cat@2.0.0", "instead": "me/two:cat@1.0.0", "verify": None, "remove": None}


@pytest.mark.parametrize(("way", "module"), MODULES.items())
def test_each_way_is_applied(pets, registry, run, way, module):
    modhub.advise("me/net:cat@1.0.0", "answers wolf", instead="me/two", registry=registry.url)
    code, out, err = run("audit", pets.folder, "--fix", "--apply", "--by", way, "--registry", registry.url)
    assert (code, f"  * {way}" in out, "mended cat" in err) == (0, True, True)
    if module is not None:
        assert refs(pets)["cat"] == module
    assert ("[scales]" in toml(pets), "[[verify]]" in toml(pets)) == (way == "instead", way == "verify")
    assert ("cat" in refs(pets)) is (way != "remove")
    after = run("audit", pets.folder, "--registry", registry.url)
    assert (after[0] == 0) is (way != "verify")


def test_without_a_way_the_smallest_is_taken_and_every_class_mended(pets, registry, run):
    modhub.yank("me/net@1.0.0", "all of it", registry=registry.url)
    code, out, _ = run("audit", pets.folder, "--fix", "--registry", registry.url)
    assert (code, out.count("newer")) == (7, 2)
    assert run("audit", pets.folder, "--fix", "--apply", "--registry", registry.url)[0] == 0
    assert refs(pets) == {"cat": "me/net:cat@2.0.0", "dog": "me/net:dog@2.0.0"}


def test_what_cannot_be_done_is_said(pets, registry, run):
    modhub.advise("me/net:cat@*", "answers wolf", registry=registry.url)
    code, _, err = run("audit", pets.folder, "--fix", "--apply", "--by", "instead", "--registry", registry.url)
    assert (code, "there is remove." in err) == (3, True)
    assert run("audit", pets.folder, "--apply")[0] == 2
    assert run("audit", pets.folder, pets.folder, "--fix")[0] == 2
    document = json.loads(run("audit", pets.folder, "--fix", "--json", "--registry", registry.url)[1])
    assert [option["way"] for option in document["classes"][0]["options"]] == ["remove"]


def test_a_clean_project_has_nothing_to_mend(pets, registry, run):
    code, out, err = run("audit", pets.folder, "--fix", "--registry", registry.url)
    assert (code, out, err) == (0, "", "there is no class to mend\n")


def test_a_module_that_only_verifies_is_left_to_people(pets, registry, run):
    pets.verify_with({("cat", "dog"): ["me/two:cat", "me/two:dog"]})
    said = modhub.advise("me/two:cat", "is no better", registry=registry.url).advisory.id
    code, _, err = run("audit", pets.folder, "--fix", "--registry", registry.url)
    assert (code, f"no edit of the project's classes changes {said}" in err) == (7, True)
