"""Whatever changes a registry may die at any operation: nothing that a reader saw is lost, and again it succeeds.

First a store in memory that dies at its k-th operation, just before or just after it took effect, for every k; then
real processes that are killed at every write to a real folder.
"""

from __future__ import annotations

import shutil
from datetime import timedelta

import admin_folders
import pytest
from admin_stores import copied, deaths, examined, memory, snapshot
from crashing import crashes
from synthetic import release

from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror
from modhub.registry.admin.takedown import take_down
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.storage.urls import open_store

PUBLISHED = ModelRef("me", "net", "1.0.0")
ALICE = new_signer("alice")
LOST = release("me/lost", classes=("cat", "dog"), weights_bytes=500)


def furnish(store):
    """A registry with two releases, an alias, a yank, and the blobs of a publication that died."""
    registry = Registry(store)
    registry.publish(*release(classes=("cat", "dog")), signer=ALICE)
    registry.publish(*release(version="1.1.0", classes=("cat", "dog", "owl")))
    registry.set_alias("pets", "me/net", signer=ALICE)
    registry.yank(ModelRef("me", "net", "1.1.0"), "its owl is a bat")
    registry.yank_class(ModuleRef("me", "net", "dog", "1.0.0"), "its dog is a wolf", signer=ALICE)
    for digest, data in LOST[1].items():
        store.put_if_absent(blob_path(digest), data)
    return store


def publish(store):
    Registry(store).publish(*LOST, signer=ALICE)


def publish_next(store):
    Registry(store).publish_next(*release("me/lost", None, classes=("cat", "dog"), weights_bytes=500))


def gc(store):
    collect(Registry(store), older_than=timedelta(0))


def takedown(store):
    take_down(Registry(store), PUBLISHED, "not our images", signer=ALICE)


def yank(store):
    Registry(store).yank(PUBLISHED, "bad", signer=ALICE)


def yank_class(store):
    Registry(store).yank_class(ModuleRef("me", "net", "cat", "1.0.0"), "bad", signer=ALICE)


def alias(store):
    Registry(store).set_alias("pets", None, signer=ALICE)


def mirror_from(source):
    def mirror_here(store):
        mirrored = mirror(Registry(source), Registry(store))
        assert mirrored.problems == ()

    return mirror_here


def whole(store):
    """The releases that a reader can install now, every byte of them."""
    registry = Registry(store)
    found = set()
    for name in registry.models():
        namespace, model = name.split("/")
        for version in registry.versions(namespace, model):
            ref = ModelRef(namespace, model, version)
            withdrawal = registry.withdrawal(ref)
            if withdrawal is None or withdrawal.kind != "taken-down":
                assert all(registry.holds(record) for record in registry.manifest(ref).blobs.values()), ref
                found.add(ref)
    return found


@pytest.mark.parametrize(
    ("work", "least", "every"),
    [
        (publish, 40, 1),
        (publish_next, 40, 3),
        (gc, 30, 3),
        (takedown, 40, 2),
        (yank, 30, 3),
        (yank_class, 30, 3),
        (alias, 10, 1),
    ],
)
def test_a_store_that_dies_at_any_operation(work, least, every):
    world = furnish(memory())
    before = whole(world)
    withdrawn = {PUBLISHED} if work is takedown else set()
    died = 0
    for number, store in deaths(lambda: copied(world), work, every=every):
        seen = whole(store)
        assert seen >= before - withdrawn, number
        examined(store)
        work(store)
        assert whole(store) >= seen - withdrawn, number
        died += 1
    assert died * every > least


def test_a_mirror_whose_target_dies_at_any_operation():
    source, target = furnish(memory()), memory()
    Registry(target).publish(*release("me/own", classes=("cat", "dog")))
    work, copies, died = mirror_from(source), whole(source), 0
    for number, store in deaths(lambda: copied(target), work, every=9):
        seen = whole(store)
        assert ModelRef("me", "own", "1.0.0") in seen
        # A release that was yanked in the original is never found without its yank.
        assert [hit.ref for hit in Registry(store).entries() if hit.ref.version == "1.1.0"] == [], number
        examined(store)
        work(store)
        assert whole(store) >= seen | copies, number
        died += 1
    assert died > 20


def test_what_died_again_and_again_gets_there():
    """Each attempt dies one operation later than the one before, over the leftovers of all of them."""
    world, source = furnish(memory()), memory()
    Registry(source).publish(*release("you/net"))
    for work in (mirror_from(source), gc, yank, takedown):
        for _, store in deaths(lambda: world, work, every=3):
            whole(store)
            examined(store)
    assert {found.kind for found in examined(world).untidy} <= {"stale-index", "leftover", "orphaned-signature"}
    assert reindex(Registry(world)) == []
    gc(world)
    assert {found.kind for found in examined(world).untidy} <= {"leftover"}
    assert whole(world) == {ModelRef("me", "net", "1.1.0"), ModelRef("you", "net", "1.0.0")}


# Real processes


@pytest.mark.parametrize("work", [admin_folders.gc, admin_folders.take_down_published], ids=["gc", "takedown"])
def test_a_process_killed_at_any_write(tmp_path, work):
    root, original = tmp_path / "registry", tmp_path / "original"
    furnish(open_store(str(original)))
    shutil.copytree(original, root)
    before, deaths = whole(open_store(str(root))), 0
    withdrawn = {PUBLISHED} if work is admin_folders.take_down_published else set()
    for _ in crashes("kill", root, work, str(root), every=2):
        store = open_store(str(root))
        assert whole(store) >= before - withdrawn
        examined(store)
        work(str(root))
        assert whole(store) == before - withdrawn
        examined(store)
        shutil.rmtree(root)
        shutil.copytree(original, root)
        deaths += 1
    assert deaths > 5


def test_a_mirror_killed_at_any_write(tmp_path):
    """Each attempt goes on where the one before it was killed, and does not fetch again what is there."""
    root, source = tmp_path / "registry", tmp_path / "source"
    furnish(open_store(str(source)))
    deaths = 0
    for _ in crashes("kill", root, admin_folders.copy, str(root), str(source), every=2):
        deaths += 1
        store = open_store(str(root))
        if store.exists("modhub-registry.json"):
            whole(store)
            examined(store)
    assert deaths > 10
    assert whole(open_store(str(root))) == whole(open_store(str(source)))
    assert mirror(Registry(open_store(str(source))), Registry(open_store(str(root)))).fetched == 0


def test_an_import_killed_at_any_write(tmp_path):
    root, file = tmp_path / "registry", tmp_path / "lost.tar"
    other = Registry(memory())
    other.publish(*LOST, signer=ALICE)
    ref = ModelRef("me", "lost", "1.0.0")
    export_release(other, ref, file)
    deaths = 0
    for _ in crashes("kill", root, admin_folders.bring, str(root), str(file)):
        deaths += 1
        store = open_store(str(root))
        if store.exists("modhub-registry.json"):
            assert whole(store) <= {ref}
            examined(store)
    assert deaths > 10
    assert whole(open_store(str(root))) == {ref}


def test_an_export_killed_at_any_write_leaves_the_file_or_nothing(tmp_path):
    furnish(open_store(str(tmp_path / "registry")))
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "net.tar"
    deaths = 0
    for _ in crashes("kill", folder, admin_folders.export, str(tmp_path / "registry"), str(file)):
        deaths += 1
        assert not file.exists() or import_release(file, Registry(memory())).created
    assert deaths >= 3
    assert snapshot(open_store(str(tmp_path / "registry")))
    assert import_release(file, Registry(memory())).created
