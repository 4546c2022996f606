"""A package folder: all of it or nothing on the way out, and every byte suspected on the way in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from modhub.errors import Conflict, IntegrityError, ModhubError, NotFound, StorageError
from modhub.package.folder import Package, blob_path, load_blob, load_manifest, load_package, save_package
from modhub.storage.verify import verified_blob
from tests.crashing import as_nobody, crashes, with_full_disk
from tests.synthetic import release


def package(seed=0):
    manifest, blobs = release(version=None, seed=seed, weights_bytes=20_000)
    records = manifest.blobs.values()
    return Package(
        manifest, {each.sha256: verified_blob([blobs[each.sha256]], each, what="it", hint="") for each in records}
    )


def save(folder, seed):
    save_package(package(seed), folder)


def seeds_in(folder):
    """Which package is in ``folder``, whole; None when there is none."""
    try:
        found = load_package(folder).manifest.digest
    except NotFound:
        return None
    return {package(seed).manifest.digest: seed for seed in (0, 1)}[found]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "net.modules"


# Writing


def test_a_package_comes_back(folder):
    assert save_package(package(), folder) == folder
    found = load_package(folder)
    assert found.manifest == package().manifest
    assert found.blobs == package().blobs
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"manifest.json", *(blob_path(stored) for stored in package().blobs)}


@pytest.mark.parametrize("entry", [".git/HEAD", "notes.txt", "blobs/mine.bin"])
@pytest.mark.parametrize("is_package", [True, False])
def test_no_file_that_is_not_the_packages_is_removed_with_it(folder, entry, is_package):
    if is_package:
        save(folder, 0)
    mine = folder / entry
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_bytes(b"mine")
    with pytest.raises(Conflict, match=re.escape(entry)) as refused:
        save(folder, 1)
    assert refused.value.kind == "not-a-package"
    assert mine.read_bytes() == b"mine"


def test_saving_again_replaces_the_package_and_leaves_nothing_behind(folder):
    save(folder, 0)
    save(folder, 1)
    assert seeds_in(folder) == 1
    assert len(list(folder.rglob("blobs/sha256/*/*"))) == len(package(1).blobs)
    assert list(folder.parent.iterdir()) == [folder]


def test_missing_parents_are_made_and_an_empty_folder_is_taken(tmp_path):
    save(tmp_path / "a" / "b" / "net.modules", 0)
    empty = tmp_path / "empty"
    empty.mkdir()
    save(empty, 1)
    assert seeds_in(empty) == 1


def a_file(folder):
    folder.write_text("precious")


def a_folder_of_files(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")


@pytest.mark.parametrize("stand", [a_file, a_folder_of_files])
def test_what_is_no_package_is_never_replaced(folder, stand):
    stand(folder)
    with pytest.raises(Conflict) as caught:
        save(folder, 0)
    why = ": it has thesis.txt" if folder.is_dir() else ""
    assert str(caught.value) == (
        f"{folder} exists and is not a package of modules{why}. Hint: choose another name with --out, or remove it."
    )
    assert any(path.read_text() == "precious" for path in (folder, *folder.glob("*")) if path.is_file())


@pytest.mark.parametrize("before", [None, 0])
def test_a_limit_on_file_size_leaves_what_was_there(folder, before):
    if before is not None:
        save(folder, before)
    status, answer = with_full_disk(10_000, False, save, folder, 1)
    assert status == 0
    assert answer[:2] == ("StorageError", "not-writable")
    assert f"{folder} cannot be written: File too large. Hint: free some space or choose another place" in answer[2]
    assert seeds_in(folder) == before
    assert [path for path in folder.parent.iterdir() if path != folder] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny disk needs root; see the limit above")
def test_a_full_disk_leaves_what_was_there(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode().strip()}")
    try:
        folder = disk / "net.modules"
        save(folder, 0)
        with pytest.raises(StorageError, match="cannot be written: No space left on device") as caught:
            save(folder, 1)
        assert caught.value.kind == "no-space"
        assert seeds_in(folder) == 0
        assert list(disk.iterdir()) == [folder]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_a_place_without_permission_is_named(tmp_path):
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent.name.startswith(("pytest-", "popen-", "test_")):
            parent.chmod(0o755)
    _, answer = as_nobody(save, tmp_path / "sub" / "net.modules", 0)
    assert answer[:2] == ("StorageError", "not-writable")
    assert "net.modules cannot be written: Permission denied" in answer[2]


@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_a_first_save_that_dies_leaves_all_or_nothing(folder, how):
    seen = set()
    for _ in crashes(how, folder.parent, save, folder, 1):
        seen.add(seeds_in(folder))
        if how == "interrupt":
            assert [path for path in folder.parent.iterdir() if path != folder] == []
    assert seen == {None}
    assert seeds_in(folder) == 1


@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_a_second_save_that_dies_leaves_the_old_package_or_the_new_one(folder, tmp_path, how):
    save(tmp_path / "old", 0)
    seen = set()
    shutil.copytree(tmp_path / "old", folder)
    for _ in crashes(how, folder.parent, save, folder, 1):
        seen.add(seeds_in(folder))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "old", folder)
    assert seeds_in(folder) == 1
    # Only death between two renames leaves the name empty; the old package is then beside it.
    assert 0 in seen
    assert seen - {0, 1} == (set() if how == "interrupt" else {None})


# Reading


def test_a_folder_without_a_package_is_named(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NotFound) as caught:
            load_manifest(place)
        assert str(caught.value).startswith(f"{place} is not a package of modules: it has no manifest.json. Hint: make")


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def padded(path):
    path.write_bytes(path.read_bytes() + b"\n")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path):
    path.write_bytes(b"")


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def made_a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [flipped, padded, truncated, emptied, zeroed]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_noticed_and_the_file_is_named(folder, damage):
    save(folder, 0)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        before = path.read_bytes()
        damage(path)
        with pytest.raises(IntegrityError) as caught:
            load_package(folder)
        assert str(path) in str(caught.value), path
        path.write_bytes(before)
    load_package(folder)


def test_every_byte_of_the_manifest_counts(folder):
    save(folder, 0)
    path = folder / "manifest.json"
    data = path.read_bytes()
    for position in range(0, len(data), 37):
        for change in (1, 0x20):
            path.write_bytes(data[:position] + bytes([data[position] ^ change]) + data[position + 1 :])
            with pytest.raises(ModhubError) as caught:
                load_manifest(folder)
            assert isinstance(caught.value, IntegrityError) or caught.value.kind == "newer-format"


@pytest.mark.parametrize("change", [lambda path: path.unlink(), made_a_folder], ids=["missing", "a folder"])
def test_a_blob_that_cannot_be_read_is_named(folder, change):
    save(folder, 0)
    record = next(iter(package().manifest.blobs.values()))
    path = folder / blob_path(record.sha256)
    change(path)
    with pytest.raises(IntegrityError) as caught:
        load_blob(folder, record)
    assert caught.value.kind == "missing-blob"
    assert str(caught.value).startswith(f"{path} cannot be read: ")
    assert str(caught.value).endswith("Hint: the package is incomplete; decompose the model again.")


def test_two_blobs_that_changed_places_are_noticed(folder):
    save(folder, 0)
    one, other = [folder / blob_path(record.sha256) for record in package().manifest.blobs.values()][:2]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with pytest.raises(IntegrityError, match=r"is (truncated|padded): "):
        load_package(folder)


def test_a_file_far_larger_than_recorded_is_not_read_whole(folder):
    save(folder, 0)
    record = next(iter(package().manifest.blobs.values()))
    path = folder / blob_path(record.sha256)
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(IntegrityError, match=f"is padded: it has {record.size + 1} bytes or more instead"):
        load_blob(folder, record)


def test_a_digest_that_is_a_path_goes_nowhere():
    for stored in ("sha256:../../../etc/passwd", "sha256:" + "/" * 64, "md5:" + "0" * 64, "sha256:" + "0" * 63):
        with pytest.raises(IntegrityError, match="is not a sha256 digest"):
            blob_path(stored)
