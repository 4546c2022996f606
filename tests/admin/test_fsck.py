"""Examining and repairing: every damage is found, reported in words, and repaired from a copy to the very bytes."""

from __future__ import annotations

import random

import pytest
from admin_stores import Watched, copied, examined, memory, snapshot
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import static_server
from synthetic import release

from modhub.errors import Conflict, Incompatible, NotFound, RegistryUnreachable, UsageError
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.mirror import mirror
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.spec.digests import parse_json
from modhub.spec.layout import blob_path, record_path, release_path, signature_path
from modhub.spec.manifest import write_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store
from tests import thinning

REF = ModelRef("me", "net", "1.0.0")
YANKED = ModelRef("me", "net", "1.1.0")
GONE = ModelRef("me", "net", "2.0.0")
ALICE = new_signer("alice")
MANIFEST, BLOBS = release(classes=("cat", "dog"))


def furnished(store):
    """Releases, one yanked and one taken down, aliases, signatures, a revoked key."""
    registry = Registry(store)
    registry.publish(MANIFEST, BLOBS, signer=ALICE)
    registry.publish(*release(version="1.1.0", classes=("cat", "dog"), seed=1))
    registry.publish(*release(version="2.0.0", classes=("cat", "dog"), seed=2))
    registry.publish(*release("you/net", classes=("owl", "bat")))
    registry.yank(YANKED, "bad")
    registry.yank(YANKED, "good after all", undo=True)
    registry.yank(YANKED, "bad indeed", signer=ALICE)
    for target in ("me/net", "you/net", None, "me/net"):
        registry.set_alias("pets", target, signer=ALICE)
    registry.revoke_key(ALICE, "lost")
    registry.take_down(GONE, "not ours")
    for record in registry.manifest(GONE).blobs.values():
        store.delete(blob_path(record.sha256))
    return registry


@pytest.fixture
def good():
    return furnished(memory())


@pytest.fixture
def registry(good):
    return Registry(copied(good.store))


def damage(report):
    return [(found.kind, found.path) for found in report.damage]


def test_a_sound_registry_is_clean_and_left_as_it_is(good):
    before = snapshot(good.store)
    report = fsck(good)
    assert report.findings == ()
    assert report.clean
    blobs = {record.sha256: record.size for ref in (REF, YANKED) for record in good.manifest(ref).blobs.values()}
    blobs |= {record.sha256: record.size for record in good.manifest(ModelRef("you", "net", "1.0.0")).blobs.values()}
    assert (report.releases, report.blobs, report.size) == (4, len(blobs), sum(blobs.values()))
    assert (report.records, report.signatures) == (9, 7)
    assert snapshot(good.store) == before


def test_progress_is_reported_to_the_last_byte(good):
    reported = []
    report = fsck(good, progress=lambda *now: reported.append(now))
    assert reported[-1] == ("hashing blobs", report.size, report.size)
    assert ("reading releases", 4, 4) in reported


# Damage

BLOB = blob_path(min(BLOBS))
DATA = BLOBS[min(BLOBS)]
OTHER = write_manifest(release(version="1.1.0")[0])

