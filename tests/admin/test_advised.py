"""Keeping a registry in which modules were advised against: collected, examined, repaired, copied, served."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admin_stores import copied, deaths, examined, memory, snapshot
from servers import static_server
from synthetic import release

from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror
from modhub.registry.advising import AdvisoryDraft
from modhub.registry.notices import confirms_advisory, notices_of
from modhub.registry.reader import RegistryReader
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.spec.advisories import Affected, affected_ranges
from modhub.spec.digests import sha256
from modhub.spec.layout import blob_path, notices_path, record_path
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

ALICE = new_signer("alice")
REPORT = b"of 100 cats 40 are wolves"
EVIDENCE = blob_path(sha256(REPORT))
CAT = Affected(model="net", classes=("cat",), ranges=affected_ranges("^1"))
DRAFT = AdvisoryDraft("me", "answers wolf", "high", (CAT,), "you/net:cat", evidence={"report.txt": REPORT})


def advise(store):
    return Registry(store).advise(DRAFT, signer=ALICE)


def advised(store):
    registry = Registry(store)
    registry.publish(*release(classes=("cat", "dog")))
    registry.publish(*release("you/net", classes=("cat", "bat")))
    advise(store)
    registry.deprecate("me/net", "few images", use="you/net", signer=ALICE)
    return registry


@pytest.fixture
def registry():
    return advised(memory())


def test_a_collection_keeps_evidence_and_signatures(registry):
    before = snapshot(registry.store)
    assert collect(registry, older_than=timedelta(0)).deleted == ()
    assert snapshot(registry.store).items() >= before.items()
    assert fsck(registry).findings == ()


def test_where_an_advisory_cannot_be_read_no_blob_is_an_orphan(registry):
    registry.store.put_if_absent(blob_path(sha256(b"orphan")), b"orphan")
    (path,) = registry.store.list("records/advisory")
    registry.store.replace(path, b"{}")
    assert collect(registry, older_than=timedelta(0)).deleted == ()


def test_missing_evidence_and_broken_records_are_found_and_repaired(registry):
    good = Registry(copied(registry.store))
    (path,) = registry.store.list("records/advisory")
    registry.store.delete(EVIDENCE)
    registry.store.replace(path, b"{}")
    assert {found.path for found in fsck(registry).damage} == {path.rpartition("/")[0]}
    assert {found.path for found in fsck(registry, repair_from=good).repaired} == {path.rpartition("/")[0], EVIDENCE}
    assert snapshot(registry.store) == snapshot(good.store)
    registry.store.replace(EVIDENCE, b"of 100 cats none is a wolf")
    (found,) = fsck(registry).damage
    assert "It belongs to the advisory me/modhub-" in found.message


@pytest.mark.parametrize(
    ("change", "kind"), [("gone", "missing-index"), ("broken", "broken-index"), ("old", "stale-index")]
)
def test_a_derived_file_that_says_something_else_is_found_and_mended(registry, change, kind):
    path = notices_path("me")
    if change == "gone":
        registry.store.delete(path)
    elif change == "broken":
        registry.store.replace(path, b"{}")
    else:
        before = registry.store.get(path, max_bytes=10**5)
        registry.deprecate("me/net", "well again", undo=True)
        registry.store.replace(path, before)
    assert [(found.kind, found.path) for found in fsck(registry).untidy] == [(kind, path)]
    assert reindex(registry) == []
    assert fsck(registry).findings == ()


def test_a_file_about_nothing_is_removed(registry):
    for path in registry.store.list("records"):
        registry.store.delete(path)
    assert "outdated-index" in {found.kind for found in fsck(registry).untidy}
    assert reindex(registry) == []
    assert not registry.store.exists(notices_path("me"))


def test_a_copy_has_all_of_it_and_a_part_what_is_about_it(registry):
    whole, part = Registry(memory()), Registry(memory())
    assert mirror(registry, whole).problems == mirror(registry, part, ["you/net"]).problems == ()
    assert (
        snapshot(whole.store).items()
        >= {path: data for path, data in snapshot(registry.store).items() if path != "modhub-registry.json"}.items()
    )
    assert part.store.list("records") == []
    again = mirror(registry, whole)
    assert (again.entries, again.fetched) == (0, 0)


def test_a_broken_advisory_is_reported_and_the_rest_copied(registry):
    registry.store.replace(record_path("advisory", f"me/{advise(registry.store).advisory.id}", 1), b"{}")
    target = Registry(memory())
    (problem,) = mirror(registry, target).problems
    assert "records/advisory/me" in problem.message
    assert len(notices_of(target, "me").deprecations) == 1


def test_a_web_server_serves_the_file_and_the_records(tmp_path):
    folder = LocalStore(tmp_path / "www")
    mirror(advised(memory()), Registry(folder))
    with static_server(folder.root) as url:
        reader = RegistryReader(open_store(url))
        found = notices_of(reader, "me", thorough=True)
        assert [each.model for each in found.deprecations] == ["net"]
        assert confirms_advisory(reader, "me", found.advisories[0].id)
        assert notices_of(reader, "nobody").advisories == ()
        target = Registry(memory())
        assert mirror(reader, target, keys=[ALICE.id]).problems == ()
    assert notices_of(target, "me") == found
    assert target.store.exists(EVIDENCE)


def test_a_store_that_dies_at_any_operation_of_an_advisory():
    world, died = memory(), 0
    Registry(world).publish(*release(classes=("cat", "dog")))
    for number, store in deaths(lambda: copied(world), advise):
        examined(store)
        found = notices_of(Registry(store), "me", thorough=True).advisories
        assert all(store.exists(EVIDENCE) for _ in found), number
        assert advise(store).changed is not bool(found)
        assert [each.summary for each in notices_of(Registry(store), "me").advisories] == ["answers wolf"]
        died += 1
    assert died > 20


def test_a_release_in_a_file_comes_without_what_was_said_of_it(registry, tmp_path):
    export_release(registry, ModelRef("me", "net", "1.0.0"), tmp_path / "net.tar")
    target = Registry(memory())
    assert import_release(tmp_path / "net.tar", target).created
    assert target.store.list("records") == []
