"""From a registry into the cache: only what was asked for, verified, and enough without the registry afterwards."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from crashing import race
from named import pins_of
from synthetic import release

from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.cache.markers import Installed
from modhub.errors import Conflict, IntegrityError, NotFound, StorageError
from modhub.installation.install import install_pinned
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModuleRef
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

CLASSES = ("cat", "dog", "potter's wheel")


class CountingStore(LocalStore):
    """A local store that counts the bytes that leave it, by path."""

    def __init__(self, root):
        super().__init__(root)
        self.left = Counter()

    def get(self, path, *, max_bytes):
        data = super().get(path, max_bytes=max_bytes)
        self.left[path] += len(data)
        return data

    def stream(self, path, *, max_bytes):
        for chunk in super().stream(path, max_bytes=max_bytes):
            self.left[path] += len(chunk)
            yield chunk


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def registry(tmp_path):
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*release())
    registry.set_alias("n", "me/net")
    return registry


def get(names, registries, cache, progress=None):
    registries = [registries] if isinstance(registries, Registry) else registries
    return install_pinned(pins_of(names, [*registries, CacheCatalog(cache)], {}), registries, cache, progress)


def blob_file(cache, record):
    return cache.root / blob_path(record.sha256)


def files_of(cache):
    return sorted(path.relative_to(cache.root).as_posix() for path in cache.root.rglob("*") if path.is_file())


def test_installing_one_class_fetches_one_weights_blob_and_its_own(registry, cache):
    store = CountingStore(registry.store.root)
    counting = Registry(store)
    pins = pins_of(["me/net:dog"], [counting], {})
    store.left.clear()
    [result] = install_pinned(pins, [counting], cache)
    manifest, blobs = release()
    wanted = [manifest.content.origin.weights, manifest.content.modules[1].blob]
    expected = {blob_path(manifest.blobs[key].sha256): manifest.blobs[key].size for key in wanted}
    path = "releases/me/net/1.0.0.json"
    assert store.left == expected | {path: (registry.store.root / path).stat().st_size}
    assert result.fetched == sum(store.left.values())
    assert result == Installed(
        ModuleRef("me", "net", "dog", "1.0.0"), "dog", manifest.digest, registry.url, result.fetched, already=False
    )
    assert cache.manifest(manifest.digest) == manifest
    for key in wanted:
        assert cache.blob(manifest.blobs[key]).stored == blobs[manifest.blobs[key].sha256]
    with pytest.raises(NotFound, match="modhub install") as caught:
        cache.blob(manifest.blobs[manifest.content.modules[0].blob])
    assert caught.value.kind == "not-installed"


def test_the_next_class_costs_its_own_blob_and_the_manifest(registry, cache):
    get(["n:cat"], registry, cache)
    store = CountingStore(registry.store.root)
    [result] = get(["me/net:dog"], Registry(store), cache)
    record = release()[0].blobs[release()[0].content.modules[1].blob]
    assert {path: size for path, size in store.left.items() if path.startswith("blobs")} == {
        blob_path(record.sha256): record.size
    }
    assert result.fetched < 5000


def test_what_is_there_costs_nothing(registry, cache):
    first = get(["me/net"], registry, cache)
    assert [result.already for result in first] == [False] * 3
    before = files_of(cache)
    store = CountingStore(registry.store.root)
    again = get(["me/net"], Registry(store), cache)
    assert [(result.already, result.fetched) for result in again] == [(True, 0)] * 3
    assert not any(path.startswith("blobs") for path in store.left)
    assert files_of(cache) == before


def test_the_bytes_are_shared_out_among_the_modules(registry, cache):
    store = CountingStore(registry.store.root)
    pins = pins_of(["me/net"], [Registry(store)], {})
    store.left.clear()
    results = install_pinned(pins, [Registry(store)], cache)
    assert sum(result.fetched for result in results) == sum(store.left.values())
    assert [result.fetched for result in results[1:]] == [301, 302]


def test_results_follow_the_request(registry, cache):
    results = get(["n:potter's wheel", "me/net:cat", "n:cat"], registry, cache)
    assert [result.name for result in results] == ["potter's wheel", "cat", "cat"]
    assert [str(result.ref) for result in cache.installed()] == ["me/net:cat@1.0.0", "me/net:potters-wheel@1.0.0"]


def test_progress_counts_bytes(registry, cache):
    seen = []
    get(["me/net"], registry, cache, lambda label, done, total: seen.append((label, done, total)))
    assert {label for label, _, _ in seen} == {"installing me/net@1.0.0"}
    assert [done for _, done, _ in seen] == [5000, 5300, 5601, 5903]
    assert {total for _, _, total in seen} == {5903}


def test_everything_works_after_the_registry_is_gone(registry, cache):
    get(["n:cat", "me/net:dog"], registry, cache)
    shutil.rmtree(registry.store.root)
    catalog = CacheCatalog(cache)
    pins = pins_of(["n:cat", "me:dog", "me/net:cat@^1"], [catalog], {})
    assert [str(pin.ref) for pin in pins] == ["me/net:cat@1.0.0", "me/net:dog@1.0.0", "me/net:cat@1.0.0"]
    results = install_pinned(pins, [], cache)
    assert [(result.already, result.fetched, result.registry) for result in results] == [(True, 0, registry.url)] * 3
    manifest = cache.manifest(results[0].digest)
    for module in manifest.content.modules[:2]:
        assert cache.blob(manifest.blobs[module.blob])
    # The class that was never installed is not promised, although the manifest names it.
    assert [str(pin.ref) for pin in pins_of(["me/net"], [catalog], {})] == ["me/net:cat@1.0.0", "me/net:dog@1.0.0"]
    with pytest.raises(NotFound, match="has no class 'potters-wheel'"):
        pins_of(["me/net:potters-wheel"], [catalog], {})
    assert (catalog.versions("me", "net"), catalog.models(), catalog.models("you")) == (["1.0.0"], ["me/net"], [])
    assert (catalog.alias_names(), catalog.alias("n"), catalog.alias("m")) == (["n"], "me/net", None)


def test_an_empty_cache_is_an_empty_catalog(cache):
    assert cache.installed() == []
    with pytest.raises(NotFound, match="not in any of the registries searched: the cache"):
        pins_of(["n:cat"], [CacheCatalog(cache)], {})


DAMAGES = {
    "truncated": lambda data: data[:-1],
    "padded": lambda data: data + b"\0",
    "zeroed": lambda data: bytes(len(data)),
    "swapped": lambda data: data[::-1],
    "missing": None,
}


@pytest.mark.parametrize("which", ["weights", "module"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_noticed_and_repaired_by_installing_again(registry, cache, which, damage):
    get(["n:cat"], registry, cache)
    manifest, blobs = release()
    content = manifest.content
    record = manifest.blobs[content.origin.weights if which == "weights" else content.modules[0].blob]
    file = blob_file(cache, record)
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(NotFound if damage == "missing" else IntegrityError) as caught:
        cache.blob(record)
    assert caught.value.kind == ("not-installed" if damage == "missing" else damage)
    assert str(file) in str(caught.value)
    assert "install it again: modhub install" in str(caught.value)
    offline = pins_of(["n:cat"], [CacheCatalog(cache)], {})
    with pytest.raises((NotFound, IntegrityError)):
        install_pinned(offline, [], cache)
    [result] = get(["n:cat"], registry, cache)
    assert (result.already, result.fetched > record.size) == (False, True)
    assert cache.blob(record).stored == blobs[record.sha256]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", None])
def test_a_damaged_cached_manifest_is_noticed_and_repaired(registry, cache, damage):
    get(["n:cat"], registry, cache)
    digest = release()[0].digest
    [file] = (cache.root / "manifests").rglob("*.json")
    file.unlink() if damage is None else file.write_bytes(damage)
    with pytest.raises(NotFound if damage is None else IntegrityError, match="install it again"):
        cache.manifest(digest)
    [result] = get(["n:cat"], registry, cache)
    assert not result.already
    assert cache.manifest(digest) == release()[0]


def test_a_manifest_under_another_digest_is_refused(registry, cache):
    registry.publish(*release(version="1.1.0", seed=1))
    get(["n:cat@1.0.0", "n:cat@1.1.0"], registry, cache)
    one, other = sorted((cache.root / "manifests").rglob("*.json"))
    shutil.copy(one, other)
    digest = "sha256:" + other.parent.name
    with pytest.raises(IntegrityError, match="is another release's") as caught:
        cache.manifest(digest)
    assert caught.value.kind == "swapped"


def test_a_damaged_marker_is_noticed_and_repaired(registry, cache):
    get(["n:cat"], registry, cache)
    [file] = (cache.root / "installed").rglob("cat.json")
    file.write_bytes(file.read_bytes().replace(b"me/net:cat", b"me/net:dog"))
    with pytest.raises(IntegrityError, match=r"cat\.json"):
        cache.installed()
    get(["n:cat"], registry, cache)
    assert [result.name for result in cache.installed()] == ["cat"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_bad_comes_in_from_a_registry(registry, cache, damage):
    manifest, _ = release()
    record = manifest.blobs[manifest.content.modules[1].blob]
    file = registry.store.root / blob_path(record.sha256)
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(IntegrityError, match=record.sha256[9:]):
        get(["n:cat", "n:dog"], registry, cache)
    # The class before it is whole; of the bad one nothing is to be seen.
    assert [result.name for result in cache.installed()] == ["cat"]
    assert not blob_file(cache, record).exists()


def test_a_release_that_changed_after_it_was_resolved_is_refused(registry, cache):
    pins = pins_of(["n:cat"], [registry], {})
    (registry.store.root / "releases/me/net/1.0.0.json").unlink()
    registry.publish(*release(seed=5))
    with pytest.raises(IntegrityError, match="releases never change") as caught:
        install_pinned(pins, [registry], cache)
    assert caught.value.kind == "release-changed"
    assert pins[0].digest in str(caught.value)
    assert release(seed=5)[0].digest in str(caught.value)
    assert cache.installed() == []


def test_a_pin_of_a_registry_that_was_not_given(registry, cache):
    pins = pins_of(["n:cat"], [registry], {})
    with pytest.raises(NotFound, match="which is not among the registries given"):
        install_pinned(pins, [], cache)


def test_two_registries_that_store_one_content_in_different_bytes(registry, cache, tmp_path):
    other = Registry(LocalStore(tmp_path / "other"))
    other.publish(*release(stored_seed=1))
    get(["me/net:cat"], registry, cache)
    get(["me/net:dog"], other, cache)
    manifest = cache.manifest(release()[0].digest)
    content = manifest.content
    for key in (content.origin.weights, content.modules[0].blob, content.modules[1].blob):
        assert cache.blob(manifest.blobs[key])
    assert [result.registry for result in cache.installed()] == [registry.url, other.url]


def test_two_contents_under_one_name_are_distinguished(registry, cache, tmp_path):
    other = Registry(LocalStore(tmp_path / "other"))
    other.publish(*release(seed=9))
    get(["me/net:cat"], registry, cache)
    get(["me/net:cat"], other, cache)
    assert sorted(result.digest for result in cache.installed()) == sorted(
        [release()[0].digest, release(seed=9)[0].digest]
    )
    with pytest.raises(Conflict, match="different content") as caught:
        pins_of(["me/net:cat"], [CacheCatalog(cache)], {})
    assert caught.value.kind == "ambiguous-release"
    assert pins_of(["me/net:cat"], [other, CacheCatalog(cache)], {})[0].digest == release(seed=9)[0].digest


def test_a_cache_path_that_is_a_file(registry, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file")
    with pytest.raises(StorageError, match="MODHUB_CACHE") as caught:
        install_pinned(pins_of(["n:cat"], [registry], {}), [registry], cache)
    assert str(tmp_path / "file") in str(caught.value)


def test_a_link_out_of_the_cache_is_not_followed(registry, cache, tmp_path):
    get(["n:cat"], registry, cache)
    record = release()[0].blobs[release()[0].content.origin.weights]
    file = blob_file(cache, record)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="leads out of"):
        cache.blob(record)


def _install(url, root, names):
    registry, cache = Registry(open_store(url)), Cache(root)
    return [str(result.ref) for result in get(names, registry, cache)]


def test_processes_that_install_at_once_lose_nothing_of_each_other(tmp_path):
    classes = [f"class {number}" for number in range(8)]
    registry = Registry(LocalStore(tmp_path / "registry"))
    registry.publish(*release(classes=classes, weights_bytes=500_000))
    for turn in range(3):
        root = tmp_path / f"cache{turn}"
        race(_install, [(registry.url, str(root), [f"me/net:{name}"]) for name in classes])
        cache = Cache(root)
        assert [result.name for result in cache.installed()] == classes
        manifest = cache.manifest(cache.installed()[0].digest)
        assert all(cache.holds(record) for record in manifest.blobs.values())
        assert not list(Path(root).rglob(".*"))
