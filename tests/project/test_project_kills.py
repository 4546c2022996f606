"""Every project command, killed before each of its writes: the same command, run again, comes to what it would have."""

from __future__ import annotations

import shutil

import pytest
from crashing import at_every_change, crashes
from dying_projects import COMMANDS, act, build
from made_projects import both

import modhub
from modhub import Project
from modhub.errors import Conflict, NotFound
from tests import thinning

#: Commands that find the project file changed by hand since it was locked.
EDITED = ("lock", "sync", "upgrade")


@pytest.fixture
def start(project, tmp_path):
    """Two projects, "pets" and "other" to merge, as files."""
    Project.new(tmp_path / "other", ["me/net:potters-wheel@^1"], registry=project.options.registry)
    return both(project)


def restored(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_killed_at_any_write_succeeds_when_it_is_run_again(start, project, tmp_path, command):
    url, cache, folder = project.options.registry, str(tmp_path / "cache"), project.folder
    if command.startswith("new"):
        start = {}
    elif command in EDITED:
        start = start | {"modhub.toml": start["modhub.toml"].replace(b"me/two:bird@^1.0.0", b"me/two:cat@^1.0.0")}
    # What it comes to when it is not killed, which also fills the cache.
    restored(folder, start)
    act(command, str(folder), url, cache)
    expected = both(project)
    assert expected != start
    restored(folder, start)
    between = 0
    for _ in crashes("kill", folder, act, command, str(folder), url, cache):
        left = whole_files(folder)
        between += left not in (start, expected)
        act(command, str(folder), url, cache)
        assert whole_files(folder) == expected
        restored(folder, start)
    assert whole_files(folder) == expected
    if len({name for name in expected if expected[name] != start.get(name)}) > 1:
        assert between > 0


@pytest.fixture
def built(tmp_path):
    """A project, and the file that was made of it in a folder of its own."""
    from tests.small_origins import quadrant_modules

    registry = str(tmp_path / "registry")
    modhub.publish(quadrant_modules(), version="1.0.0", registry=registry)
    project = Project.new(tmp_path / "pets", ["shapes/quadrants:top-left"], registry=registry)
    out = tmp_path / "out" / "pets.keras"
    out.parent.mkdir()
    project.build(out)
    return project, out


def test_a_build_has_the_old_file_or_the_new_one_there_at_any_write(built):
    project, out = built
    new = out.read_bytes()
    out.write_bytes(b"old")
    seen = []
    # At creating the new file and at renaming it, whatever flushes it in between.
    changes = at_every_change(out.parent, lambda: seen.append(out.read_bytes()), lambda: project.build(out))
    assert changes == len(seen) >= 2
    assert set(seen) <= {b"old", new}
    assert out.read_bytes() == new


@thinning.long
def test_a_build_killed_at_any_write_leaves_the_old_file_or_the_new_one(built):
    project, out = built
    new = out.read_bytes()
    out.write_bytes(b"old")
    deaths = 0
    for _ in crashes("kill", out.parent, build, str(project.folder), str(out), project.options.registry):
        assert out.read_bytes() in (b"old", new)
        deaths += 1
    assert deaths >= 2
    assert out.read_bytes() == new


def whole_files(folder):
    """The files of a folder without those that a death left half written, which have names of their own."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.startswith(".")}


def test_a_new_project_does_not_take_the_place_of_another_lock(project, tmp_path, registry):
    """Only a lock of the very same requests is one that the same command left behind."""
    (project.folder / "modhub.toml").unlink()
    before = both(project)
    with pytest.raises(
        Conflict, match=r"there is a modhub\.lock in .* already\. Hint: it pins something else"
    ) as caught:
        Project.new(project.folder, ["me/net:cat"], registry=registry.url)
    assert caught.value.kind == "project-exists"
    assert both(project) == before
    refs = ["me/net:cat@^1", "me/net:dog@^1", "me/two:bird"]
    assert Project.new(project.folder, refs, registry=registry.url).file.classes.keys() == {"cat", "dog", "bird"}


def test_a_project_that_exists_is_refused_before_anything_is_looked_up(project, registry):
    with pytest.raises(Conflict, match=r"there is a modhub\.toml"):
        Project.new(project.folder, ["me/net:emu"], name="zoo", registry=registry.url)
    with pytest.raises(NotFound):
        Project.new(project.folder, ["me/net:emu"], registry=registry.url)
