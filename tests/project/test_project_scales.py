"""``swap --match`` of a project: the scale is in both files, follows its class, and makes that classifier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_projects import both, lock, scaled_release, toml

from modhub import Project
from modhub.cli import main
from modhub.composition.operations import on_scale_of
from modhub.errors import Conflict, IntegrityError, UsageError
from modhub.installation.lockfile import Lock, read_lock


@pytest.fixture
def pets(tmp_path, registry):
    return Project.new(tmp_path / "matched", ["me/net:cat@^1", "me/net:dog@^1"], registry=registry.url)


def scale_of(registry, name, slug, version):
    from modhub.spec.refs import ModelRef

    namespace, model = name.split("/")
    modules = registry.manifest(ModelRef(namespace, model, version)).content.modules
    record = next(module for module in modules if module.slug == slug)
    return record.threshold, record.scale


def test_the_scale_of_the_module_that_goes_is_written_down_and_locked(pets, registry):
    pets.swap({"cat": "me/two:cat"}, match=True)
    wanted = scale_of(registry, "me/net", "cat", "1.1.0")
    found = pets.file.scales["cat"]
    assert (found.threshold, found.scale) == wanted
    ((label, locked),) = pets.locked.scales
    assert (label, locked.threshold, locked.scale) == ("cat", *wanted)
    assert "[scales]" in toml(pets)
    assert lock(pets).count("threshold = ") == 1
    # The vote is what it was beside releases that record no scale, and stays so.
    assert ('vote = "raw"' in toml(pets), 'vote = "raw"' in lock(pets)) == (True, True)


def test_it_follows_its_class_and_goes_with_it(pets):
    pets.swap({"cat": "me/two:cat"}, match=True)
    pets.rename({"cat": "kitty"})
    assert list(pets.file.scales) == ["kitty"]
    scale = pets.file.scales["kitty"]
    # Once more it is the scale of the first module, not of the one that was matched to it.
    pets.swap({"kitty": "me/net:cat@^1"}, match=True)
    assert pets.file.scales == {"kitty": scale}
    pets.swap({"kitty": "me/two:cat"})
    assert pets.file.scales == {}
    assert "[scales]" not in toml(pets)
    pets.swap({"dog": "me/two:dog"}, match=True)
    pets.remove("dog")
    assert (pets.file.scales, pets.locked.scales) == ({}, ())


def test_a_project_without_scales_is_to_the_byte_what_it_was(pets):
    text = toml(pets).replace("\n[classes]", "vote   =  'scaled'  # of all\n\n[classes]")
    (pets.folder / "modhub.toml").write_text(text.replace("'scaled'", "'raw'"))
    pets.lock()
    before = both(pets)
    (pets.folder / "modhub.toml").write_text(text)
    pets.swap({"cat": "me/two:cat"}, match=True)
    pets.swap({"cat": "me/net:cat@^1.1.0"})
    assert "[scales]" not in toml(pets)
    assert "scale = " not in lock(pets)
    pets.swap({"cat": "me/net:cat@^1"})
    assert both(pets) == before


def test_a_scale_of_no_class_is_refused(pets):
    text = toml(pets).replace("\n[classes]", 'vote = "raw"\n\n[classes]')
    (pets.folder / "modhub.toml").write_text(text + "\n[scales]\nkat = { threshold = 0.5, scale = 1.0 }\n")
    with pytest.raises(UsageError, match="'kat' is no class of the project"):
        _ = pets.file


def test_the_command(pets, registry, capsys):
    at = ("--project", str(pets.folder), "--registry", registry.url)
    assert main(["swap", "cat=me/two:cat", "--match", *at]) == 0
    said = capsys.readouterr()
    assert "me/two:cat@1.0.0" in said.out
    assert "~ vote: scaled -> raw" in said.out
    assert "nothing to match" not in said.err
    assert list(pets.file.scales) == ["cat"]


# Beside a scaled vote


@pytest.fixture
def even(tmp_path, registry):
    """Like ``pets``, of releases that record the scale of their margins."""
    for number, name in enumerate(("me/even", "me/level")):
        registry.publish(*scaled_release(name, seed=20 + number, margin_scale=2.0 + number))
    return Project.new(tmp_path / "even", ["me/even:cat", "me/even:dog"], registry=registry.url)


def test_a_scaled_vote_leaves_nothing_to_match_and_one_line_says_so(even, registry, capsys):
    at = ("--project", str(even.folder), "--registry", registry.url)
    assert main(["swap", "cat=me/level:cat", "--match", *at]) == 0
    assert "nothing to match: the vote is scaled" in capsys.readouterr().err
    assert ("[scales]" in toml(even), "vote" in toml(even), "scale = " in lock(even)) == (False, False, False)
    matched = both(even)
    even.swap({"cat": "me/even:cat"})
    even.swap({"cat": "me/level:cat"})
    assert both(even) == matched


def test_a_raw_vote_and_a_result_in_which_one_release_has_no_scale_are_matched(even):
    even.add("me/two:bird")
    even.swap({"cat": "me/level:cat"}, match=True)
    assert (list(even.file.scales), even.file.project.vote) == (["cat"], "raw")
    # A raw vote stays one, also when every release has a scale.
    even.remove("bird")
    even.swap({"dog": "me/level:dog"}, match=True)
    assert sorted(even.file.scales) == ["cat", "dog"]


def test_the_last_release_without_a_scale_goes_and_the_vote_is_scaled(even):
    even.swap({"cat": "me/two:cat"})
    even.swap({"cat": "me/level:cat"}, match=True)
    assert even.file.scales == {}


def test_scales_in_a_scaled_vote_are_refused_with_the_way_out(pets):
    pets.swap({"cat": "me/two:cat"}, match=True)
    text = toml(pets)
    for vote in ('vote = "scaled"\n', ""):
        (pets.folder / "modhub.toml").write_text(text.replace('vote = "raw"\n', vote))
        with pytest.raises(UsageError, match="the scale of 'cat' has no place in a scaled vote") as raised:
            pets.compose()
        assert raised.value.hint == 'write vote = "raw" under [project] to keep [scales], or remove [scales].'
    (pets.folder / "modhub.toml").write_text(text)
    scaled = replace(pets.locked.recipe, settings=replace(pets.locked.settings, vote="scaled"))
    with pytest.raises(IntegrityError, match="brought onto other scales votes raw"):
        read_lock(Lock.of_project(replace(pets.locked, recipe=scaled)).to_text().encode(), what="it")


def test_merging_brings_scales_into_raw_votes_alone(pets, even):
    pets.swap({"cat": "me/two:cat"}, match=True)
    even.restrict(["dog"])
    pets.remove("dog")
    before = both(even)
    with pytest.raises(Conflict, match="the scale of 'cat' comes from a raw vote"):
        even.merge(pets.folder)
    assert both(even) == before
    text = toml(even).replace("\n[classes]", 'vote = "raw"\n\n[classes]')
    (even.folder / "modhub.toml").write_text(text)
    even.merge(pets.folder)
    assert even.file.scales == pets.file.scales


def test_the_classifier_is_that_of_composing_with_match():
    from small_origins import bar_modules, quadrant_modules

    import modhub
    from modhub.composition.operations import on_scale
    from modhub.composition.recipe import MarginScale

    old, new = quadrant_modules().modules[0], bar_modules().modules[2]
    one, other = on_scale_of(new, old), on_scale(new, MarginScale(old.threshold, old.scale))
    np.testing.assert_array_equal(one.head.kernel, other.head.kernel)
    np.testing.assert_array_equal(one.head.bias, other.head.bias)
    composed = modhub.compose(list(quadrant_modules().modules), vote="raw").swap("top left", new, match=True)
    np.testing.assert_array_equal(composed.plan.modules[0].head.kernel, other.head.kernel)