DAMAGES = {
    "missing blob": (BLOB, None, "missing-blob", "is missing although a release needs it. It belongs to me/net@1.0.0."),
    "short blob": (BLOB, DATA[:-1], "truncated", f"it has {len(DATA) - 1} bytes instead of {len(DATA)} bytes."),
    "long blob": (BLOB, DATA + b"x", "padded", f"it has {len(DATA) + 1} bytes instead of {len(DATA)} bytes."),
    "zeroed blob": (BLOB, bytes(len(DATA)), "zeroed", "is overwritten with zeros"),
    "other blob": (BLOB, DATA[:-1] + b"?", "swapped", "is altered or swapped: it has sha256:"),
    "no manifest": (
        release_path(REF),
        None,
        "missing-release",
        "me/net@1.0.0 is missing, although its index names it.",
    ),
    "broken manifest": (release_path(REF), b"?", "bad-json", "the release me/net@1.0.0 in memory://"),
    "empty manifest": (release_path(REF), b"", "bad-json", "is not valid JSON"),
    "other's manifest": (release_path(REF), OTHER, "wrong-release", "says that it is me/net@1.1.0."),
    "no first entry": (record_path("alias", "pets", 1), None, "broken-history", "entry 1 of the alias 'pets' in"),
    "no entry between": (record_path("alias", "pets", 3), None, "broken-history", "entry 3 of the alias 'pets' in"),
    "broken entry": (record_path("alias", "pets", 2), b"{}", "bad-json", "records/alias/pets/000002.json"),
    "broken yank": (record_path("yank", "me/net/1.1.0", 2), b"?", "bad-json", "records/yank/me/net/1.1.0/000002.json"),
    "broken tombstone": (record_path("tombstone", "me/net/2.0.0", 1), b"?", "bad-json", "records/tombstone"),
    "broken revocation": (record_path("revocation", ALICE.id, 1), b"?", "bad-json", "records/revocation"),
    "broken signature": (
        signature_path(MANIFEST.digest, ALICE.id),
        b"?",
        "bad-signature",
        "is not the signature that its name says.",
    ),
    "broken marker": ("modhub-registry.json", b"{", "bad-marker", "modhub-registry.json is not valid JSON"),
}


def spoil(store, path, data):
    if data is None:
        store.delete(path)
    else:
        store.replace(path, data)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_reported(registry, name):
    path, data, kind, text = DAMAGES[name]
    spoil(registry.store, path, data)
    before = snapshot(registry.store)
    report = fsck(registry)
    assert not report.clean
    (found,) = report.damage
    assert (found.kind, found.severity, found.repaired) == (kind, "damage", False)
    assert path.startswith(found.path)
    assert text in found.message
    assert snapshot(registry.store) == before


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_repaired_to_the_very_bytes(registry, good, name):
    path, data, kind, _ = DAMAGES[name]
    before = snapshot(registry.store)
    spoil(registry.store, path, data)
    report = fsck(registry, repair_from=good)
    assert report.clean
    assert [(found.kind, found.repaired) for found in report.findings] == [(kind, True)]
    after = snapshot(registry.store)
    if name == "broken marker":
        assert Registry(registry.store).check().single_writer is False
        after["modhub-registry.json"] = before["modhub-registry.json"]
    assert after == before
    assert fsck(registry).findings == ()


def test_everything_at_once(registry, good):
    before = snapshot(registry.store)
    for path, data, _, _ in DAMAGES.values():
        spoil(registry.store, path, data)
    report = fsck(registry)
    assert {found.kind for found in report.damage} >= {"bad-marker", "bad-signature", "bad-json", "wrong-release"}
    assert ("orphans-unknown", "releases") in [(found.kind, found.path) for found in report.untidy]
    assert fsck(registry, repair_from=good).clean
    after = snapshot(registry.store)
    after["modhub-registry.json"] = before["modhub-registry.json"]
    assert after == before


