"""A publisher that dies, is interrupted or finds the disk full at any write leaves the whole release or none of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from crashing import PROCESSES, crashes, race, with_full_disk
from synthetic import release

from modhub.errors import StorageError
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")
CLASSES = ("cat", "dog")


def publish(url, classes=CLASSES, weights_bytes=5000):
    return Registry(open_store(url)).publish(*release(classes=classes, weights_bytes=weights_bytes))


def publish_next(url):
    return Registry(open_store(url)).publish_next(*release(classes=CLASSES))


def set_alias(url):
    Registry(open_store(url)).set_alias("n", "me/net")


def publish_many(url, written):
    for number in range(1000):
        Registry(open_store(url)).publish(*release(version=f"1.{number}.0", seed=number))
        os.write(written, b"%d\n" % number)


def is_published_whole(registry, ref=REF):
    """Whether the release is there; when it is, every byte of it must be."""
    if ref.version not in registry.versions(ref.namespace, ref.model):
        return False
    manifest = registry.manifest(ref)
    for record in manifest.blobs.values():
        registry.blob(record)
    return True


def temporaries(root):
    return list(Path(root).rglob(".*"))


@pytest.mark.parametrize(
    ("how", "work", "every"), [("kill", publish, 1), ("interrupt", publish, 3), ("kill", publish_next, 3)]
)
def test_a_publisher_that_dies_at_any_write(tmp_path, how, work, every):
    root = tmp_path / "registry"
    registry = Registry(open_store(str(root)))
    seen = []
    for _ in crashes(how, root, work, str(root), every=every):
        whole = is_published_whole(registry)
        seen.append(whole)
        if how == "interrupt":
            assert len(temporaries(root)) <= 1
        # From here a second attempt must succeed, over whatever the first left behind.
        assert publish(str(root)).created is not whole
        assert is_published_whole(registry)
        assert [entry.ref for entry in registry.entries()] == [REF]
        shutil.rmtree(root)
    assert len(seen) * every > 25
    assert set(seen) == {True, False}


def test_a_publisher_that_dies_again_and_again_gets_there(tmp_path):
    """Nothing is cleaned between the deaths: each attempt meets the leftovers of all before it."""
    root = tmp_path / "registry"
    registry = Registry(open_store(str(root)))
    for _ in crashes("kill", root, publish, str(root)):
        is_published_whole(registry)
    assert is_published_whole(registry)
    assert [entry.ref for entry in registry.entries()] == [REF]


def test_the_index_catches_up_after_a_death_between_manifest_and_index(tmp_path):
    root = tmp_path / "registry"
    registry = Registry(open_store(str(root)))
    for _ in crashes("kill", root, publish, str(root)):
        if is_published_whole(registry) and not (root / "index").exists():
            break
    assert [entry.ref for entry in registry.entries()] == [REF]
    assert publish(str(root)).created is False
    assert (root / "index" / "me" / "net.json").exists()


@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_an_alias_is_set_or_not(tmp_path, how):
    root = tmp_path / "registry"
    registry = Registry(open_store(str(root)))
    seen = set()
    for _ in crashes(how, root, set_alias, str(root)):
        seen.add(registry.alias("n"))
        shutil.rmtree(root, ignore_errors=True)
    assert seen == {None, "me/net"}


def test_a_publisher_killed_at_any_moment(tmp_path):
    """No chosen point: the parent kills as soon as it has read an acknowledgement, while the next release is on."""
    for number in range(0, 5, 2):
        url = str(tmp_path / str(number))
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb", buffering=0) as acknowledgements:
            process = PROCESSES.Process(target=_publish_many_to, args=(url, PROCESSES.reducer.DupFd(writer)))
            process.start()
            os.close(writer)
            told = b""
            while told.count(b"\n") <= number:
                told += acknowledgements.read(1)
            process.kill()
            process.join()
            told += acknowledgements.read()
        registry = Registry(open_store(url))
        versions = registry.versions("me", "net")
        acknowledged = [f"1.{line}.0" for line in told.decode().split()]
        assert versions[: len(acknowledged)] == acknowledged
        assert len(versions) <= len(acknowledged) + 1
        assert all(is_published_whole(registry, ModelRef("me", "net", version)) for version in versions)


def _publish_many_to(url, duplicate):
    publish_many(url, duplicate.detach())


@pytest.mark.parametrize("deadly", [False, True])
def test_a_limit_on_file_size_hits_in_the_middle_of_a_blob(tmp_path, deadly):
    root = tmp_path / "registry"
    status, answer = with_full_disk(30_000, deadly, publish, str(root), CLASSES, 100_000)
    if deadly:
        assert status < 0
        assert [path.stat().st_size for path in temporaries(root)] == [30_000]
    else:
        assert status == 0
        name, kind, message = answer
        assert (name, kind) == ("StorageError", "no-space")
        assert "blobs/sha256/" in message
        assert "free some space" in message
        assert temporaries(root) == []
    registry = Registry(open_store(str(root)))
    assert not is_published_whole(registry)
    assert registry.store.list("releases") == []
    assert publish(str(root), CLASSES, 100_000).created
    assert is_published_whole(registry)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 KiB, where this machine and user may mount one."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a tiny disk needs root; the limit on file sizes covers the same code")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(tiny_disk):
    root = tiny_disk / "registry"
    with pytest.raises(StorageError, match=r"no space to write .*blobs/sha256/.*No space left on device") as caught:
        publish(str(root), CLASSES, 400_000)
    assert caught.value.kind == "no-space"
    assert temporaries(root) == []
    registry = Registry(open_store(str(root)))
    assert registry.versions("me", "net") == []
    assert publish(str(root), CLASSES, 50_000).created
    assert is_published_whole(registry)


def test_readers_beside_racing_publishers_see_whole_releases_only(tmp_path):
    url = str(tmp_path)
    work = [(url, "write", racer) for racer in range(4)] + [(url, "read", racer) for racer in range(2)]
    answers = race(_write_or_read, work)
    assert all(answer == "fine" for answer in answers)


def _write_or_read(url, what, racer):
    registry = Registry(open_store(url))
    for number in range(10):
        if what == "write":
            registry.publish(*release(version=f"{racer + 1}.{number}.0", seed=racer))
        else:
            for version in registry.versions("me", "net"):
                assert is_published_whole(registry, ModelRef("me", "net", version))
    return "fine"
