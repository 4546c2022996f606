"""Each blob is opened, hashed and decoded once a call, and modules of one network share one copy of its weights.

Counted from outside: Python's audit events tell which files are opened to be read, and a hashlib that counts which
digests were computed, of stored bytes and of decoded ones.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import weakref
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import modhub
from modhub.data.images import ImageData
from modhub.engine.run.trunks import trunk_of
from modhub.project.project import Project
from modhub.registry.admin.inventory import blob_at
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants


class Counts:
    """How often each file of a blob was opened to be read, and each digest was computed."""

    def __init__(self):
        self.opened: Counter[str] = Counter()
        self.hashed: Counter[str] = Counter()


_counting: list[Counts] = []


def _hook(event, arguments):
    if event != "open" or not _counting or not isinstance(arguments[0], str):
        return
    path, mode, flags = arguments
    is_read = mode in ("rb", "r") if mode is not None else not flags & 3
    parts = path.split("/blobs/")
    if is_read and len(parts) == 2:
        # A blob under its own name, or one that is being written or linked, under a temporary one beside it.
        name = f"blobs/{parts[1]}"
        _counting[-1].opened[blob_at(name) or name.rpartition("/")[0]] += 1


sys.addaudithook(_hook)


class _Hash:
    def __init__(self, counts, data=b""):
        self._own, self._counts = _sha256(data), counts

    def update(self, data):
        self._own.update(data)

    def hexdigest(self):
        self._counts.hashed[f"sha256:{self._own.hexdigest()}"] += 1
        return self._own.hexdigest()


_sha256 = hashlib.sha256


@contextmanager
def counted():
    counts = Counts()
    _counting.append(counts)
    patch = pytest.MonkeyPatch()
    patch.setattr(hashlib, "sha256", lambda data=b"", **_: _Hash(counts, data))
    try:
        yield counts
    finally:
        patch.undo()
        _counting.pop()


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """What another test composed is gone: weights that are still in memory need not be read."""
    gc.collect()


@pytest.fixture
def registry(tmp_path):
    """The URL of a registry with all modules of one small network."""
    url = str(tmp_path / "registry")
    modhub.publish(quadrant_modules(), version="1.0.0", registry=url)
    return url


MODEL = quadrant_modules().name
NAMES = [f"{MODEL}:{module.slug}" for module in quadrant_modules().modules[:3]]


def blobs_of(registry, count=3):
    """Of the weights and the first modules: sha256 of the stored bytes to the decoded digest."""
    manifest = Registry(LocalStore(registry)).manifest(ModelRef(*MODEL.split("/"), "1.0.0"))
    content = manifest.content
    digests = [content.origin.weights, *(module.blob for module in content.modules[:count])]
    return {manifest.blobs[digest].sha256: digest for digest in digests}


def assert_each(counts, blobs, *, opened, hashed, decoded):
    assert blobs
    for stored, digest in blobs.items():
        found = (counts.opened[stored], counts.hashed[stored], counts.hashed[digest])
        assert found == (opened, hashed, decoded), stored


# Reading


def test_a_cold_compose_reads_each_blob_of_the_registry_once(registry, tmp_path):
    blobs = blobs_of(registry)
    with counted() as counts:
        made = modhub.compose(NAMES, registry=registry, cache=tmp_path / "cache")
    assert len(made) == 3
    assert_each(counts, blobs, opened=1, hashed=1, decoded=1)


def test_a_warm_compose_reads_each_blob_of_the_cache_once(registry, tmp_path):
    cache = tmp_path / "cache"
    modhub.install(NAMES, registry=registry, cache=cache)
    with counted() as counts:
        made = modhub.compose(NAMES, registry=registry, cache=cache)
    assert len(made) == 3
    assert_each(counts, blobs_of(registry), opened=1, hashed=1, decoded=1)


def test_an_offline_install_reads_each_blob_once_and_decodes_none(registry, tmp_path):
    cache = tmp_path / "cache"
    for options in ({}, {}, {"offline": True}):
        with counted() as counts:
            modhub.install(NAMES, registry=registry, cache=cache, **options)
        assert_each(counts, blobs_of(registry), opened=1, hashed=1, decoded=0)


def test_a_damaged_blob_is_read_once_fetched_once_and_repaired(registry, tmp_path):
    cache = tmp_path / "cache"
    modhub.install(NAMES, registry=registry, cache=cache)
    blobs = blobs_of(registry)
    stored, digest = list(blobs.items())[1]
    path = cache / blob_path(stored)
    good = path.read_bytes()
    path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    with counted() as counts:
        modhub.compose(NAMES, registry=registry, cache=cache)
    assert counts.opened[stored] == 2, "what is damaged here, and what comes instead"
    assert (counts.hashed[stored], counts.hashed[digest]) == (1, 1)
    assert path.read_bytes() == good
    del blobs[stored]
    assert_each(counts, blobs, opened=1, hashed=1, decoded=1)


def test_a_folder_is_loaded_with_one_read_a_blob_and_published_with_one_more_to_read_back(registry, tmp_path):
    folder = quadrant_modules().save(tmp_path / "net.modules")
    blobs = blobs_of(registry, count=None)
    with counted() as counts:
        modhub.load(folder)
    assert_each(counts, blobs, opened=1, hashed=1, decoded=1)
    with counted() as counts:
        modhub.publish(folder, version="1.0.0", registry=str(tmp_path / "other"))
    # The second time is what the new registry gives back.
    assert_each(counts, blobs, opened=2, hashed=2, decoded=1)


def mixed():
    """Images of three quarters and two lines, labelled by name."""
    one, two = quadrants(24, 7), bars(24, 8)
    quarters, lines = one.y < 3, two.y < 2
    x = np.concatenate([one.x[quarters], two.x[lines]])
    y = np.concatenate([one.y[quarters], 3 + two.y[lines]])
    return ImageData(x, y, one.classes[:3] + two.classes[:2], "mixed")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_update_reads_each_blob_once(registry, tmp_path):
    cache = tmp_path / "cache"
    options = {"registry": registry, "cache": cache}
    with counted() as counts:
        modhub.update(
            NAMES[:2], against=[NAMES[2], *bar_modules().modules[:2]], data=mixed(), strategy="calibrate", **options
        )
    assert_each(counts, blobs_of(registry), opened=1, hashed=1, decoded=1)


def test_a_project_reads_each_blob_once_whatever_it_does(registry, tmp_path):
    project = Project.new(tmp_path / "project", registry=registry, cache=tmp_path / "cache")
    with counted() as counts:
        project.add(*NAMES)
    assert_each(counts, blobs_of(registry), opened=1, hashed=1, decoded=0)
    for use, decoded in ((project.sync, 0), (project.compose, 1), (project.verify, 0)):
        with counted() as counts:
            kept = use()
        assert_each(counts, blobs_of(registry), opened=1, hashed=1, decoded=decoded)
        del kept


# Memory


def weights_of(composite):
    return [module.origin.weights for module in composite.modules]


def shares_all(one, other):
    return all(np.shares_memory(one[name], other[name]) for name in one)


def test_modules_of_one_network_share_its_weights_however_they_came_together(registry, tmp_path):
    cache = tmp_path / "cache"
    options = {"registry": registry, "cache": cache}
    one = modhub.compose(NAMES[:1], **options)
    with counted() as counts:
        grown = one.add(NAMES[1]).add(NAMES[2])
    assert counts.hashed[next(iter(blobs_of(registry).values()))] == 0, "the weights were decoded again"
    project = Project.new(tmp_path / "project", NAMES, **options)
    others = [grown, grown.swap("top left", NAMES[0]), modhub.compose(NAMES, **options), project.compose()]
    others.append(modhub.compose([modhub.compose(NAMES[1], **options), one], **options))
    for other in others:
        for weights in weights_of(other):
            assert shares_all(weights, weights_of(one)[0])


def test_releases_of_equal_weights_share_them_and_others_do_not(registry, tmp_path):
    options = {"registry": registry, "cache": tmp_path / "cache"}
    modhub.publish(replace(quadrant_modules(), modules=quadrant_modules().modules[:2]), registry=registry)
    modhub.publish(bar_modules(), version="1.0.0", registry=registry)
    both = modhub.compose([f"{NAMES[0]}@1.0.0", f"{NAMES[1]}@1.1.0", f"{bar_modules().modules[0].ref}"], **options)
    first, second, third = weights_of(both)
    assert shares_all(first, second)
    assert not any(np.shares_memory(first[name], third[name]) for name in first if name in third)


def test_weights_go_with_the_last_module_that_has_them_and_cannot_be_written_to(registry, tmp_path):
    made = modhub.compose(NAMES, registry=registry, cache=tmp_path / "cache")
    held = weakref.ref(made.modules[0].origin.weights)
    for array in weights_of(made)[0].values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    del made, array
    gc.collect()
    assert held() is None


def test_one_network_is_built_for_all_composites_of_it(registry, tmp_path):
    options = {"registry": registry, "cache": tmp_path / "cache"}
    one = modhub.compose(NAMES[:2], **options)
    other = one.add(NAMES[2])
    networks = [trunk_of(composite.modules[0].origin) for composite in (one, other)]
    assert networks[0] is networks[1]
    assert trunk_of(one.modules[0].origin, "bfloat16") is not networks[0]
    x = quadrants().x[:20]
    before = one.predict(x).margins
    assert np.allclose(other.predict(x).margins[:, :2], before, atol=1e-5)
    assert np.array_equal(one.predict(x).margins, before)