def stocked(objects):
    MemoryFileSystem.store.clear()
    store = memory()
    for path, data in objects.items():
        store.replace(path, data)
    return store


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.one_of(st.none(), st.binary(max_size=200), st.integers(0, 10**6)))
def test_any_bytes_anywhere(seed, data):
    """An object that is not derived is damaged in any way at all: that is found, and repaired from a copy."""
    good = Registry(stocked(TEMPLATE))
    registry = Registry(copied(good.store))
    before = snapshot(registry.store)
    path = random.Random(seed).choice([path for path in before if not path.startswith(("index", "catalog", "notices"))])
    if isinstance(data, int):
        old = before[path]
        data = old[: data % len(old)] + bytes([old[data % len(old)] ^ 1]) + old[data % len(old) + 1 :]
    spoil(registry.store, path, data)
    if not registry.store.exists("modhub-registry.json"):
        with pytest.raises(RegistryUnreachable, match="there is no registry"):
            fsck(registry)
        return
    report = fsck(registry)
    if data is None and path.startswith("records/tombstone"):
        # The release is back, and its blobs are gone, here and in the copy.
        assert {found.kind for found in report.damage} == {"missing-blob"}
        return
    # Nothing tells that a signature, the newest entry of a history, or the release of a tombstone was ever there.
    last = path.startswith("records") and path not in FOLLOWED
    unseen = data is None and (path.startswith("signatures") or last or path == release_path(GONE))
    assert report.clean is unseen
    # A manifest of a newer format is not ours to mend.
    if not any("newer-format" in found.kind for found in report.damage):
        assert fsck(registry, repair_from=good).clean


TEMPLATE = snapshot(furnished(memory()).store)
#: Entries that another one follows.
FOLLOWED = [record_path("alias", "pets", number) for number in (1, 2, 3)]
FOLLOWED += [record_path("yank", "me/net/1.1.0", number) for number in (1, 2)]


def test_a_newer_format_is_reported_and_never_touched(registry, good):
    registry.store.replace(release_path(REF), b'{"format":99}')
    report = fsck(registry, repair_from=good)
    assert damage(report) == [("newer-format", release_path(REF))]
    assert "upgrade modhub" not in report.damage[0].message
    assert registry.store.get(release_path(REF), max_bytes=100) == b'{"format":99}'
    registry.store.replace("modhub-registry.json", b'{"format":99}')
    with pytest.raises(Incompatible, match="has format 99"):
        fsck(registry)


def test_blobs_of_a_release_whose_tombstone_is_broken_are_not_missed(registry):
    registry.store.replace(record_path("tombstone", "me/net/2.0.0", 1), b"?")
    assert damage(fsck(registry)) == [("bad-json", "records/tombstone/me/net/2.0.0")]


def test_one_blob_of_many_releases_is_reported_once(registry):
    for minor in range(2, 7):
        registry.publish(*release(version=f"1.{minor}.0", classes=("cat", "dog")))
    registry.store.delete(BLOB)
    (found,) = fsck(registry).damage
    assert found.message.endswith("It belongs to me/net@1.0.0, me/net@1.2.0, me/net@1.3.0 and 3 more.")


def test_a_link_out_of_the_registry_is_damage(tmp_path):
    registry = furnished(LocalStore(tmp_path / "registry"))
    path = registry.store.root / BLOB
    (tmp_path / "outside").write_bytes(DATA)
    path.unlink()
    path.symlink_to(tmp_path / "outside")
    (found,) = fsck(registry).damage
    assert found.kind == "link-escapes"
    assert "is a link that leads out of" in found.message


# What is only untidy


def untidy(store):
    return sorted((found.kind, found.path) for found in examined(store).untidy)


def test_what_nothing_needs_is_listed(registry):
    store = registry.store
    lost = release("me/lost")
    for digest, data in lost[1].items():
        store.put_if_absent(blob_path(digest), data)
    stray = signature_path(lost[0].digest, ALICE.id)
    store.put_if_absent(stray, b"?")
    store.put_if_absent("notes.txt", b"?")
    store.put_if_absent("probe/1", b"?")
    store.put_if_absent("gc/clock-1", b"?")
    store.put_if_absent("gc/candidates.json", b"?")
    entry = store.get(record_path("yank", "me/net/1.1.0", 1), max_bytes=10**5)
    assert untidy(store) == sorted(
        [
            *(("orphaned-blob", blob_path(digest)) for digest in lost[1]),
            ("orphaned-signature", stray),
            ("foreign-file", "notes.txt"),
            ("leftover", "probe/1"),
            ("leftover", "gc/clock-1"),
        ]
    )
    store.put_if_absent(record_path("yank", "me/none/1.0.0", 1), entry)
    assert ("orphaned-record", record_path("yank", "me/none/1.0.0", 1)) in [
        (found.kind, found.path) for found in fsck(registry).untidy
    ]


