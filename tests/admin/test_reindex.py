"""Rebuilding the index beside everybody who writes: no release, withdrawal or alias is ever lost from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admin_stores import Paused, copied, examined, memory, snapshot
from crashing import race
from plain_index import files_of, index_errors
from servers import static_server
from synthetic import release

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable
from modhub.registry.admin.gc import collect
from modhub.registry.admin.takedown import take_down
from modhub.registry.reader import RegistryReader
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.resolve.resolver import resolve
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store
from tests import thinning

REF = ModelRef("me", "net", "1.0.0")
SMALL = {"classes": ("cat", "dog"), "weights_bytes": 10, "module_bytes": 10}


@pytest.fixture
def store():
    """A registry with me/net@1.0.0, and derived files of a model and a namespace that have no releases."""
    store = memory()
    Registry(store).publish(*release(**SMALL))
    for path, other in (("index/me/gone.json", "index/me/net.json"), ("catalog/gone.json", "catalog/me.json")):
        store.replace(path, store.get(other, max_bytes=10**5))
    return store


def test_files_about_nothing_go_and_other_files_stay(store):
    store.replace("index/notes.txt", b"mine")
    assert reindex(Registry(store)) == []
    assert index_errors(snapshot(store)) == []
    assert store.exists("index/notes.txt")


def test_only_what_is_wrong_is_found_by_the_plain_reader(store):
    """The reader that the other tests go by does see the faults that they look for."""
    reindex(Registry(store))
    assert index_errors(snapshot(store)) == []
    for path in ("index/me/net.json", "catalog/me.json", "catalog.json"):
        world = copied(store)
        world.delete(path)
        assert len(index_errors(snapshot(world))) == 1
    Registry(store).yank(REF, "bad")
    stale = store.get("index/me/net.json", max_bytes=10**5)
    Registry(store).yank(REF, "good again", undo=True)
    store.replace("index/me/net.json", stale)
    assert index_errors(snapshot(store)) == ["me/net: ['1.0.0'] instead of ['1.0.0']"]


def publish(name, version="1.0.0"):
    return lambda store: Registry(store).publish(*release(name, version, **SMALL))


#: What each does, and the paths at whose operations it and ``reindex`` may be held: the derived files that both write
#: and the listings that these follow from.
WRITERS = {
    "a new model": (publish("me/new"), ("index", "releases")),
    "a new namespace": (publish("new/net"), ("catalog", "releases")),
    "a new version": (publish("me/net", "1.1.0"), ("index/me/net", "releases")),
    "a yank": (lambda store: Registry(store).yank(REF, "bad"), ("index", "records/yank")),
    "a takedown": (lambda store: Registry(store).take_down(REF, "bad"), ("catalog/", "records/tombstone")),
    "an alias": (lambda store: Registry(store).set_alias("it", "me/net"), ("catalog.json", "records/alias")),
    "another reindex": (lambda store: reindex(Registry(store)), ("index", "releases")),
}


@pytest.mark.parametrize("first", ["reindex", "writer"])
@pytest.mark.parametrize(("writer", "paths"), WRITERS.values(), ids=WRITERS)
def test_every_schedule_with_two_switches(store, writer, paths, first):
    """One begins and is held before any of its operations; the other runs up to any of its own; both end in turn.

    Here every third place of the other, the next ones for the next operation of the first.
    """
    every = 1 if thinning.ALL else 3
    works = [lambda held: reindex(Registry(held)), writer]
    one, other = works if first == "reindex" else reversed(works)
    for number in range(1, 1000):
        for until in range(1 + number % every, 1000, every):
            world = copied(store)
            begun = Paused(world, number, paths, one)
            then = Paused(world, until, paths, other)
            begun.finish()
            then.finish()
            assert (begun.error, then.error) == (None, None)
            assert index_errors(snapshot(world)) == [], (number, until)
            if then.outlived:
                break
        if begun.outlived:
            return
    raise AssertionError("it never ended")


ROUNDS = 3
#: Sixteen processes, by what each does.
RACERS = ["publish"] * 8 + ["reindex"] * 3 + ["take down"] * 2 + ["collect"] + ["alias"] * 2


def test_sixteen_processes_of_every_kind(tmp_path):
    """Publishers of new models beside reindex, takedown, gc and alias writers, and a web server's reader afterwards."""
    url = str(tmp_path / "registry")
    Registry(open_store(url)).prepare()
    answers = race(work_as, [(url, what, number) for number, what in enumerate(RACERS)])
    published = [ref for what, refs in zip(RACERS, answers, strict=True) if what == "publish" for ref in refs]
    assert len(published) == 8 * ROUNDS
    assert index_errors(files_of(tmp_path / "registry")) == []
    assert examined(open_store(url)).releases == 10 * ROUNDS
    with static_server(tmp_path / "registry") as site:
        reader = RegistryReader(open_store(site))
        for name, version in published:
            (found,) = resolve([name], [reader], {})
            assert [str(pin.ref.release) for pin in found.modules] == 2 * [f"{name}@{version}"]


def work_as(url, what, racer):
    """What a racer does; gives the releases that it published and did not take down."""
    registry = Registry(open_store(url))
    done = []
    for number in range(ROUNDS):
        if what == "reindex":
            reindex(registry)
        elif what == "collect":
            collect(registry, older_than=timedelta(0))
        elif what == "alias":
            registry.set_alias(f"a-{racer}-{number}", "me/net")
        else:
            # All use the same blobs and share namespaces; each model is new.
            name = f"lab-{number}/net-{racer}"
            done.append(published(registry, name, "1.0.0", number))
            if what == "take down":
                take_down(registry, ModelRef(*name.split("/"), "1.0.0"), "bad")
    return done


def published(registry, name, version, seed):
    for _ in range(1000):
        try:
            registry.publish(*release(name, version, seed=seed, **SMALL))
            return name, version
        except (IntegrityError, RegistryUnreachable):
            # What it had written was collected before its manifest, which a grace of zero asks for.
            continue
    raise AssertionError(f"{name} was never published")


def test_a_model_without_its_index_is_said_to_lack_it(tmp_path):
    """Over HTTP the catalog still names it: neither "no such model" nor "did you mean" itself."""
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(*release(**SMALL))
    registry.store.delete("index/me/net.json")
    with static_server(tmp_path / "registry") as site:
        with pytest.raises(NotFound) as caught:
            resolve(["me/net:cat"], [RegistryReader(open_store(site))], {})
        assert caught.value.kind == "no-index"
        assert "modhub registry reindex" in str(caught.value)
        assert "did you mean" not in str(caught.value)
        reindex(registry)
        assert len(resolve(["me/net:cat"], [RegistryReader(open_store(site))], {})) == 1
