"""Taking down: the name stays, the blobs go, and nothing that others need goes with them."""

from __future__ import annotations

import pytest
from admin_stores import Watched, copied, examined, memory, snapshot
from synthetic import release

from modhub.errors import Conflict, IntegrityError, NotFound, RegistryUnreachable, UsageError
from modhub.registry.admin.takedown import take_down
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.spec.layout import blob_path, release_path, signature_path
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore

REF = ModelRef("me", "net", "1.0.0")
SIBLING = ModelRef("me", "net", "1.1.0")
WHY = "not our images"


def shared(version):
    """Releases of one model at one seed share all their blobs; of another seed none."""
    return release(version=version)


@pytest.fixture
def registry():
    registry = Registry(memory())
    registry.publish(*release())
    return registry


def is_whole(store, ref):
    registry = Registry(store)
    return all(registry.holds(record) for record in registry.manifest(ref).blobs.values())


def test_blobs_go_and_the_name_stays(registry):
    taken = take_down(registry, REF, WHY)
    assert (taken.ref, taken.reason, taken.shared, taken.registry) == (REF, WHY, 0, registry.url)
    assert len(taken.deleted) == 4
    assert taken.freed == sum(map(len, release()[1].values()))
    assert registry.store.list("blobs") == []
    assert registry.withdrawal(REF).kind == "taken-down"
    assert registry.versions("me", "net") == ["1.0.0"]
    assert examined(registry.store).untidy == ()
    with pytest.raises(Conflict, match="was taken down"):
        registry.publish(*release())
    assert registry.publish(*release(version="1.1.0")).created
    assert is_whole(registry.store, SIBLING)


def test_blobs_that_another_release_needs_stay(registry):
    registry.publish(*shared("1.1.0"))
    taken = take_down(registry, REF, WHY)
    assert (taken.deleted, taken.shared, taken.freed) == ((), 4, 0)
    assert is_whole(registry.store, SIBLING)
    assert len(take_down(registry, SIBLING, WHY).deleted) == 4


def test_again_it_keeps_the_first_reason_and_finishes(registry):
    take_down(registry, REF, WHY)
    registry.store.put_if_absent(blob_path(min(release()[1])), release()[1][min(release()[1])])
    again = take_down(registry, REF, "another reason")
    assert (again.reason, len(again.deleted)) == (WHY, 1)


def test_it_is_signed(registry):
    alice = new_signer("alice")
    take_down(registry, REF, WHY, signer=alice)
    assert len(registry.store.list("signatures")) == 1


def test_what_does_not_exist_cannot_be_taken_down(registry, tmp_path):
    before = snapshot(registry.store)
    with pytest.raises(NotFound, match=r"has no release me/net@9\.0\.0"):
        take_down(registry, ModelRef("me", "net", "9.0.0"), WHY)
    with pytest.raises(UsageError, match="the reason is empty"):
        take_down(registry, REF, " ")
    assert snapshot(registry.store) == before
    with pytest.raises(RegistryUnreachable, match="there is no registry"):
        take_down(Registry(LocalStore(tmp_path / "nowhere")), REF, WHY)


def test_while_another_release_is_damaged_only_the_tombstone_is_written(registry):
    registry.publish(*release(version="1.1.0", seed=1))
    registry.store.replace(release_path(SIBLING), b"?")
    with pytest.raises(IntegrityError, match="is unknown which blobs are needed") as caught:
        take_down(registry, REF, WHY)
    assert caught.value.kind == "damaged-release"
    assert registry.withdrawal(REF).kind == "taken-down"
    assert len(registry.store.list("blobs")) == 8


def test_a_damaged_release_is_buried_without_its_blobs(registry):
    registry.store.replace(release_path(REF), b"?")
    with pytest.raises(IntegrityError) as caught:
        take_down(registry, REF, WHY)
    text = str(caught.value)
    assert text.startswith("me/net@1.0.0 was taken down, but which blobs it had is unknown: ")
    assert f"modhub registry gc {registry.url}" in text
    assert registry.withdrawal(REF).kind == "taken-down"


def test_signatures_of_the_release_stay(registry):
    registry.publish(*release(version="1.1.0"), signer=(alice := new_signer("alice")))
    take_down(registry, SIBLING, WHY)
    assert registry.store.exists(signature_path(release(version="1.1.0")[0].digest, alice.id))


def test_a_publisher_of_a_sibling_at_any_point_is_left_whole(registry):
    """It shares every blob with the release that is being taken down."""
    for number in range(1, 1000):
        world = copied(registry.store)

        def publish(now, after, world=world, number=number):
            if now == number and not after:
                Registry(world).publish(*shared("1.1.0"))

        watched = Watched(world, publish)
        take_down(Registry(watched), REF, WHY)
        if watched.count < number:
            break
        assert is_whole(world, SIBLING), number
        assert Registry(world).withdrawal(REF).kind == "taken-down"
        examined(world)
    assert number > 30


def test_a_takedown_at_any_point_of_a_publisher_of_a_sibling_leaves_it_whole(registry):
    for number in range(1, 1000):
        world = copied(registry.store)

        def take(now, after, world=world, number=number):
            if now == number and not after:
                take_down(Registry(world), REF, WHY)

        watched = Watched(world, take)
        try:
            Registry(watched).publish(*shared("1.1.0"))
        except IntegrityError:
            # Blobs that it had found were deleted before its manifest; nobody has seen it.
            Registry(world).publish(*shared("1.1.0"))
        if watched.count < number:
            break
        assert is_whole(world, SIBLING), number
        examined(world)
    assert number > 30