def test_unfinished_writes_are_listed(tmp_path):
    registry = furnished(LocalStore(tmp_path / "registry"))
    left = registry.store.root / "blobs" / ".tmp-1-2"
    left.write_bytes(b"half")
    assert untidy(registry.store) == [("unfinished-write", str(left))]


@pytest.mark.parametrize(
    ("path", "data", "kind", "text"),
    [
        ("index/me/net.json", None, "missing-index", "index/me/net.json is missing."),
        ("index/me/net.json", b"?", "broken-index", "is not valid JSON"),
        ("index/me/net.json", b'{"format":99}', "broken-index", "has format 99"),
        ("index/you/net.json", "index/me/net.json", "broken-index", "is the index of me/net, not of you/net."),
        ("index/me/old.json", b"?", "broken-index", "is not valid JSON"),
        ("catalog/me.json", None, "missing-index", "catalog/me.json is missing."),
        ("catalog/me.json", b"{}", "broken-index", "names no format"),
        ("catalog.json", None, "missing-index", "catalog.json is missing."),
        ("catalog.json", b"", "broken-index", "is not valid JSON"),
    ],
)
def test_an_index_that_is_not_right_is_untidy_where_the_store_can_list(registry, path, data, kind, text):
    spoil(registry.store, path, snapshot(registry.store)[data] if isinstance(data, str) else data)
    assert untidy(registry.store) == [(kind, path)]
    assert text in fsck(registry).untidy[0].message
    reindex(registry)
    assert fsck(registry).findings == ()


def test_an_index_that_is_behind_is_untidy(registry):
    before = snapshot(registry.store)
    registry.publish(*release(version="3.0.0"))
    registry.publish(*release("new/net"))
    registry.set_alias("birds", "new/net")
    after = snapshot(registry.store)
    derived = ["index/me/net.json", "catalog/me.json", "catalog.json"]
    for path in derived:
        registry.store.replace(path, before[path])
    assert untidy(registry.store) == sorted(("stale-index", path) for path in derived)
    assert "says something else than the releases do." in fsck(registry).untidy[0].message
    registry.store.replace("index/old/net.json", after["index/new/net.json"].replace(b"new", b"old"))
    registry.store.replace("catalog/old.json", b"{}")
    assert {("broken-index", "index/old/net.json"), ("broken-index", "catalog/old.json")} <= set(untidy(registry.store))
    reindex(registry)
    assert fsck(registry).findings == ()


def test_an_index_about_nothing_is_outdated(registry):
    store = registry.store
    other = Registry(memory())
    other.publish(*release("old/net"))
    for path in ("index/old/net.json", "catalog/old.json"):
        store.replace(path, other.store.get(path, max_bytes=10**5))
    # The shard names a release that is not here: that one is missed, and its index with it.
    assert [(found.kind, found.path) for found in fsck(registry).findings] == [
        ("missing-release", "releases/old/net/1.0.0.json"),
        ("orphans-unknown", "releases"),
    ]
    store.delete("index/old/net.json")
    assert untidy(store) == [("outdated-index", "catalog/old.json")]
    assert fsck(registry).untidy[0].message.endswith("catalog/old.json is about an empty namespace.")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "yank", "undo", "bury", "alias"]),
        st.sampled_from(["me/a", "me/b", "you/a"]),
        st.sampled_from(["1.0.0", "1.1.0-rc.1", "1.1.0", "1.10.0", "1.9.0"]),
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_what_writers_and_reindex_leave_is_what_fsck_expects(steps):
    """The index is derived in two places, here and by writers; whatever happened, they agree."""
    MemoryFileSystem.store.clear()
    registry = Registry(memory())
    registry.prepare()
    for step, name, version in steps:
        ref = ModelRef(*name.split("/"), version)
        try:
            if step == "publish":
                registry.publish(*release(name, version, classes=("cat", "dog"), weights_bytes=10, module_bytes=10))
            elif step == "alias":
                registry.set_alias(version.replace(".", "x"), name)
            elif step == "bury":
                registry.take_down(ref, "bad")
            else:
                registry.yank(ref, "bad", undo=step == "undo")
        except (NotFound, Conflict):
            continue
    assert {found.kind for found in fsck(registry).findings} <= {"orphaned-blob"}
    before = snapshot(registry.store)
    reindex(registry)
    changed = {path for path, data in snapshot(registry.store).items() if before.get(path) != data}
    assert changed <= {"catalog.json"}
    assert {found.kind for found in fsck(registry).findings} <= {"orphaned-blob"}


