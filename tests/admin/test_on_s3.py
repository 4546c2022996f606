"""The same care on S3, as moto plays it: ages in whole seconds, many operations at once, another clock than ours."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admin_stores import memory, snapshot
from servers import s3_server, shared_s3
from synthetic import release

from modhub.registry.admin.archive import export_release, import_release
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.admin.mirror import mirror
from modhub.registry.admin.takedown import take_down
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef
from modhub.storage.remote import FileSystemStore

REF = ModelRef("me", "net", "1.0.0")
ALICE = new_signer("alice")


@pytest.fixture(scope="module")
def server():
    with s3_server() as server:
        server.bucket("registries")
        yield server


@pytest.fixture
def registry(server, request):
    url = f"s3://registries/{request.node.name}"
    registry = Registry(FileSystemStore(url, backend=shared_s3(server.endpoint)))
    registry.initialise()
    registry.publish(*release(classes=("cat", "dog")), signer=ALICE)
    registry.publish(*release(version="1.1.0", classes=("cat", "dog"), seed=1))
    registry.set_alias("pets", "me/net", signer=ALICE)
    return registry


def test_examined_copied_both_ways_and_repaired(registry, tmp_path):
    assert fsck(registry).findings == ()
    copy = Registry(memory())
    assert mirror(registry, copy).problems == ()
    assert snapshot(copy.store).keys() == snapshot(registry.store).keys()
    for path in registry.store.list(""):
        if path.startswith(("blobs", "releases", "records", "signatures")) and not path.endswith("1.0.0.json"):
            registry.store.delete(path)
    assert len(fsck(registry).damage) == 4
    assert fsck(registry, repair_from=copy).clean
    assert mirror(copy, registry).problems == ()
    assert fsck(registry).findings == ()
    kept = {path: data for path, data in snapshot(copy.store).items() if path != "modhub-registry.json"}
    assert {path: data for path, data in snapshot(registry.store).items() if path != "modhub-registry.json"} == kept
    export_release(registry, REF, tmp_path / "net.tar")
    assert import_release(tmp_path / "net.tar", registry).created is False


def test_collected_and_taken_down(registry):
    lost = release("me/lost", classes=("cat", "dog"))[1]
    registry.store.put_all({blob_path(digest): data for digest, data in lost.items()})
    assert len(collect(registry).waiting) == len(collect(registry, dry_run=True).waiting) == 3
    assert collect(registry, older_than=timedelta(seconds=0)).freed == sum(map(len, lost.values()))
    assert fsck(registry).findings == ()
    assert len(take_down(registry, REF, "not ours").deleted) == 3
    assert fsck(registry).findings == ()
    assert not registry.store.list("gc")
