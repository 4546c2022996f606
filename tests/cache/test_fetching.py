"""From a store into the cache: streamed, several blobs at once, linked where that saves something, resumable."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import threading
from collections import Counter
from pathlib import Path

import pytest
from caches import blob_file, files_of, get, whole_modules
from crashing import in_process
from named import pins_of
from synthetic import release

from modhub.cache.cache import Cache
from modhub.cache.fetch import fetch_blob
from modhub.errors import IntegrityError, RegistryUnreachable
from modhub.installation.install import install_pinned
from modhub.limits import MIB
from modhub.registry.publication import versioned
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path, release_path
from modhub.spec.manifest import StoredBlob, write_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.store import Capabilities


class RemoteStore:
    """A local store that the cache cannot know to be one, and that counts what leaves it."""

    def __init__(self, root, parallel=4):
        self._store = LocalStore(root)
        self.capabilities = Capabilities(writable=False, parallel=parallel)
        self.url = str(root)
        self.left = Counter()

    def get(self, path, *, max_bytes):
        return self._store.get(path, max_bytes=max_bytes)

    def stream(self, path, *, max_bytes):
        for chunk in self._store.stream(path, max_bytes=max_bytes):
            self.left[path] += len(chunk)
            yield chunk

    def exists(self, path):
        return self._store.exists(path)

    def list(self, prefix):
        return self._store.list(prefix)


@pytest.fixture
def remote(registry):
    return Registry(RemoteStore(registry.store.root))


def weights_of(manifest):
    return manifest.blobs[manifest.content.origin.weights]


# Links


@pytest.fixture
def large(tmp_path):
    """A registry whose weights are worth a link, and its release."""
    registry = Registry(LocalStore(tmp_path / "large"))
    manifest, blobs = release(weights_bytes=MIB)
    registry.publish(manifest, blobs)
    return registry, manifest


def test_a_large_blob_of_a_local_registry_is_a_hard_link(large, cache):
    registry, manifest = large
    get(["me/net:cat"], registry, cache)
    source = registry.store.root / blob_path(weights_of(manifest).sha256)
    assert blob_file(cache, weights_of(manifest)).samefile(source)
    small = manifest.blobs[manifest.content.modules[0].blob]
    assert not blob_file(cache, small).samefile(registry.store.root / blob_path(small.sha256))
    shutil.rmtree(registry.store.root)
    assert whole_modules(cache) == ["me/net:cat@1.0.0"]


def test_the_starter_and_other_read_only_registries_are_copied_and_not_touched(large, cache):
    registry, manifest = large
    source = registry.store.root / blob_path(weights_of(manifest).sha256)
    os.utime(source, (1, 1))
    get(["me/net:cat"], Registry(LocalStore(registry.store.root, writable=False)), cache)
    assert not blob_file(cache, weights_of(manifest)).samefile(source)
    assert source.stat().st_mtime == 1


def test_another_file_system_is_copied_from(large, tmp_path):
    registry, manifest = large
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system")
    root = memory / f"{tmp_path.name}-{os.getpid()}"
    try:
        cache = Cache(root)
        get(["me/net:cat"], registry, cache)
        assert blob_file(cache, weights_of(manifest)).stat().st_nlink == 1
        assert whole_modules(cache) == ["me/net:cat@1.0.0"]
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize("inside", [True, False], ids=["inside the registry", "out of it"])
def test_a_symbolic_link_in_the_registry_is_never_linked_to(large, cache, tmp_path, inside):
    registry, manifest = large
    source = registry.store.root / blob_path(weights_of(manifest).sha256)
    elsewhere = (registry.store.root if inside else tmp_path) / "elsewhere"
    source.rename(elsewhere)
    source.symlink_to(elsewhere)
    if inside:
        get(["me/net:cat"], registry, cache)
        assert not blob_file(cache, weights_of(manifest)).is_symlink()
        assert blob_file(cache, weights_of(manifest)).stat().st_nlink == 1
    else:
        with pytest.raises(IntegrityError, match="leads out of"):
            get(["me/net:cat"], registry, cache)


@pytest.mark.parametrize("damage", ["truncated", "padded", "zeroed", "swapped"])
def test_a_damaged_file_is_not_linked_to(large, cache, damage):
    registry, manifest = large
    source = registry.store.root / blob_path(weights_of(manifest).sha256)
    data = source.read_bytes()
    source.write_bytes(
        {"truncated": data[:-1], "padded": data + b"\0", "zeroed": bytes(len(data)), "swapped": data[::-1]}[damage]
    )
    with pytest.raises(IntegrityError, match=str(source)) as caught:
        get(["me/net:cat"], registry, cache)
    assert caught.value.kind == damage
    assert not blob_file(cache, weights_of(manifest)).exists()
    assert not list(cache.root.rglob(".*"))


def test_damage_to_a_linked_file_hurts_both_and_is_repaired_by_publishing_and_installing_again(large, cache):
    """What a link costs: something other than modhub that writes into the cache's file writes into the registry's."""
    registry, manifest = large
    get(["me/net:cat"], registry, cache)
    blob_file(cache, weights_of(manifest)).write_bytes(bytes(MIB))
    with pytest.raises(IntegrityError, match="publish the same release again") as caught:
        get(["me/net:cat"], registry, cache)
    assert caught.value.kind == "zeroed"
    registry.publish(*release(weights_bytes=MIB))
    [result] = get(["me/net:cat"], registry, cache)
    assert (result.already, result.fetched > MIB) == (False, True)
    assert whole_modules(cache) == ["me/net:cat@1.0.0"]


def test_a_damaged_copy_is_replaced_by_a_link(large, cache):
    registry, manifest = large
    get(["me/net:cat"], registry, cache)
    file = blob_file(cache, weights_of(manifest))
    file.unlink()
    file.write_bytes(bytes(MIB))
    get(["me/net:cat"], registry, cache)
    assert file.samefile(registry.store.root / blob_path(weights_of(manifest).sha256))


def test_linking_what_is_linked_already_leaves_nothing_behind(large, cache):
    """Renaming one name of a file to another does nothing, so the temporary name has to go."""
    registry, manifest = large
    for _ in range(2):
        fetch_blob(registry, weights_of(manifest), cache)
    assert list(files_of(cache)) == [blob_path(weights_of(manifest).sha256)]


def test_a_linked_blob_is_young_however_old_the_registry(large, cache):
    registry, manifest = large
    source = registry.store.root / blob_path(weights_of(manifest).sha256)
    os.utime(source, (1, 1))
    fetch_blob(registry, weights_of(manifest), cache)
    assert cache.prune(max_size=0).files == ()
    assert cache.holds(weights_of(manifest))


# Streams


def test_bytes_are_counted_while_they_come(tmp_path, cache):
    registry = Registry(LocalStore(tmp_path / "registry"))
    for name in ("me/one", "me/two"):
        registry.publish(*release(name, weights_bytes=9 * MIB))
    seen = []
    lock = threading.Lock()

    def progress(label, done, total):
        assert lock.acquire(blocking=False), "two threads report at once"
        seen.append((label, done, total))
        # Long enough, and without the interpreter's lock, for another thread to come here.
        hashlib.sha256(bytes(4 * MIB))
        lock.release()

    get(["me/one:cat", "me/two:dog"], Registry(RemoteStore(registry.store.root)), cache, progress)
    total = 2 * 9 * MIB + 300 + 301
    assert {label for label, _, _ in seen} == {"installing me/one@1.0.0", "installing me/two@1.0.0"}
    assert {each for _, _, each in seen} == {total}
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts)
    assert counts[-1] == total
    assert len(counts) == 2 * 3 + 2, "a large blob is reported several times"


def test_what_an_interrupted_installation_brought_is_not_fetched_again(registry, remote, cache):
    manifest, _ = release()
    missing = registry.store.root / blob_path(manifest.blobs[manifest.content.modules[2].blob].sha256)
    data = missing.read_bytes()
    missing.unlink()
    with pytest.raises(IntegrityError, match="is missing although a release needs it"):
        get(["me/net"], remote, cache)
    assert whole_modules(cache) == ["me/net:cat@1.0.0", "me/net:dog@1.0.0"]
    missing.write_bytes(data)
    again = Registry(RemoteStore(registry.store.root))
    results = get(["me/net"], again, cache)
    assert [result.already for result in results] == [True, True, False]
    assert dict(again.store.left) == {blob_path(manifest.blobs[manifest.content.modules[2].blob].sha256): len(data)}


def test_as_many_at_once_as_the_store_can(registry, cache):
    """All three begin before any ends, or the barrier breaks."""
    barrier = threading.Barrier(3)

    class Store(RemoteStore):
        def stream(self, path, *, max_bytes):
            barrier.wait(timeout=30)
            yield from super().stream(path, max_bytes=max_bytes)

    pins = pins_of(["me/net:cat", "me/net:dog"], [registry], {})
    assert len(install_pinned(pins, [Registry(Store(registry.store.root, parallel=3))], cache)) == 2


def test_one_blob_that_two_releases_share_is_fetched_once(tmp_path, cache):
    registry = Registry(LocalStore(tmp_path / "registry"))
    manifest, blobs = release()
    registry.publish(manifest, blobs)
    registry.publish(versioned(manifest, "1.1.0"), blobs)
    remote = Registry(RemoteStore(registry.store.root))
    results = get(["me/net:cat@1.0.0", "me/net:cat@1.1.0"], remote, cache)
    assert set(remote.store.left.values()) == {5000, 300}
    assert [result.fetched > 5300 for result in results] == [True, False]
    assert whole_modules(cache) == ["me/net:cat@1.0.0", "me/net:cat@1.1.0"]


def test_a_store_that_fails_fails_the_installation_and_leaves_what_came(registry, cache):
    class Store(RemoteStore):
        def stream(self, path, *, max_bytes):
            if path == blob_path(release()[0].blobs[release()[0].content.modules[1].blob].sha256):
                raise RegistryUnreachable("the line is dead.")
            return super().stream(path, max_bytes=max_bytes)

    with pytest.raises(RegistryUnreachable, match="the line is dead"):
        get(["me/net:cat", "me/net:dog"], Registry(Store(registry.store.root)), cache)
    assert whole_modules(cache) == ["me/net:cat@1.0.0"]
    assert not list(cache.root.rglob(".*"))


def test_an_interrupt_ends_what_other_threads_fetch(registry, cache):
    """One stream never ends by itself; the interrupt, which comes as from Ctrl-C, ends it all the same."""
    record = weights_of(release()[0])
    endless = threading.Event()

    class Store(RemoteStore):
        def stream(self, path, *, max_bytes):
            if path != blob_path(record.sha256):
                endless.wait(timeout=30)
                raise KeyboardInterrupt
            while True:
                endless.set()
                yield b""

    with pytest.raises(KeyboardInterrupt):
        get(["me/net:cat"], Registry(Store(registry.store.root)), cache)
    assert not list(cache.root.rglob(".tmp-*"))


def _largest(root, folder, record, name):
    """How much the largest memory of this process grew by installing, in bytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    registry = Registry(LocalStore(root, writable=name == "linked"))
    cache = Cache(folder)
    for _ in range(2):
        [result] = get(["me/net:cat"], registry, cache)
    assert result.already
    assert blob_file(cache, record).stat().st_nlink == (2 if name == "linked" else 1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


@pytest.mark.parametrize("name", ["copied", "linked"])
def test_memory_does_not_grow_with_the_blob(tmp_path, name):
    """100 MiB are fetched, and then hashed again, within 64 MiB."""
    store = LocalStore(tmp_path / "registry")
    registry = Registry(store)
    manifest, blobs = release()
    registry.publish(manifest, blobs)
    size = 100 * MIB
    with (tmp_path / "zeros").open("w+b") as file:
        file.truncate(size)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    record = StoredBlob(sha256=f"sha256:{digest}", size=size, decoded_size=size)
    (store.root / blob_path(record.sha256)).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "zeros").rename(store.root / blob_path(record.sha256))
    big = manifest.model_copy(update={"blobs": {**manifest.blobs, manifest.content.origin.weights: record}})
    store.replace(release_path(ModelRef("me", "net", "1.0.0")), write_manifest(big))
    status, grown = in_process(_largest, str(store.root), str(tmp_path / "cache"), record, name)
    assert status == 0
    assert grown < 64 * MIB, grown