# Where the store cannot list


@pytest.fixture
def website(tmp_path):
    """A folder with a registry, and the same as a web server shows it."""
    furnished(LocalStore(tmp_path / "www"))
    with static_server(tmp_path / "www") as url:
        yield LocalStore(tmp_path / "www"), Registry(open_store(url))


def test_over_plain_http_what_the_index_names_is_examined(website):
    _, registry = website
    report = fsck(registry)
    assert report.findings == ()
    # The release that was taken down is in no index, and signatures cannot be listed.
    assert (report.releases, report.records, report.signatures) == (3, 7, 0)


#: Signatures, revocations and what was taken down are in no index; a gap looks like the end of a history.
UNSEEN_OVER_HTTP = {"broken signature", "broken revocation", "broken tombstone", "no first entry", "no entry between"}


@pytest.mark.parametrize("name", sorted(DAMAGES.keys() - UNSEEN_OVER_HTTP))
def test_over_plain_http_damage_is_found(website, name):
    folder, registry = website
    path, data, kind, _ = DAMAGES[name]
    spoil(folder, path, data)
    assert kind in [found.kind for found in fsck(registry).damage]


@pytest.mark.parametrize("data", [None, b"?"])
@pytest.mark.parametrize("path", ["catalog.json", "catalog/me.json", "index/me/net.json"])
def test_over_plain_http_a_bad_index_is_damage(website, path, data):
    folder, registry = website
    spoil(folder, path, data)
    assert [found.path for found in fsck(registry).damage] == [path]


def test_over_plain_http_a_stale_index_is_damage(website):
    folder, registry = website
    before = snapshot(folder)
    Registry(folder).yank(REF, "bad")
    for path in ("index/me/net.json", "catalog/me.json"):
        folder.replace(path, before[path])
    assert [found.path for found in fsck(registry).damage] == ["catalog/me.json", "index/me/net.json"]


# Repairing


def test_a_lost_release_comes_back_only_as_the_index_knows_it(registry):
    other = Registry(memory())
    other.publish(*release(classes=("cat", "dog"), seed=9))
    other.publish(*release("you/net", classes=("owl", "bat"), seed=9))
    # The index here knows the one's digest; of the other, nothing contradicts.
    registry.store.delete(release_path(REF))
    registry.store.replace(release_path(ModelRef("you", "net", "1.0.0")), b"?")
    registry.store.delete("index/you/net.json")
    report = fsck(registry, repair_from=other)
    (left,) = [found for found in report.damage if found.kind == "missing-release"]
    digest = other.manifest(REF).digest
    assert left.message.endswith(
        f"Not repaired: the other registry's is {digest}, but the index here says {MANIFEST.digest}."
    )
    assert "releases/you/net/1.0.0.json" in [found.path for found in report.repaired]
    assert (
        registry.manifest(ModelRef("you", "net", "1.0.0")).digest
        == release("you/net", classes=("owl", "bat"), seed=9)[0].digest
    )


