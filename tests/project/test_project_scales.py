"""``swap --match`` of a project: the scale is in both files, follows its class, and makes that classifier."""

from __future__ import annotations

import numpy as np
import pytest
from made_projects import both, lock, toml

from modhub import Project
from modhub.cli import main
from modhub.composition.operations import on_scale_of
from modhub.errors import UsageError


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
    before = both(pets)
    pets.swap({"cat": "me/two:cat"}, match=True)
    pets.swap({"cat": "me/net:cat@^1.1.0"})
    assert "[scales]" not in toml(pets)
    assert "scale = " not in lock(pets)
    pets.swap({"cat": "me/net:cat@^1"})
    assert both(pets) == before


def test_a_scale_of_no_class_is_refused(pets):
    (pets.folder / "modhub.toml").write_text(toml(pets) + "\n[scales]\nkat = { threshold = 0.5, scale = 1.0 }\n")
    with pytest.raises(UsageError, match="'kat' is no class of the project"):
        _ = pets.file


def test_the_command(pets, registry, capsys):
    at = ("--project", str(pets.folder), "--registry", registry.url)
    assert main(["swap", "cat=me/two:cat", "--match", *at]) == 0
    assert "me/two:cat@1.0.0" in capsys.readouterr().out
    assert list(pets.file.scales) == ["cat"]


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
