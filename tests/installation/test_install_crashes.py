"""An installer that dies, is interrupted or finds the disk full at any write leaves nothing half done to be seen."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from crashing import crashes, with_full_disk
from named import pins_of
from synthetic import release

from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.errors import StorageError
from modhub.installation.install import install_pinned
from modhub.registry.writer import Registry
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

NAMES = ["n:cat", "me/net:dog"]


@pytest.fixture
def registry(tmp_path):
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*release(weights_bytes=50_000))
    registry.set_alias("n", "me/net")
    return registry


def run(url, root):
    registry, cache = Registry(open_store(url)), Cache(root)
    return [result.name for result in install_pinned(pins_of(NAMES, [registry], {}), [registry], cache)]


def whole_classes(cache):
    """The classes that count as installed, each of which must be usable from the cache alone."""
    names = []
    for installed in cache.installed():
        manifest = cache.manifest(installed.digest)
        module = next(module for module in manifest.content.modules if module.slug == installed.ref.cls)
        cache.blob(manifest.blobs[manifest.content.origin.weights])
        cache.blob(manifest.blobs[module.blob])
        assert install_pinned(pins_of([str(installed.ref)], [CacheCatalog(cache)], {}), [], cache)
        names.append(installed.name)
    return names


@pytest.mark.parametrize(("how", "every"), [("kill", 1), ("interrupt", 3)], ids=["kill", "interrupt"])
@pytest.mark.parametrize("fresh", [True, False], ids=["each time afresh", "over all leftovers"])
def test_an_installer_that_dies_at_any_write(registry, tmp_path, how, every, fresh):
    cache = Cache(tmp_path / "cache")
    seen = []
    for _ in crashes(how, cache.root, run, registry.url, str(cache.root), every=every):
        seen.append(whole_classes(cache))
        if fresh:
            assert run(registry.url, str(cache.root)) == ["cat", "dog"]
            assert whole_classes(cache) == ["cat", "dog"]
            shutil.rmtree(cache.root)
    if fresh:
        assert len(seen) * every > 15
        # The marker of the last is the last write, so nobody dies after it.
        assert [names for number, names in enumerate(seen) if names not in seen[:number]] == [[], ["cat"]]
    assert run(registry.url, str(cache.root)) == ["cat", "dog"]
    assert whole_classes(cache) == ["cat", "dog"]


@pytest.mark.parametrize("deadly", [False, True])
def test_a_limit_on_file_size_hits_in_the_middle_of_the_weights(registry, tmp_path, deadly):
    cache = Cache(tmp_path / "cache")
    status, answer = with_full_disk(20_000, deadly, run, registry.url, str(cache.root))
    halves = [path.stat().st_size for path in cache.root.rglob(".tmp-*")]
    if deadly:
        assert status < 0
        assert halves == [20_000]
    else:
        assert answer[:2] == ("StorageError", "no-space")
        assert "blobs/sha256/" in answer[2]
        assert "MODHUB_CACHE" in answer[2]
        assert halves == []
    assert whole_classes(cache) == []
    assert run(registry.url, str(cache.root)) == ["cat", "dog"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny disk needs root; see the limit above")
def test_a_full_disk(registry, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode().strip()}")
    try:
        cache = Cache(folder / "cache")
        with pytest.raises(StorageError, match="No space left on device") as caught:
            run(registry.url, str(cache.root))
        assert caught.value.kind == "no-space"
        assert cache.installed() == []
        assert list(Path(folder).rglob(".tmp-*")) == []
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
