"""Folders nested by the thousand, and names that no file system takes, in a registry, a cache or its configuration."""

from __future__ import annotations

import os
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from synthetic import release

from modhub.cache.cache import Cache
from modhub.errors import ModhubError
from modhub.ops.install import install
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.storage import files
from modhub.storage.trees import remove_tree
from modhub.storage.urls import open_store

DEPTH = 1_500


def dig(folder: Path, name: str = "d") -> None:
    """Nest ``DEPTH`` folders, also deeper than a path can name, with a file in the last."""
    folder.mkdir(parents=True, exist_ok=True)
    inside = os.open(folder, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir(name, dir_fd=inside)
        below = os.open(name, os.O_RDONLY, dir_fd=inside)
        os.close(inside)
        inside = below
    os.close(os.open("1.0.0.json", os.O_CREAT | os.O_WRONLY, dir_fd=inside))
    os.close(inside)


@pytest.fixture
def place():
    """A folder in memory where there is one: nesting and removing takes minutes on some disks."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield place
    # shutil.rmtree calls itself for every level.
    subprocess.run(["rm", "-rf", str(place)], check=True)


@pytest.fixture
def deep(place):
    """A registry with one release, and folders that go down and down in it."""
    registry = Registry(open_store(str(place / "registry")))
    registry.publish(*release())
    for inside in ("", "releases/me", "records/alias"):
        dig(place / "registry" / inside)
    return registry


def test_a_registry_is_read_written_and_administered(deep):
    assert fsck(deep).damage == ()
    assert reindex(deep) == []
    assert collect(deep, older_than=timedelta(0)).deleted == ()
    assert deep.models() == ["me/net"]
    assert deep.publish(*release(version="1.1.0", seed=1)).warnings == ()
    assert deep.versions("me", "net") == ["1.0.0", "1.1.0"]
    assert deep.aliases() == {}


def test_a_cache_is_used_verified_and_pruned(deep, place):
    cache = Cache(place / "cache")
    install("me/net:cat", registry=deep.url, cache=cache.root)
    for inside in ("", "installed/me", "blobs"):
        dig(cache.root / inside)
    assert [each.name for each in cache.installed()] == ["cat"]
    assert cache.verify().damaged == ()
    cache.prune(max_size=0)
    assert cache.releases()
    assert cache.size() > 0
    assert [each.name for each in install("me/net:cat", registry=deep.url, cache=cache.root)] == ["cat"]


def test_a_folder_is_made_however_deep_it_lies(place):
    folder = str(place / "made") + "/d" * DEPTH
    assert len(files.make_folder(folder)) == DEPTH + 1
    assert Path(folder).is_dir()
    assert files.make_folder(folder) == []


def test_a_folder_is_removed_with_all_below_it_and_nothing_beside(place):
    dig(place / "tree" / "inside")
    (place / "kept").mkdir()
    (place / "kept" / "file").write_text("x")
    (place / "tree" / "link").symlink_to(place / "kept")
    remove_tree(place / "tree")
    assert [path.name for path in place.iterdir()] == ["kept"]
    assert (place / "kept" / "file").exists()
    remove_tree(place / "tree")


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3_000, "x" * 300 + "/below"])
def test_a_place_that_no_file_system_has_is_an_error_of_ours(tmp_path, name):
    url = str(tmp_path / name)
    for work in (
        lambda: Registry(open_store(url)).publish(*release()),
        lambda: Registry(open_store(url)).models(),
        lambda: fsck(Registry(open_store(url))),
        lambda: Cache(url).installed(),
        lambda: Cache(url).verify(),
    ):
        with pytest.raises(ModhubError):
            work()