def test_the_blobs_of_a_release_that_was_restored_are_restored_too(registry, good):
    registry.store.delete(release_path(REF))
    for digest in BLOBS:
        registry.store.delete(blob_path(digest))
    report = fsck(registry, repair_from=good)
    assert report.clean
    assert len(report.repaired) == 4
    assert snapshot(registry.store) == snapshot(good.store)


def test_what_the_other_has_damaged_too_stays(registry, good):
    other = Registry(memory())
    mirror(good, other)
    for store in (registry.store, other.store):
        store.replace(BLOB, b"?")
        store.replace(release_path(YANKED), b"?")
        store.replace(record_path("alias", "pets", 1), b"?")
    before = snapshot(registry.store)
    report = fsck(registry, repair_from=other)
    assert [found.kind for found in report.damage] == ["truncated", "bad-json", "bad-json"]
    assert all("Not repaired: the other registry cannot help: " in found.message for found in report.damage)
    assert snapshot(registry.store) == before


def said(store):
    """What the first entry of an alias says, whenever it was written."""
    value = parse_json(store.get(record_path("alias", "pets", 1), max_bytes=10**5), what="the entry")
    return {name: part for name, part in value.items() if name not in ("created", "checksum")}


def test_an_entry_is_taken_only_when_the_others_agree(registry):
    """The other alias has the same name and another story; the entries that are whole here contradict it."""
    other = furnished(memory())
    assert said(other.store) == said(registry.store)
    strange = Registry(memory())
    for target in ("you/net", "me/net"):
        strange.set_alias("pets", target)
    registry.store.delete(record_path("alias", "pets", 1))
    report = fsck(registry, repair_from=strange)
    assert report.damage[0].message.endswith("Not repaired: the other registry has another entry 2.")
    assert not registry.store.exists(record_path("alias", "pets", 1))


def test_a_copy_that_is_behind_can_still_fill_a_gap(registry, good):
    behind = Registry(memory())
    for number in (1, 2):
        path = record_path("alias", "pets", number)
        behind.store.put_if_absent(path, snapshot(good.store)[path])
    behind.initialise()
    registry.store.delete(record_path("alias", "pets", 2))
    assert fsck(registry, repair_from=behind).clean
    registry.store.delete(record_path("alias", "pets", 3))
    report = fsck(registry, repair_from=behind)
    assert report.damage[0].message.endswith(
        "Not repaired: the other registry has 2 entries, which do not fill the gap."
    )


def test_a_registry_does_not_repair_itself_and_a_read_only_one_is_not_repaired(good, tmp_path):
    with pytest.raises(UsageError, match="cannot be repaired from itself") as caught:
        fsck(good, repair_from=Registry(good.store))
    assert caught.value.kind == "same-registry"
    furnished(LocalStore(tmp_path / "r"))
    with pytest.raises(RegistryUnreachable, match="is read-only"):
        fsck(Registry(LocalStore(tmp_path / "r", writable=False)), repair_from=good)
    with pytest.raises(RegistryUnreachable, match="there is no registry at"):
        fsck(good, repair_from=Registry(LocalStore(tmp_path / "nowhere")))


def test_only_a_registry_is_examined(tmp_path):
    with pytest.raises(RegistryUnreachable, match="there is no registry at"):
        fsck(Registry(LocalStore(tmp_path)))


def test_repairs_that_are_interrupted_anywhere_are_finished_by_the_next(registry, good):
    for path, data, _, _ in DAMAGES.values():
        spoil(registry.store, path, data)
    # Each fifth, which is followed to its end.
    for number in range(5, 1000, 1 if thinning.ALL else 5):
        world = copied(registry.store)

        def stop(now, after, number=number):
            if now == number and not after:
                raise KeyboardInterrupt

        watched = Watched(world, stop)
        try:
            fsck(Registry(watched), repair_from=good)
        except KeyboardInterrupt:
            assert fsck(Registry(world), repair_from=good).clean
        else:
            break
    assert number > 100
