"""Giving room back on a full disk: what frees comes before what writes, or the error says exactly what to do."""

from __future__ import annotations

import os
import subprocess
import tempfile
from datetime import timedelta

import pytest
from synthetic import release

from modhub.errors import StorageError
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.spec.layout import CATALOG, index_path
from modhub.storage.local import LocalStore

LONG_AGO = 1_000_000_000


@pytest.fixture
def disk(tmp_path):
    """A file system of 512 KiB, where this machine and user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a disk needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def registry(disk):
    registry = Registry(LocalStore(disk / "registry"))
    registry.publish(*release(weights_bytes=60_000))
    return registry


def fill(disk):
    """Leave not one byte."""
    with (disk / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    with pytest.raises(OSError, match="No space"):
        (disk / "one more").write_bytes(b"x")
    (disk / "one more").unlink()


def orphan(registry, *, age=LONG_AGO):
    path = f"blobs/sha256/ab/{'c' * 62}"
    registry.store.put_if_absent(path, bytes(40_000))
    os.utime(registry.store.root / path, (age, age))
    return registry.store.root / path


@pytest.fixture
def temporary_files_there(disk, monkeypatch):
    """As where /tmp is on the same disk."""
    (disk / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk / "tmp"))


def test_orphans_that_were_found_before_are_collected(registry, disk, temporary_files_there):
    blob = orphan(registry)
    assert collect(registry, older_than=timedelta(days=7)).deleted == ()
    candidates = registry.store.root / "gc" / "candidates.json"
    assert candidates.exists()
    fill(disk)
    done = collect(registry, older_than=timedelta(0))
    assert [one.path for one in done.deleted] == [str(blob.relative_to(registry.store.root))]
    assert not blob.exists()
    assert fsck(registry).clean


def test_orphans_found_on_a_full_disk_are_collected_at_once_when_that_is_asked(registry, disk, temporary_files_there):
    blob = orphan(registry)
    fill(disk)
    assert len(collect(registry, older_than=timedelta(0)).deleted) == 1
    assert not blob.exists()
    registry.publish(*release(version="1.1.0", weights_bytes=1_000))
    assert fsck(registry).clean


def test_left_behind_writes_are_what_is_freed_first(registry, disk):
    left = registry.store.root / "blobs" / ".tmp-1-2"
    left.write_bytes(bytes(30_000))
    os.utime(left, (LONG_AGO, LONG_AGO))
    fill(disk)
    assert collect(registry).swept == 1
    assert not left.exists()


def test_where_nothing_may_be_deleted_yet_it_says_what_to_do(registry, disk):
    orphan(registry)
    fill(disk)
    with pytest.raises(
        StorageError, match=r"is full, and none of the 1 orphans there has waited long enough"
    ) as caught:
        collect(registry)
    assert caught.value.kind == "no-space"
    assert f"modhub registry gc {registry.url} --older-than 0" in caught.value.hint


def test_where_there_is_nothing_to_delete_nothing_is_written_either(registry, disk):
    fill(disk)
    assert collect(registry).deleted == ()


@pytest.mark.parametrize("damaged", [index_path("me", "net"), "catalog/me.json", CATALOG])
def test_the_index_is_rebuilt_in_its_own_space(registry, disk, damaged):
    path = registry.store.root / damaged
    right = path.read_bytes()
    path.write_bytes(right[:-10] + bytes(10))
    fill(disk)
    assert reindex(registry) == []
    assert path.read_bytes() == right


def test_an_index_that_is_right_needs_no_space(registry, disk):
    fill(disk)
    before = registry.store.get(CATALOG, max_bytes=10_000)
    assert reindex(registry) == []
    assert registry.store.get(CATALOG, max_bytes=10_000) == before


def test_an_index_without_space_leaves_the_old_one_and_says_how_much_it_needs(disk):
    registry = Registry(LocalStore(disk / "registry"))
    registry.publish(*release(classes=[f"class {number} {'x' * 80}" for number in range(40)], weights_bytes=10))
    path = registry.store.root / index_path("me", "net")
    needed = path.stat().st_size
    path.write_bytes(b"outdated")
    fill(disk)
    with pytest.raises(StorageError, match=rf"no space for the index file .*me/net.json of {needed} bytes") as caught:
        reindex(registry)
    assert caught.value.kind == "no-space"
    assert "free that much" in caught.value.hint
    assert path.read_bytes() == b"outdated"
