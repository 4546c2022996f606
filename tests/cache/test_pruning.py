"""Pruning deletes what nobody needs and nobody touched, and gives back what somebody needs by then."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

import pytest
from caches import HOUR, blob_file, files_of, get, make_older, whole_modules
from synthetic import release

from modhub.cache import prune
from modhub.cache.cache import Cache
from modhub.errors import IntegrityError, StorageError
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path
from modhub.storage.local import LocalStore

CAT, DOG, WHEEL = (f"me/net:{slug}@1.0.0" for slug in ("cat", "dog", "potters-wheel"))


def names(pruned):
    return [str(ref) for ref in pruned.modules]


def uninstall(cache, slug):
    """As if that class had been pruned away by somebody who died at once."""
    [marker] = (cache.root / "installed").rglob(f"{slug}.json")
    marker.unlink()


def use(cache, slug, hours_ago):
    """Let that class have been used so long ago."""
    [marker] = (cache.root / "installed").rglob(f"{slug}.json")
    os.utime(marker)
    make_older(marker.parent, hours_ago * HOUR, f"{slug}.json")


# What is deleted


def test_nothing_is_deleted_that_an_installed_module_needs(registry, cache):
    get(["n:cat", "n:dog"], registry, cache)
    make_older(cache.root, 100 * HOUR)
    before = files_of(cache)
    assert cache.prune().files == ()
    assert files_of(cache) == before
    assert whole_modules(cache) == [CAT, DOG]


def test_an_empty_cache_stays_one(cache):
    assert cache.prune(max_size=0) == prune.Pruned()
    assert not cache.root.exists()


def test_what_no_module_needs_is_deleted(registry, cache):
    get(["me/net"], registry, cache)
    uninstall(cache, "dog")
    make_older(cache.root, 2 * HOUR)
    manifest, _ = release()
    record = manifest.blobs[manifest.content.modules[1].blob]
    size = cache.size()
    would = cache.prune(dry_run=True)
    assert (would.files, would.freed, would.left) == ((blob_path(record.sha256),), record.size, size - record.size)
    assert cache.holds(record)
    assert cache.prune() == would
    assert not blob_file(cache, record).exists()
    assert cache.size() == would.left
    assert whole_modules(cache) == [CAT, WHEEL]


def test_with_its_last_module_a_release_goes(registry, cache):
    get(["n:cat"], registry, cache)
    digest = cache.installed()[0].digest
    cache.add_signature(digest, "ab" * 32, b"a signature")
    uninstall(cache, "cat")
    make_older(cache.root, 2 * HOUR)
    assert len(cache.prune().files) == 4
    # The alias costs nothing, and the model may come back.
    assert list(files_of(cache)) == ["aliases/n.json"]


def test_the_signatures_of_what_is_installed_stay(registry, cache):
    get(["n:cat"], registry, cache)
    digest = cache.installed()[0].digest
    cache.add_signature(digest, "ab" * 32, b"a signature")
    make_older(cache.root, 2 * HOUR)
    assert cache.prune().files == ()
    assert cache.signature(digest, "ab" * 32) == b"a signature"
    assert cache.signature(digest, "cd" * 32) is None


def test_what_was_touched_within_the_hour_stays(registry, cache):
    get(["me/net"], registry, cache)
    make_older(cache.root, 2 * HOUR)
    uninstall(cache, "dog")
    manifest, _ = release()
    record = manifest.blobs[manifest.content.modules[1].blob]
    assert cache.touch_blob(record)
    pruned = cache.prune()
    assert (pruned.files, pruned.waiting) == ((), record.size)
    assert cache.holds(record)


def test_what_dead_writers_left_behind_goes_after_a_day(registry, cache):
    get(["n:cat"], registry, cache)
    folder = next((cache.root / "blobs" / "sha256").iterdir())
    (folder / ".tmp-1-ab-0").write_bytes(b"old")
    make_older(folder, 25 * HOUR, ".tmp-*")
    (folder / ".tmp-2-cd-0").write_bytes(b"young")
    pruned = cache.prune()
    assert pruned.files == (f"blobs/sha256/{folder.name}/.tmp-1-ab-0",)
    assert [path.name for path in cache.root.rglob(".*")] == [".tmp-2-cd-0"]


def test_what_others_put_into_the_folder_is_left_alone(registry, cache):
    get(["n:cat"], registry, cache)
    for path in (
        "notes.txt",
        "blobs/notes.txt",
        "blobs/sha256/ab/short",
        "manifests/x.json",
        "other/deep/file",
        ".x",
        "blobs/a b\n/c",
    ):
        (cache.root / path).parent.mkdir(parents=True, exist_ok=True)
        (cache.root / path).write_text("mine")
    (cache.root / "blobs" / "sha256" / "cd").mkdir(exist_ok=True)
    (cache.root / "blobs" / "sha256" / "cd" / ("e" * 62)).symlink_to(cache.root / "notes.txt")
    uninstall(cache, "cat")
    make_older(cache.root, 100 * HOUR)
    cache.prune(max_size=0)
    left = set(files_of(cache))
    assert left == {
        "aliases/n.json", "notes.txt", "blobs/notes.txt", "blobs/sha256/ab/short", "manifests/x.json",
        "other/deep/file", ".x", "blobs/a b\n/c", f"blobs/sha256/cd/{'e' * 62}",
    }  # fmt: skip


# Modules that have to go for a size


def test_the_least_recently_used_go_first(registry, cache):
    get(["me/net"], registry, cache)
    make_older(cache.root, 9 * HOUR)
    for slug, hours in (("cat", 5), ("dog", 7), ("potters-wheel", 6)):
        use(cache, slug, hours)
    size = cache.size()
    pruned = cache.prune(max_size=size - 1)
    assert names(pruned) == [DOG]
    assert names(cache.prune(max_size=size - 1000)) == [WHEEL]
    assert whole_modules(cache) == [CAT]
    assert names(cache.prune(max_size=0)) == [], "it was used just now"


def test_enough_and_no_more(registry, cache):
    get(["me/net"], registry, cache)
    make_older(cache.root, 9 * HOUR)
    assert names(cache.prune(max_size=cache.size())) == []
    everything = cache.prune(max_size=0, dry_run=True)
    assert names(everything) == [CAT, DOG, WHEEL]
    assert (everything.freed, everything.left) == (cache.size(), 0)


def test_using_a_module_keeps_it(registry, cache):
    get(["me/net"], registry, cache)
    digest = cache.installed()[0].digest
    make_older(cache.root, 9 * HOUR)
    get(["me/net:dog"], registry, cache)
    assert cache.used(cache.installed()[2].ref, digest)
    assert names(cache.prune(max_size=0)) == [CAT]
    assert whole_modules(cache) == [DOG, WHEEL]


def test_a_module_that_is_gone_cannot_be_used(registry, cache):
    get(["n:cat"], registry, cache)
    installed = cache.installed()[0]
    uninstall(cache, "cat")
    assert not cache.used(installed.ref, installed.digest)


def test_releases_share_what_they_share(tmp_path, cache):
    """A blob goes with the last of its users."""
    registry = Registry(LocalStore(tmp_path / "registry"))
    for name in ("me/one", "me/two"):
        registry.publish(*release(name))
    get(["me/one", "me/two"], registry, cache)
    make_older(cache.root, 9 * HOUR)
    one = next(release for release in cache.releases() if release.ref.model == "one")
    get(["me/two"], registry, cache)
    pruned = cache.prune(max_size=0)
    assert {ref.model for ref in pruned.modules} == {"one"}
    assert pruned.freed == one.size
    assert [name.split(":")[0] for name in whole_modules(cache)] == ["me/two"] * 3


# What is unknown


@pytest.mark.parametrize("damage", [b"", None], ids=["damaged", "missing"])
def test_with_a_damaged_manifest_nothing_is_deleted(registry, cache, damage):
    get(["n:cat", "n:dog"], registry, cache)
    uninstall(cache, "dog")
    make_older(cache.root, 9 * HOUR)
    [file] = (cache.root / "manifests").rglob("*.json")
    file.unlink() if damage is None else file.write_bytes(damage)
    before = files_of(cache)
    with pytest.raises(IntegrityError, match=r"it is unknown what me/net@1\.0\.0 needs") as caught:
        cache.prune(max_size=0)
    assert caught.value.kind == "unknown-needs"
    assert str(caught.value).endswith("Hint: install it again: modhub install me/net:cat@1.0.0")
    assert files_of(cache) == before
    get(["n:cat"], registry, cache)
    assert len(cache.prune().files) == 1
    assert whole_modules(cache) == [CAT]


def test_a_damaged_manifest_beside_a_good_one_counts_for_nothing(registry, cache, tmp_path):
    other = Registry(LocalStore(tmp_path / "other"))
    other.publish(*release(stored_seed=1))
    get(["me/net:cat"], registry, cache)
    get(["me/net:dog"], other, cache)
    files = sorted((cache.root / "manifests").rglob("*.json"))
    files[0].write_bytes(b"")
    make_older(cache.root, 9 * HOUR)
    pruned = cache.prune()
    assert files[0].relative_to(cache.root).as_posix() in pruned.files
    assert cache.manifest(cache.installed()[0].digest)


# Beside others


@pytest.fixture
def merciless(monkeypatch):
    """No grace: every file that nobody needs at this moment is old enough."""
    monkeypatch.setattr(prune, "GRACE", -HOUR)


class PruningStore(LocalStore):
    """A registry during each of whose reads somebody prunes the cache."""

    def __init__(self, root, cache, times, max_size=None):
        super().__init__(root)
        self._prune = cache, max_size
        self.times = times
        self.pruned = []

    def stream(self, path, *, max_bytes):
        if self.times:
            self.times -= 1
            cache, max_size = self._prune
            # It gives up when the last one took the manifest of a module that is marked by now.
            with suppress(IntegrityError):
                self.pruned += Cache(cache.root).prune(max_size=max_size).files
        return super().stream(path, max_bytes=max_bytes)


@pytest.mark.parametrize("max_size", [None, 0])
@pytest.mark.parametrize("names", [["n:cat"], ["n:cat", "n:dog", "n:potters-wheel"]], ids=len)
def test_what_is_pruned_from_under_an_installation_is_fetched_again(registry, cache, merciless, max_size, names):
    store = PruningStore(registry.store.root, cache, 4, max_size)
    seen = []
    results = get(names, Registry(store), cache, lambda label, done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert len(set(seen[-1])) == 1
    assert len(store.pruned) >= 2, "nothing was taken away, so nothing was shown"
    assert len(results) == len(whole_modules(cache)) == len(names)


def test_an_installation_that_cannot_win_says_so(registry, cache):
    class Store(LocalStore):
        """Whenever a blob is read, somebody deletes all that the cache has."""

        def stream(self, path, *, max_bytes):
            for other in cache.root.rglob("[!.]*"):
                if other.is_file():
                    other.unlink()
            return super().stream(path, max_bytes=max_bytes)

    with pytest.raises(StorageError, match="disappears from the cache") as caught:
        get(["n:cat", "n:dog"], Registry(Store(registry.store.root)), cache)
    assert caught.value.kind == "unstable-cache"
    assert str(cache.root) in str(caught.value)
    assert "MODHUB_CACHE" in str(caught.value)


def between(monkeypatch, action):
    """Let ``action`` happen once when pruning has set everything aside, before it looks at the markers again."""
    looked = prune._needed_now
    waiting = [action]

    def and_then(*arguments):
        if waiting:
            waiting.pop()()
        return looked(*arguments)

    monkeypatch.setattr(prune, "_needed_now", and_then)


def test_what_is_installed_while_its_files_are_set_aside_is_whole(registry, cache, monkeypatch):
    get(["me/net"], registry, cache)
    uninstall(cache, "dog")
    make_older(cache.root, 9 * HOUR)
    between(monkeypatch, lambda: get(["n:dog"], registry, cache))
    cache.prune(max_size=0)
    assert DOG in whole_modules(cache)
    assert not list(cache.root.rglob(".*"))


@pytest.mark.parametrize("slugs", [("dog",), ("cat", "dog", "potters-wheel")], ids=len)
def test_a_marker_that_appears_while_files_are_set_aside_gets_them_back(registry, cache, monkeypatch, slugs):
    """As from an installer that looked at the files before they were set aside and has only the marker to write."""
    get(["me/net"], registry, cache)
    modules = {installed.ref.cls: installed for installed in cache.installed()}
    for slug in slugs:
        uninstall(cache, slug)
    make_older(cache.root, 9 * HOUR)
    between(monkeypatch, lambda: cache.mark(modules["dog"]))
    pruned = cache.prune()
    assert len(pruned.files) == (0 if len(slugs) == 1 else 2)
    assert DOG in whole_modules(cache)
    assert not list(cache.root.rglob(".*"))


def test_what_is_written_anew_while_it_is_set_aside_is_not_overwritten(registry, cache, monkeypatch):
    get(["me/net"], registry, cache)
    record = release()[0].blobs[release()[0].content.modules[1].blob]
    blob_file(cache, record).write_bytes(b"damaged")
    modules = {installed.ref.cls: installed for installed in cache.installed()}
    uninstall(cache, "dog")
    make_older(cache.root, 9 * HOUR)

    def install():
        cache.add_blob(record, [release()[1][record.sha256]])
        cache.mark(modules["dog"])

    between(monkeypatch, install)
    cache.prune()
    assert cache.holds(record)
    assert DOG in whole_modules(cache)


def test_a_failure_in_between_gives_everything_back(registry, cache, monkeypatch):
    get(["me/net"], registry, cache)
    make_older(cache.root, 9 * HOUR)
    before = files_of(cache)

    def interrupt():
        raise KeyboardInterrupt

    between(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.prune(max_size=0)
    assert files_of(cache) == before


def test_what_a_dead_pruner_set_aside_is_given_back_or_deleted(registry, cache, monkeypatch):
    get(["me/net"], registry, cache)
    uninstall(cache, "dog")
    make_older(cache.root, 9 * HOUR)
    manifest, _ = release()
    needed = blob_file(cache, manifest.blobs[manifest.content.modules[0].blob])
    unneeded = blob_file(cache, manifest.blobs[manifest.content.modules[1].blob])
    for path in (needed, unneeded):
        path.rename(path.with_name(f".trash-{'0' * 16}-{path.name}"))
    pruned = cache.prune()
    assert pruned.files == (unneeded.relative_to(cache.root).as_posix(),)
    assert needed.is_file()
    assert not list(cache.root.rglob(".*"))
    assert whole_modules(cache) == [CAT, WHEEL]


def test_two_pruners_at_once(registry, cache, monkeypatch):
    get(["me/net"], registry, cache)
    uninstall(cache, "dog")
    make_older(cache.root, 9 * HOUR)
    between(monkeypatch, lambda: Cache(cache.root).prune())
    cache.prune()
    assert whole_modules(cache) == [CAT, WHEEL]
    assert not list(cache.root.rglob(".*"))


def test_a_cache_that_is_gone_meanwhile_is_no_error(registry, cache, monkeypatch):
    get(["me/net"], registry, cache)
    make_older(cache.root, 9 * HOUR)
    between(monkeypatch, lambda: shutil.rmtree(cache.root))
    cache.prune(max_size=0)
    assert not cache.root.exists()
