"""Many processes in one cache, and processes that die in it: whatever counts as installed is whole."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from caches import HOUR, blob_file, get, get_from, make_older, whole_modules
from crashing import crashes, race
from synthetic import release

from modhub.cache import prune
from modhub.cache.cache import Cache
from modhub.errors import IntegrityError, StorageError
from modhub.limits import MIB
from modhub.registry.writer import Registry
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

CLASSES = [f"class {number}" for number in range(6)]
INSTALLERS = 4
PRUNERS = 2
NAMES = [f"me/net:{name}" for name in CLASSES]


@pytest.fixture
def large(tmp_path):
    """A registry with weights that are worth a link and a thread, in two releases."""
    registry = Registry(LocalStore(tmp_path / "large"))
    for name in ("me/net", "me/other"):
        registry.publish(*release(name, classes=CLASSES, weights_bytes=MIB))
    return registry


# Dying


@pytest.mark.parametrize(("how", "every"), [("kill", 1), ("interrupt", 3)], ids=["kill", "interrupt"])
def test_an_installer_with_threads_that_dies_at_any_write(large, cache, how, every):
    names = ["me/net:class 0", "me/other:class 1"]
    count = 0
    for _ in crashes(how, cache.root, get_from, large.url, str(cache.root), names, every=every):
        count += 1
        assert {name.split("@")[0] for name in whole_modules(cache)} <= {"me/net:class-0", "me/other:class-1"}
        if count % 2:
            assert len(get_from(large.url, cache.root, names)) == 2
            assert len(whole_modules(cache)) == 2
            shutil.rmtree(cache.root)
    assert count * every > 12
    assert len(whole_modules(cache)) == 2


def _prune(root, max_size):
    Cache(root).prune(max_size=max_size)


@pytest.mark.parametrize("how", ["kill", "interrupt"])
@pytest.mark.parametrize("max_size", [None, 1500], ids=["orphans", "modules too"])
def test_a_pruner_that_dies_at_any_write(registry, cache, how, max_size):
    get(["me/net"], registry, cache)
    [marker] = (cache.root / "installed").rglob("dog.json")
    marker.unlink()
    for slug, hours in (("cat", 5), ("potters-wheel", 4)):
        [marker] = (cache.root / "installed").rglob(f"{slug}.json")
        os.utime(marker)
        make_older(marker.parent, hours * HOUR, f"{slug}.json")
    make_older(cache.root, 2 * HOUR)
    before = cache.root.with_name("before")
    shutil.copytree(cache.root, before)
    count = 0
    for _ in crashes(how, cache.root, _prune, str(cache.root), max_size):
        count += 1
        assert {name.split("@")[0] for name in whole_modules(cache)} <= {"me/net:cat", "me/net:potters-wheel"}
        if max_size is None:
            assert len(whole_modules(cache)) == 2
        # The next one ends what this one began.
        _prune(cache.root, None)
        assert len(whole_modules(cache)) >= (2 if max_size is None else 0)
        assert not list(cache.root.rglob(".trash-*"))
        shutil.rmtree(cache.root)
        shutil.copytree(before, cache.root)
    assert count >= (3 if max_size is None else 8)
    assert len(get(["me/net"], registry, cache)) == len(whole_modules(cache)) == 3


# Racing


def test_many_installers_of_the_same_leave_one_of_each(large, cache):
    """All of them link the same file to the same name at the same moment."""
    for _ in range(2):
        results = race(_install_all, [(large.url, str(cache.root))] * 6)
        assert results == [[f"me/net:class-{number}@1.0.0" for number in range(6)]] * 6
        assert len(whole_modules(cache)) == 6
        assert not list(cache.root.rglob(".*"))
        shutil.rmtree(cache.root)


def _install_all(url, root):
    return get_from(url, root, NAMES)


def test_many_that_meet_a_damaged_blob_repair_it_once_and_for_all(large, cache):
    get(NAMES, large, cache)
    manifest, blobs = release(classes=CLASSES, weights_bytes=MIB)
    record = manifest.blobs[manifest.content.origin.weights]
    file = blob_file(cache, record)
    for _ in range(2):
        file.unlink()
        file.write_bytes(bytes(record.size))
        assert race(_install_all, [(large.url, str(cache.root))] * 4)
        assert cache.blob(record).stored == blobs[record.sha256]
        assert len(whole_modules(cache)) == 6


def _worker(kind, url, root, folder, name):
    """An installer that forgets and installs again until the pruners took enough, or a pruner that works as long."""
    done, busy = Path(folder), Path(folder).with_name("busy")
    if kind == "pruner":
        prune.GRACE = -HOUR
        taken = 0
        while len(list(done.iterdir())) < INSTALLERS:
            if taken > 10:
                (busy / name).touch()
            # It gives up when the other took the manifest of a module that is marked by now.
            with suppress(IntegrityError):
                taken += len(Cache(root).prune().files)
        return taken
    registry, troubles = Registry(open_store(url)), 0
    for number in range(500):
        if number >= 25 and len(list(busy.iterdir())) == PRUNERS:
            break
        for marker in (Path(root) / "installed").rglob(f"{name.replace(' ', '-')}.json"):
            marker.unlink(missing_ok=True)
        try:
            get([f"me/net:{name}"], registry, Cache(root))
        except StorageError:
            troubles += 1
    (done / name).touch()
    return troubles


def test_installers_beside_pruners_without_grace(registry, cache, tmp_path):
    """Everything that nobody needs is taken at every moment, and still nothing that is marked lacks anything."""
    registry.publish(*release("me/net", "2.0.0", classes=CLASSES))
    done = tmp_path / "done"
    done.mkdir()
    (tmp_path / "busy").mkdir()
    arguments = [("installer", registry.url, str(cache.root), str(done), name) for name in CLASSES[:INSTALLERS]]
    arguments += [("pruner", registry.url, str(cache.root), str(done), f"pruner {number}") for number in range(PRUNERS)]
    results = race(_worker, arguments)
    assert sum(results[INSTALLERS:]) > 20, "hardly anything was taken away, so little was shown"
    assert sum(results[:INSTALLERS]) < 10
    # What was installed last, beside pruners, is whole without another installation.
    assert len(whole_modules(cache)) >= INSTALLERS - sum(results[:INSTALLERS])
    assert get([f"me/net:{name}" for name in CLASSES], registry, cache)
    assert len(whole_modules(cache)) == len(CLASSES)
