"""A project from Python: every edit changes, locks and installs, or leaves everything as it was."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_projects import both, lock, refs, toml, wide_release
from synthetic import release

from modhub import Project
from modhub.errors import Conflict, Incompatible, IntegrityError, NotFound, RegistryUnreachable, UsageError
from modhub.ops.search import list_installed
from modhub.registry.writer import Registry
from modhub.settings.config import write_alias
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store

FIRST = ModelRef("me", "net", "1.1.0")


def test_a_new_project_has_ranges_a_lock_and_its_modules_installed(project):
    assert toml(project) == (
        '[project]\nname = "pets"\n\n'
        '[classes]\ncat = "me/net:cat@^1"\ndog = "me/net:dog@^1"\nbird = "me/two:bird@^1.0.0"\n'
    )
    assert refs(project) == {"cat": "me/net:cat@1.1.0", "dog": "me/net:dog@1.1.0", "bird": "me/two:bird@1.0.0"}
    assert sorted(str(each.ref) for each in list_installed()) == sorted(refs(project).values())


def test_a_project_may_be_empty_and_become_so(tmp_path, registry):
    project = Project.new(tmp_path / "pets", registry=registry.url)
    assert toml(project) == '[project]\nname = "pets"\n\n[classes]\n'
    assert project.locked is None
    before = toml(project)
    project.add("me/net:cat")
    change = project.remove("cat")
    assert change.locked is None
    assert toml(project) == before
    assert not (project.folder / "modhub.lock").exists()
    with pytest.raises(UsageError, match="the project has no classes") as caught:
        project.lock()
    assert caught.value.kind == "empty"


def test_adding_a_model_adds_its_classes_but_those_that_are_there(project):
    change = project.add("me/net@^1")
    assert [(move.label, move.after) for move in change.moves] == [("potter's wheel", "me/net:potters-wheel@1.1.0")]
    with pytest.raises(Conflict, match="the project has every class of me/net@") as caught:
        project.add("me/net@^1")
    assert caught.value.kind == "duplicate-module"


def test_an_alias_of_the_user_becomes_a_short_name_of_the_project(project, monkeypatch):
    write_alias("n", "me/net")
    project.add("n:potter's wheel@~1.0", label="wheel")
    assert '[models]\nn = "me/net@^1.0.0"\n' in toml(project)
    assert 'wheel = "n:potters-wheel@~1.0"\n' in toml(project)
    write_alias("n", "me/two")
    project.add("n:cat@^2", label="new cat")
    assert refs(project)["new cat"] == "me/net:cat@2.0.0"


def test_a_class_of_a_model_that_is_there_comes_from_the_release_that_is_locked(project):
    """One release more would be one network more to run; who wants it says so."""
    project.add("me/net:potters-wheel")
    assert refs(project)["potter's wheel"] == "me/net:potters-wheel@1.1.0"
    assert 'me/net:potters-wheel@^1.1.0"' in toml(project)


def test_an_alias_of_a_registry_and_a_namespace_of_one_model(tmp_path, registry):
    registry.set_alias("two", "me/two")
    registry.publish(*release("alone/net", classes=("emu", "ash")))
    project = Project.new(tmp_path / "pets", ["two:cat", "alone:emu"], registry=registry.url)
    assert 'two = "me/two@^1.0.0"' in toml(project)
    assert 'emu = "alone/net:emu@^1.0.0"' in toml(project)


def test_a_pre_release_is_written_as_itself(tmp_path, registry):
    registry.publish(*release(version="3.0.0-rc.1", seed=9))
    project = Project.new(tmp_path / "pets", ["me/net:cat@3.0.0-rc.1", "me/net:dog"], registry=registry.url)
    assert 'cat = "me/net:cat@3.0.0-rc.1"\ndog = "me/net:dog@^2.0.0"' in toml(project)


def test_swap_rename_and_restrict(project):
    change = project.swap({"cat": "me/two:cat"})
    assert [(move.label, move.before, move.after) for move in change.moves] == [
        ("cat", "me/net:cat@1.1.0", "me/two:cat@1.0.0")
    ]
    project.rename({"cat": "kitten"})
    project.restrict(["bird", "kitten"])
    assert list(refs(project).items()) == [("bird", "me/two:bird@1.0.0"), ("kitten", "me/two:cat@1.0.0")]
    assert project.sync(frozen=True).moves == ()


def test_taking_away_and_renaming_need_no_registry(project, registry):
    shutil.move(registry.url, registry.url + "-away")
    with pytest.warns(UserWarning, match="Using what is installed"):
        project.rename({"cat": "kitten"})
    with pytest.warns(UserWarning, match="Using what is installed"):
        project.remove("dog")
    assert refs(project) == {"kitten": "me/net:cat@1.1.0", "bird": "me/two:bird@1.0.0"}
    before = both(project)
    with pytest.raises(RegistryUnreachable, match="there is no registry at"):
        project.add("me/net:dog")
    assert both(project) == before


def test_a_stage_is_matched_by_name_and_takes_the_place_of_one_of_the_same_classes(project):
    change = project.verify_with({("cat", "dog"): ["me/two:dog", "me/two:cat"]})
    assert [[str(pin.ref) for pin in modules] for _, modules in change.locked.recipe.named_stages()] == [
        ["me/two:cat@1.0.0", "me/two:dog@1.0.0"]
    ]
    change = project.verify_with({("dog", "cat"): ["me/net:potters-wheel@^1", "me/net:cat@^1"]})
    assert [(names, [pin.ref.cls for pin in pins]) for names, pins in change.locked.recipe.named_stages()] == [
        (("dog", "cat"), ["potters-wheel", "cat"])
    ]
    project.rename({"cat": "kitten"})
    assert project.locked.recipe.named_stages()[0][0] == ("dog", "kitten")
    before = toml(project)
    project.verify_with({("bird", "dog"): ["me/two:bird", "me/two:dog"]})
    project.drop_verifier(["dog", "bird"])
    assert toml(project) == before
    project.remove("kitten")
    assert project.locked.recipe.stages == ()
    assert "verify" not in toml(project)


def test_a_stage_of_modules_without_their_class_is_refused(project):
    with pytest.raises(UsageError, match="names a whole model") as caught:
        project.verify_with({("cat", "dog"): ["me/two:cat", "me/two"]})
    assert caught.value.kind == "not-one-module"
    with pytest.raises(UsageError, match="1 modules cannot verify 2 classes"):
        project.verify_with({("cat", "dog"): ["me/two:cat"]})


def test_merging_brings_classes_stages_short_names_and_comments(project, tmp_path, registry):
    other = Project.new(tmp_path / "deep" / "zoo", registry=registry.url)
    (other.folder / "modhub.toml").write_text(
        '[project]\nname = "zoo"\n[models]\nn = "me/net@^1"\ntwo = "me/two"\n[classes]\n'
        'wheel = "n:potters-wheel"  # turns\nrobin = "two:dog"\nbird = "me/two:bird@^1.0.0"\n'
        '[[verify]]\nclasses = ["wheel", "robin"]\nmodules = ["n:cat", "two:cat"]\n'
    )
    text = toml(project).replace("[classes]", '[models]\ntwo = "me/net@^2"\n\n[classes]')
    (project.folder / "modhub.toml").write_text(text)
    project.merge(other.folder / "modhub.toml")
    assert 'wheel = "n:potters-wheel"  # turns\nrobin = "me/two:dog"\n' in toml(project)
    assert 'n = "me/net@^1"' in toml(project)
    assert 'modules = ["n:cat", "me/two:cat"]' in toml(project)
    assert list(refs(project)) == ["cat", "dog", "bird", "wheel", "robin"]
    assert [names for names, _ in project.locked.recipe.named_stages()] == [("wheel", "robin")]


def test_merging_refuses_a_label_that_means_two_modules(project, tmp_path, registry):
    Project.new(tmp_path / "zoo", ["me/two:cat"], registry=registry.url)
    before = both(project)
    with pytest.raises(Conflict, match="both projects have a class 'cat': here me/net:cat@") as caught:
        project.merge(tmp_path / "zoo")
    assert caught.value.kind == "duplicate-label"
    assert both(project) == before


def test_registries_of_a_merged_project_are_written_as_seen_from_here(tmp_path, registry):
    ours, theirs = tmp_path / "a", tmp_path / "deep" / "b"
    for folder, path, ref in ((ours, "../registry", "me/net:cat@^1"), (theirs, "../../registry", "me/two:dog")):
        folder.mkdir(parents=True)
        (folder / "modhub.toml").write_text(
            f'[project]\nname = "x"\nregistries = ["{path}"]\n[classes]\n{ref[7:10]} = "{ref}"\n'
        )
    other = Registry(open_store(str(tmp_path / "deep" / "more")))
    other.publish(*release("other/net", classes=("emu", "ash")))
    (theirs / "modhub.toml").write_text(
        '[project]\nname = "b"\nregistries = ["../../registry", "../more"]\n[classes]\nemu = "other/net:emu"\n'
    )
    project = Project.open(ours)
    project.lock()
    project.merge(theirs)
    assert project.file.project.registries == ("../registry", "../deep/more")
    assert 'registry = "../deep/more"' in lock(project)
    assert list(refs(project)) == ["cat", "emu"]


def test_two_inputs_need_an_adapter_and_the_lock_says_which(project, registry):
    registry.publish(*wide_release("big/net", classes=("emu", "ash")))
    before = both(project)
    with pytest.raises(Incompatible, match="4x4x1 vs 8x8x1"):
        project.add("big/net:emu")
    assert both(project) == before
    (project.folder / "modhub.toml").write_text(
        toml(project).replace('name = "pets"', 'name = "pets"\nadapt = "letterbox"\nsize = [8, 8]')
    )
    project.add("big/net:emu")
    assert 'adapt = "letterbox"\nsize = [8, 8]\n' in lock(project)
    tree = project.tree()
    assert tree.input == "8x8x1 grey, 0..255"
    assert [branch.adapter is None for branch in tree.branches] == [False, False, True]
    assert "letterbox 8x8 -> 4x4" in tree.branches[0].adapter


def test_joint_choices_are_kept_when_the_edit_is_locked(tmp_path, registry):
    """Taking the newest of the first would fail; the older one that fits is chosen, and its range written."""
    registry.publish(*wide_release("me/net", "3.0.0", seed=5, classes=("cat", "dog")))
    project = Project.new(tmp_path / "pets", ["me/two:dog"], registry=registry.url)
    project.add("me/net:cat")
    assert refs(project) == {"dog": "me/two:dog@1.0.0", "cat": "me/net:cat@2.0.0"}
    assert 'cat = "me/net:cat@^2.0.0"' in toml(project)


@pytest.mark.parametrize(
    ("act", "error", "kind"),
    [
        (lambda p: p.add("me/net:cat@^1"), Conflict, "duplicate-label"),
        (lambda p: p.add("me/net:cat@^1", label="kitten"), Conflict, "duplicate-module"),
        (lambda p: p.add("me/two", label="all"), UsageError, "several-classes"),
        (lambda p: p.add("me/nte:cat"), NotFound, "no-model"),
        (lambda p: p.add("me/net:emu"), NotFound, "no-class"),
        (lambda p: p.add("me/net:dog@^9", label="x"), NotFound, "no-version"),
        (lambda p: p.add("me/net:potters-wheel@^1", label="a\nb"), UsageError, "bad-label"),
        (lambda p: p.add("me/net:potters-wheel@^1", label=""), UsageError, "bad-label"),
        (lambda p: p.add(), UsageError, "no-names"),
        (lambda p: p.remove("emu"), NotFound, "unknown-class"),
        (lambda p: p.swap({"emu": "me/two:cat"}), NotFound, "unknown-class"),
        (lambda p: p.swap({"cat": "me/two"}), UsageError, "not-one-module"),
        (lambda p: p.swap({"cat": "me/net:dog@^1"}), Conflict, "duplicate-module"),
        (lambda p: p.rename({"cat": "dog"}), Conflict, "duplicate-label"),
        (lambda p: p.restrict([]), UsageError, "empty"),
        (lambda p: p.restrict(["emu"]), NotFound, "unknown-class"),
        (lambda p: p.verify_with({("cat", "emu"): ["me/two:cat", "me/two:dog"]}), NotFound, "unknown-class"),
        (lambda p: p.drop_verifier(["cat", "dog"]), NotFound, "no-stage"),
        (lambda p: p.merge(p.folder.parent / "nowhere"), NotFound, "no-project"),
        (lambda p: p.upgrade("emu"), NotFound, "unknown-class"),
    ],
)
def test_an_edit_that_fails_leaves_both_files_as_they_were(project, act, error, kind):
    before = both(project)
    with pytest.raises(error) as caught:
        act(project)
    assert caught.value.kind == kind
    assert str(caught.value)
    assert both(project) == before


def test_the_project_is_found_from_a_folder_below(project, monkeypatch, tmp_path):
    below = project.folder / "data" / "more"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Project.open().folder == project.folder
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match=r"there is no modhub\.toml in .*, nor in a folder above it") as caught:
        Project.open()
    assert caught.value.kind == "no-project"
    with pytest.raises(NotFound):
        Project.open(below)


def test_a_project_is_not_made_over_another_nor_over_a_lock(project, tmp_path, registry):
    with pytest.raises(Conflict, match=r"there is a modhub\.toml in .* already") as caught:
        Project.new(project.folder)
    assert caught.value.kind == "project-exists"
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "modhub.lock").write_text("")
    with pytest.raises(Conflict, match=r"there is a modhub\.lock in"):
        Project.new(folder)
    with pytest.raises(NotFound):
        Project.new(tmp_path / "none", ["me/net:emu"], registry=registry.url)
    assert not (tmp_path / "none").exists()


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"), st.sampled_from(["me/net:potters-wheel@^2", "me/two:cat", "me/two:dog", "me/net:cat@^2"])
        ),
        st.tuples(st.just("remove"), st.sampled_from(["cat", "dog", "bird", "x0", "x1"])),
        st.tuples(
            st.just("swap"), st.sampled_from(["cat", "dog", "x0"]), st.sampled_from(["me/two:cat", "me/net:cat@^1"])
        ),
        st.tuples(st.just("rename"), st.sampled_from(["cat", "dog", "bird"]), st.sampled_from(["dog", "emu", "cat"])),
    ),
    max_size=5,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_after_any_edits_the_lock_is_of_the_project_file(tmp_path, registry, steps):
    """A model of plain dictionaries says which labels there are; what the dictionary refuses, the project refuses."""
    shutil.rmtree(tmp_path / "any", ignore_errors=True)
    project = Project.new(tmp_path / "any", ["me/net:cat@^1", "me/two:bird"], registry=registry.url)
    plain = {"cat": "me/net:cat@1.1.0", "bird": "me/two:bird@1.0.0"}
    for number, (verb, name, *rest) in enumerate(steps):
        before, new = both(project), dict(plain)
        try:
            if verb == "add":
                project.add(name, label=f"x{number}")
                new[f"x{number}"] = resolved(name)
            elif verb == "remove":
                project.remove(name)
                del new[name]
            elif verb == "swap":
                project.swap({name: rest[0]})
                new[name] = resolved(rest[0]) if name in new else 1 / 0
            else:
                project.rename({name: rest[0]})
                new = {rest[0] if label == name else label: ref for label, ref in new.items()}
                assert len(new) == len(plain)
        except (Conflict, NotFound):
            known = verb == "add" or name in plain
            clash = verb == "rename" and rest[0] in plain and rest[0] != name
            assert not known or clash or resolved((rest or [name])[0]) in plain.values()
            assert both(project) == before
            continue
        plain = new
        assert refs(project) == plain
        assert list(refs(project)) == list(plain)
        if plain:
            assert project.sync(frozen=True).moves == ()


def resolved(ref):
    return {
        "me/net:potters-wheel@^2": "me/net:potters-wheel@2.0.0",
        "me/net:cat@^2": "me/net:cat@2.0.0",
        "me/net:cat@^1": "me/net:cat@1.1.0",
    }.get(ref, f"{ref}@1.0.0")


def test_a_digest_that_changed_under_a_locked_version_is_refused_by_every_command(project, tmp_path):
    other = Registry(open_store(str(tmp_path / "other")))
    other.publish(*release(version="1.1.0", seed=666))
    other.publish(*release("me/two", seed=7, classes=("cat", "dog", "bird")))
    elsewhere = Project.open(project.folder, registry=other.url, cache=tmp_path / "empty")
    before = both(project)
    for act in (
        lambda: elsewhere.sync(),
        lambda: elsewhere.lock(),
        lambda: elsewhere.upgrade(),
        lambda: elsewhere.add("me/two:cat", label="x"),
    ):
        with pytest.raises(
            IntegrityError, match=r"me/net@1\.1\.0 is locked as sha256:.*, but .* has sha256:"
        ) as caught:
            act()
        assert caught.value.kind == "digest-changed"
        assert caught.value.exit_code == 5
    assert both(project) == before
