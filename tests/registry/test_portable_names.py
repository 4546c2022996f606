"""New names are such that every file system can hold them; others that exist are read, mirrored and added to."""

from __future__ import annotations

import pytest
from synthetic import release

from modhub.data.classes import slugs_of
from modhub.errors import Conflict, InvalidRef
from modhub.ops.install import install
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.mirror import mirror
from modhub.registry.publication import checked_bytes
from modhub.registry.writer import Registry
from modhub.settings.private_keys import create_key
from modhub.spec.refs import ModelRef, check_name, check_new_name, is_portable
from modhub.storage.urls import open_store

BAD = ["con", "prn", "aux", "nul", "com1", "com0", "lpt9", "nul.v1", "con.tar.gz", "net."]
GOOD = ["cons", "com", "com10", "com-1", "lpt", "net.con", "net.v1", "v1.0", "null", "a.b"]


@pytest.fixture
def registry(tmp_path):
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.prepare()
    return registry


@pytest.mark.parametrize("name", BAD)
def test_a_new_name_that_some_file_system_cannot_hold_is_refused(name):
    assert check_name(name, "model") == name
    with pytest.raises(InvalidRef, match="some file systems cannot hold it") as caught:
        check_new_name(name, "model")
    assert caught.value.kind == "unportable-name"


@pytest.mark.parametrize("name", GOOD)
def test_what_only_looks_like_one_is_not(name):
    assert check_new_name(name, "model") == name


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("place", ["{}/net", "me/{}"])
def test_nothing_new_is_published_under_it(registry, name, place):
    before = registry.store.list("")
    for manifest, blobs in (release(place.format(name)), release(place.format(name), None)):
        publish = registry.publish if manifest.content.version else registry.publish_next
        with pytest.raises(InvalidRef) as caught:
            publish(manifest, blobs)
        assert caught.value.kind == "unportable-name"
    with pytest.raises(InvalidRef):
        registry.set_alias(name, "me/net")
    with pytest.raises(InvalidRef):
        create_key(name)
    assert registry.store.list("") == before


def old(registry, name):
    """A release as it was published before such names were refused."""
    manifest, blobs = release(name)
    registry.publish_stored(manifest, checked_bytes(manifest, blobs), blobs)


@pytest.mark.parametrize("name", ["aux/net", "me/nul.v1"])
def test_what_exists_is_read_installed_mirrored_carried_and_added_to(registry, tmp_path, name):
    old(registry, name)
    assert [pin.name for pin in install(f"{name}:cat", registry=registry.url)] == ["cat"]
    assert registry.publish(*release(name, "1.1.0", seed=1)).created
    assert str(registry.publish_next(*release(name, None, seed=2)).ref) == f"{name}@1.2.0"
    other = Registry(open_store(str(tmp_path / "mirror")))
    mirror(registry, other)
    assert other.models() == [name]
    assert fsck(other).findings == ()


def test_versions_that_differ_in_case_only(registry):
    registry.publish(*release(version="1.0.0-rc.1"))
    with pytest.raises(
        Conflict, match=r"me/net@1\.0\.0-RC\.1 differs from me/net@1\.0\.0-rc\.1.*only in case"
    ) as caught:
        registry.publish(*release(version="1.0.0-RC.1", seed=1))
    assert caught.value.kind == "version-case"
    assert registry.publish(*release(version="1.0.0-rc.1")).created is False
    assert registry.publish(*release("me/other", "1.0.0-RC.1")).created
    assert registry.versions("me", "net") == ["1.0.0-rc.1"]
    # Where both exist, both are read.
    manifest, blobs = release(version="1.0.0-RC.1", seed=1)
    registry.publish_stored(manifest, checked_bytes(manifest, blobs), blobs)
    for version in ("1.0.0-rc.1", "1.0.0-RC.1"):
        assert registry.manifest(ModelRef("me", "net", version)).content.version == version
        assert not registry.publish(*release(version=version, seed=int(version == "1.0.0-RC.1"))).created


def test_a_class_with_such_a_name_keeps_it_and_gets_another_slug():
    assert slugs_of(["con", "NUL.v1", "cat", "coney"]) == ("con-class", "nul.v1-class", "cat", "coney")
    assert all(map(is_portable, slugs_of(["aux", "com1", "lpt1"])))


def test_decompose_refuses_it_before_it_looks_at_anything():
    from modhub.ops.decompose import decompose

    with pytest.raises(InvalidRef, match=r"the model 'nul\.v1' begins with 'nul'") as caught:
        decompose(None, None, name="me/nul.v1")
    assert caught.value.kind == "unportable-name"
