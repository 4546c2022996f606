"""What is locked stays locked until it is upgraded, is refused when changed by hand, and survives any crash."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from crashing import crashes, with_full_disk
from dying_projects import act
from hypothesis import given
from hypothesis import strategies as st
from made_projects import both, lock, refs, toml, with_settings
from synthetic import release

from modhub import Project
from modhub.cli import main
from modhub.composition.recipe import ADAPTS, DTYPES, MODES
from modhub.errors import Conflict, IntegrityError, NotFound, StorageError
from modhub.installation.lockfile import Lock, read_lock
from modhub.ops.install import install
from modhub.ops.install import lock as write_lock
from modhub.spec.refs import ModelRef
from scripts.build_schemas import FOLDER
from tests.installation.test_lockfile import PINS, rewritten

SAMPLES = Path(__file__).parent / "samples"
FIRST = ModelRef("me", "net", "1.1.0")


def test_a_lock_of_names_of_the_first_release_is_read_and_written_byte_for_byte():
    sample = (SAMPLES / "names.lock").read_text()
    found = read_lock(sample.encode(), what="x")
    assert found == Lock(PINS)
    assert found.to_text() == sample


def test_a_lock_of_a_project_is_read_and_written_byte_for_byte():
    sample = (SAMPLES / "project.lock").read_text()
    found = read_lock(sample.encode(), what="x")
    assert found.to_text() == sample
    assert found.modules == PINS
    assert [label for label, _ in found.project.classes] == ["cat", 'wheel "x"']
    assert found.project.accuracy.top_1 == 1 / 3


def test_a_lock_that_says_how_the_project_runs_is_read_and_written_byte_for_byte():
    sample = (SAMPLES / "modes.lock").read_text()
    found = read_lock(sample.encode(), what="x")
    assert found.to_text() == sample
    assert found.modules == PINS
    assert (found.project.settings.mode, found.project.settings.dtype) == ("fused", "bfloat16")


def test_a_lock_that_does_not_say_it_runs_exactly():
    found = read_lock((SAMPLES / "project.lock").read_bytes(), what="x").project
    assert (found.settings.mode, found.settings.dtype) == ("isolated", "float32")


@given(
    mode=st.sampled_from(MODES),
    dtype=st.sampled_from(DTYPES),
    adapt=st.none() | st.sampled_from(ADAPTS),
    reject=st.booleans(),
    measured=st.booleans(),
)
def test_only_a_mode_and_a_dtype_that_are_not_the_default_are_written(mode, dtype, adapt, reject, measured):
    """A lock differs from the one of the same project run exactly by these lines and its checksum alone."""
    sample = read_lock((SAMPLES / "project.lock").read_bytes(), what="x").project
    plain = with_settings(sample, adapt=adapt, reject=reject)
    plain = replace(plain, accuracy=sample.accuracy if measured else None)
    text = Lock.of_project(with_settings(plain, mode=mode, dtype=dtype)).to_text()
    lines = [f'mode = "{mode}"\n'] * (mode != "isolated") + [f'dtype = "{dtype}"\n'] * (dtype != "float32")
    assert ("mode" in text, "dtype" in text) == (mode != "isolated", dtype != "float32")
    assert rewritten("".join(lines), "", text).decode() == Lock.of_project(plain).to_text()
    found = read_lock(text.encode(), what="x")
    assert (found.project.settings.mode, found.project.settings.dtype) == (mode, dtype)
    assert found.to_text() == text


@pytest.mark.parametrize("name", ["names.lock", "project.lock", "modes.lock"])
def test_samples_follow_the_schema(name):
    schema = json.loads((FOLDER / "lockfile.schema.json").read_text())
    value = tomllib.loads((SAMPLES / name).read_text())
    jsonschema.validate(value, schema)
    del value["module"][0]["digest"]
    with pytest.raises(jsonschema.ValidationError, match="digest"):
        jsonschema.validate(value, schema)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('label = "cat"', 'label = "wheel \\"x\\""', "every label and module once"),
        ('label = "cat"\n', "", "verifies classes of the project"),
        ('name = "pets"\n', "", "a project has a name"),
        ('classes = ["cat", ', 'classes = ["emu", ', "verifies classes of the project"),
        ('modules = ["me/net:potters-wheel@2.0.0-rc.1", ', 'modules = ["me/net:other@2.0.0-rc.1", ', "one module of"),
        ('modules = ["me/net:potters-wheel@2.0.0-rc.1", ', "modules = [", "verify.0.modules"),
        ('adapt = "resize"', 'adapt = "melt"', "adapt"),
        ("size = [64, 64]", "size = [64]", "size"),
        ("reject = true", "reject = 1", "reject"),
        ("reject = true", 'mode = "fast"', "mode"),
        ("reject = true", 'dtype = "float16"', "dtype"),
        ("top_5 = 1.0", "top_5 = 1.5", "accuracy.top_5"),
        ('project = "sha256:', 'project = "sha512:', "project"),
    ],
)
def test_a_bad_value_is_named_even_with_a_right_checksum(old, new, reason):
    sample = (SAMPLES / "project.lock").read_text()
    assert old in sample
    with pytest.raises(IntegrityError) as caught:
        read_lock(rewritten(old, new, sample), what="the lockfile x")
    assert caught.value.kind == "bad-lock"
    assert reason in str(caught.value)


def test_a_lock_changed_by_hand_is_refused_by_every_command_but_lock(project):
    path = project.folder / "modhub.lock"
    path.write_text(lock(project).replace("1.1.0", "1.0.0"))
    before = both(project)
    acts = [
        project.sync,
        project.tree,
        project.outdated,
        project.verify,
        project.upgrade,
        lambda: project.add("me/two:cat", label="x"),
        lambda: project.remove("cat"),
    ]
    for edit in acts:
        with pytest.raises(IntegrityError, match="was changed by hand") as caught:
            edit()
        assert caught.value.kind == "edited-lock"
        assert caught.value.hint == "lock the project again: modhub lock"
    assert both(project) == before
    with pytest.warns(UserWarning, match="was changed by hand.*Everything is chosen again"):
        project.lock()
    assert refs(project)["cat"] == "me/net:cat@1.1.0"


def test_what_is_locked_stays_when_newer_releases_come(project, registry):
    before = both(project)
    registry.publish(*release(version="1.2.0", seed=12))
    project.lock()
    project.sync()
    assert both(project) == before
    project.add("me/two:cat", label="x")
    assert refs(project)["cat"] == "me/net:cat@1.1.0"


def test_upgrade_moves_everything_or_one_model(project, registry):
    registry.publish(*release(version="1.2.0", seed=12))
    registry.publish(*release("me/two", "1.5.0", seed=13, classes=("cat", "dog", "bird")))
    ages = {age.label: age for age in project.outdated()}
    assert (ages["cat"].locked, ages["cat"].in_range, ages["cat"].newest) == ("1.1.0", "1.2.0", "2.0.0")
    assert not ages["bird"].is_current
    change = project.upgrade("bird")
    assert [(move.label, move.before, move.after) for move in change.moves] == [
        ("bird", "me/two:bird@1.0.0", "me/two:bird@1.5.0")
    ]
    text = toml(project)
    change = project.upgrade("me/net")
    assert {move.label: move.after for move in change.moves} == {"cat": "me/net:cat@1.2.0", "dog": "me/net:dog@1.2.0"}
    assert toml(project) == text
    assert project.upgrade().moves == ()


def test_upgrade_takes_an_alias_that_only_the_project_file_uses(project, registry):
    registry.set_alias("n", "me/net")
    (project.folder / "modhub.toml").write_text(toml(project).replace('"me/net:cat@^1"', '"n:cat@^1"'))
    project.sync()
    registry.publish(*release(version="1.2.0", seed=12))
    assert {move.label for move in project.upgrade("n").moves} == {"cat", "dog"}


def test_a_range_that_changed_by_hand_locks_again_and_frozen_refuses(project):
    (project.folder / "modhub.toml").write_text(toml(project).replace('"me/net:cat@^1"', '"me/net:cat@^2"'))
    with pytest.raises(Conflict, match="modules, ranges or settings differ") as caught:
        project.sync(frozen=True)
    assert caught.value.kind == "lock-outdated"
    change = project.sync()
    assert [(move.label, move.after) for move in change.moves] == [("cat", "me/net:cat@2.0.0")]
    assert project.sync(frozen=True).moves == ()


def test_frozen_says_which_classes_differ_or_that_nothing_is_locked(project):
    (project.folder / "modhub.toml").write_text(toml(project).replace("cat = ", "kitten = "))
    with pytest.raises(Conflict, match="it lacks kitten; it still has cat"):
        project.sync(frozen=True)
    (project.folder / "modhub.lock").unlink()
    with pytest.raises(NotFound, match=r"the lockfile of the project in .* is missing") as caught:
        project.sync(frozen=True)
    assert caught.value.kind == "no-lock"
    write_lock("me/net:cat", project.folder / "modhub.lock", registry=project.options.registry)
    with pytest.raises(NotFound, match="is of names alone, not of the project"):
        project.sync(frozen=True)
    project.sync()
    assert project.sync(frozen=True).moves == ()


def test_comments_and_formatting_are_no_reason_to_lock_again(project):
    before = lock(project)
    (project.folder / "modhub.toml").write_text("# ours\n" + toml(project).replace(" = ", "="))
    assert project.sync(frozen=True).moves == ()
    assert lock(project) == before


def test_a_range_that_nothing_satisfies_any_more(project):
    (project.folder / "modhub.toml").write_text(toml(project).replace('"me/net:cat@^1"', '"me/net:cat@^7"'))
    before = both(project)
    with pytest.raises(NotFound, match=r"me/net has no version \^7. There is: 1.0.0, 1.1.0, 2.0.0") as caught:
        project.sync()
    assert caught.value.kind == "no-version"
    assert both(project) == before


def test_a_yanked_pin_stays_with_a_warning_until_it_is_upgraded(project, registry):
    registry.yank(FIRST, "answers wolf")
    with pytest.warns(UserWarning, match=r"me/net@1\.1\.0 is yanked, but locked: answers wolf"):
        project.sync(frozen=True)
    with pytest.warns(UserWarning, match="is yanked, but locked"):
        project.lock()
    assert refs(project)["cat"] == "me/net:cat@1.1.0"
    age = project.outdated()[0]
    assert (age.locked, age.in_range, age.yanked, age.is_current) == ("1.1.0", "1.0.0", "answers wolf", False)
    project.upgrade()
    assert refs(project)["cat"] == "me/net:cat@1.0.0"


def test_a_yanked_pin_with_nothing_beside_it_cannot_be_upgraded(project, registry):
    for version in ("1.0.0", "1.1.0"):
        registry.yank(ModelRef("me", "net", version), "answers wolf")
    before = both(project)
    with pytest.raises(NotFound, match=r"me/net@1\.1\.0 is yanked.*answers wolf") as caught:
        project.upgrade()
    assert caught.value.kind == "yanked"
    assert both(project) == before


def test_a_lock_installs_all_modules_also_without_its_project_and_offline(project, tmp_path):
    project.verify_with({("cat", "dog"): ["me/two:cat", "me/two:dog"]})
    found = install(locked=project.folder / "modhub.lock", registry=project.options.registry, cache=tmp_path / "other")
    assert len(found) == 5
    Path(project.options.registry).rename(tmp_path / "away")
    offline = Project.open(project.folder, offline=True)
    assert len(offline.sync(frozen=True).installed) == 5
    assert offline.tree().branches[0].classes == (("cat", "cat"), ("dog", "dog"))
    offline.rename({"cat": "kitten"})
    assert "registry = " + json.dumps(project.options.registry) in lock(project)


def test_locks_have_equal_bytes_in_any_folder(tmp_path, registry):
    texts = []
    for place in ("here", "over/there"):
        folder = tmp_path / place / "pets"
        folder.mkdir(parents=True)
        (folder.parent / "modules").symlink_to(registry.url)
        (folder / "modhub.toml").write_text(
            '[project]\nname = "pets"\nregistries = ["../modules"]\n[classes]\ncat = "me/net:cat"\ndog = "me/net:dog"\n'
        )
        project = Project.open(folder, cache=tmp_path / place / "cache")
        project.lock()
        texts.append(lock(project))
    assert texts[0] == texts[1]
    assert 'registry = "../modules"' in texts[0]


# Two files, one change


@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_an_edit_that_dies_at_any_write_leaves_what_sync_repairs(project, tmp_path, how):
    url, cache = project.options.registry, tmp_path / "kept"
    Project.open(project.folder, registry=url, cache=cache).sync()
    start = both(project)
    old, states = set(refs(project)), set()
    for _ in crashes(how, project.folder, act, "add", str(project.folder), url, str(cache)):
        states.add((toml(project) == start["modhub.toml"].decode(), lock(project) == start["modhub.lock"].decode()))
        change = Project.open(project.folder, registry=url, cache=cache).sync()
        asked = set(project.file.classes)
        assert asked in (old, old | {"potter's wheel"})
        assert {label for label, _ in change.locked.classes} == asked
        project.sync(frozen=True)
        for name, data in start.items():
            (project.folder / name).write_bytes(data)
    assert set(refs(project)) == old | {"potter's wheel"}
    # Dying between the two writes was among them.
    assert (True, False) in states


def test_a_disk_that_is_full_before_the_second_write_takes_the_first_back(project, tmp_path):
    (project.folder / "modhub.toml").write_text("# " + "x" * 20_000 + "\n" + toml(project))
    before = both(project)
    url = project.options.registry
    code, answer = with_full_disk(15_000, False, act, "add", str(project.folder), url, str(tmp_path / "cache"))
    assert code == 0
    assert answer[0] == "StorageError"
    assert "modhub.toml cannot be written" in answer[2]
    assert {name: data for name, data in both(project).items() if not name.startswith(".")} == before


def test_a_folder_that_cannot_be_written_is_named(project, tmp_path):
    path = project.folder / "modhub.lock"
    path.unlink()
    path.mkdir()
    with pytest.raises((StorageError, Exception), match=r"modhub\.lock cannot be"):
        project.sync()


def test_a_concurrent_change_is_not_lost(project, monkeypatch):
    from modhub.project.session import Session

    session = project._session()
    project.add("me/net:potters-wheel@^1")
    before = both(project)
    assert isinstance(session, Session)
    with pytest.raises(Conflict, match="was changed by somebody else meanwhile") as caught:
        session.edit(*session.added(["me/two:cat"], "x"))
    assert caught.value.kind == "changed-meanwhile"
    assert both(project) == before


def test_a_project_file_that_is_a_link_stays_one(project, tmp_path):
    real = tmp_path / "real.toml"
    (project.folder / "modhub.toml").rename(real)
    (project.folder / "modhub.toml").symlink_to(real)
    project.remove("dog")
    assert (project.folder / "modhub.toml").is_symlink()
    assert "dog" not in real.read_text()


def test_a_lock_of_names_never_replaces_a_projects_lock(project, monkeypatch, capsys):
    monkeypatch.chdir(project.folder)
    before = both(project)
    assert main(["lock", "me/net:cat", "--registry", str(project.options.registry)]) == 2
    assert "modhub.lock belongs to the project in this folder" in capsys.readouterr().err
    assert both(project) == before
