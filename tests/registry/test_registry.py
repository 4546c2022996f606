"""Publishing, reading and searching, on both stores."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from pathlib import Path

import pytest
from crashing import as_nobody
from synthetic import release

from modhub.errors import Conflict, Incompatible, IntegrityError, InvalidRef, NotFound, RegistryUnreachable, UsageError
from modhub.registry.publication import versioned
from modhub.registry.writer import Registry
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.layout import blob_path
from modhub.spec.manifest import read_manifest, write_manifest
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.store import Capabilities
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")


@pytest.fixture(params=["local", "memory"])
def registry(request, tmp_path):
    return Registry(
        open_store(str(tmp_path / "registry") if request.param == "local" else f"memory://{uuid.uuid4().hex}")
    )


@pytest.fixture
def local(tmp_path):
    return Registry(LocalStore(tmp_path / "registry"))


def refit(manifest, **changes):
    """The manifest with other content, its digest and checksum made right again: a hostile registry can do that."""
    value = json.loads(write_manifest(manifest))
    value.pop("checksum")
    for path, new in changes.items():
        *folders, last = path.split("__")
        inner = value
        for folder in folders:
            inner = inner[folder]
        inner[last] = new
    value["digest"] = sha256(canonical_json(value["content"]))
    return canonical_json(value | {"checksum": sha256(canonical_json(value))})


# Round trips


def test_what_was_published_comes_back(registry):
    manifest, blobs = release()
    result = registry.publish(manifest, blobs)
    assert (result.ref, result.created, result.warnings, result.registry) == (REF, True, (), registry.url)
    assert result.digest == manifest.digest
    assert registry.manifest(REF) == manifest
    assert registry.release(REF) == (manifest, write_manifest(manifest))
    assert {record.sha256: registry.blob(record).stored for record in manifest.blobs.values()} == blobs
    assert registry.versions("me", "net") == ["1.0.0"]
    assert registry.models() == registry.models("me") == ["me/net"]
    assert registry.models("you") == []
    summary = registry.summary(REF)
    assert summary.slugs == ("cat", "dog", "potters-wheel")
    assert summary.classes == ("cat", "dog", "potter's wheel")
    assert summary.digest == manifest.digest
    assert summary.size == sum(map(len, blobs.values()))


def test_versions_come_in_their_own_order(registry):
    for version in ("1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0", "1.9.0-alpha", "0.1.0"):
        registry.publish(*release(version=version))
    assert registry.versions("me", "net") == ["0.1.0", "1.9.0-alpha", "1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0"]


def test_foreign_files_are_none_of_the_registrys(registry):
    registry.publish(*release())
    for path in ("me/net/notes.txt", "me/net/latest.json", "README", "Me/net/1.0.0.json"):
        registry.store.replace(f"releases/{path}", b"?")
    assert registry.versions("me", "net") == ["1.0.0"]
    assert registry.models() == ["me/net"]
    assert [entry.ref for entry in registry.entries()] == [REF]


# Publishing again


def test_equal_content_is_a_no_op_whenever_and_by_whomever_it_was_made(registry):
    manifest, blobs = release()
    registry.publish(manifest, blobs)
    before = registry.release(REF)
    provenance = manifest.provenance.model_copy(update={"created": "2027-01-01T00:00:00+00:00"})
    again = registry.publish(manifest.model_copy(update={"provenance": provenance}), blobs)
    assert again.created is False
    assert again.digest == manifest.digest
    assert registry.release(REF) == before


def test_equal_content_stored_otherwise_is_a_no_op_too(registry):
    registry.publish(*release())
    assert registry.publish(*release(stored_seed=1)).created is False
    assert registry.manifest(REF) == release()[0]


def test_other_content_under_the_same_version_is_a_conflict_that_names_both(registry):
    mine, theirs = release(seed=1), release()
    registry.publish(*theirs)
    with pytest.raises(Conflict) as caught:
        registry.publish(*mine)
    assert caught.value.kind == "version-exists"
    assert mine[0].digest in str(caught.value)
    assert theirs[0].digest in str(caught.value)
    assert "publish under another version" in str(caught.value)
    assert registry.manifest(REF) == theirs[0]
    # Nothing of the refused release was written.
    assert not any(registry.store.exists(blob_path(digest)) for digest in mine[1])


def test_the_next_version_is_claimed(registry):
    unversioned = release(version=None)
    assert str(registry.publish_next(*unversioned).ref) == "me/net@1.0.0"
    same = registry.publish_next(*unversioned)
    assert (str(same.ref), same.created) == ("me/net@1.0.0", False)
    registry.publish(*release(version="1.7.3", seed=1))
    registry.publish(*release(version="2.0.0-rc.1", seed=2))
    new = registry.publish_next(*release(version=None, seed=3))
    assert (str(new.ref), new.created) == ("me/net@1.8.0", True)
    assert new.digest == versioned(release(version=None, seed=3)[0], "1.8.0").digest
    assert str(registry.publish_next(*release(version="9.9.9", seed=1)).ref) == "me/net@1.7.3"


def test_a_damaged_old_release_is_not_passed_over_in_silence(local):
    local.publish(*release())
    (local.store.root / "releases/me/net/1.0.0.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError, match=r"me/net@1\.0\.0"):
        local.publish_next(*release(version=None, seed=1))
    with pytest.raises(IntegrityError, match=r"me/net@1\.0\.0"):
        local.publish(*release())
    assert local.publish(*release(version="1.1.0", seed=1)).created


@pytest.mark.parametrize("again", ["same version", "new version"])
@pytest.mark.parametrize("damage", [b"", b"\0" * 5000, b"other bytes", None])
def test_publishing_again_repairs_a_bad_blob(local, damage, again):
    manifest, blobs = release()
    local.publish(manifest, blobs)
    weights = manifest.blobs[manifest.content.origin.weights]
    file = local.store.root / blob_path(weights.sha256)
    file.unlink() if damage is None else file.write_bytes(damage)
    with pytest.raises(IntegrityError):
        local.blob(weights)
    local.publish(manifest if again == "same version" else versioned(manifest, "1.1.0"), blobs)
    assert local.blob(weights).stored == blobs[weights.sha256]


def test_a_new_release_refreshes_the_age_of_the_blobs_that_it_shares(local):
    manifest, blobs = release()
    local.publish(manifest, blobs)
    files = [local.store.root / blob_path(digest) for digest in blobs]
    for file in files:
        os.utime(file, (1, 1))
    local.publish(versioned(manifest, "1.1.0"), blobs)
    assert all(file.stat().st_mtime > 1_000_000_000 for file in files)


# Bad publications


def test_blobs_and_table_must_agree(registry):
    manifest, blobs = release()
    some = next(iter(blobs))
    for wrong, kind in (({}, "missing-blob"), ({some: blobs[some] + b"x"}, "bad-blob"), ({some: b"x"}, "bad-blob")):
        given = {key: value for key, value in (blobs | wrong).items() if wrong or key != some}
        with pytest.raises(IntegrityError) as caught:
            registry.publish(manifest, given)
        assert caught.value.kind == kind
        assert some in str(caught.value)
    assert registry.store.list("") == []


def test_a_manifest_must_carry_its_own_digest(registry):
    manifest, blobs = release()
    with pytest.raises(IntegrityError) as caught:
        registry.publish(manifest.model_copy(update={"digest": sha256(b"other")}), blobs)
    assert caught.value.kind == "bad-digest"
    assert registry.store.list("") == []


def test_a_release_needs_a_version(registry):
    with pytest.raises(UsageError, match=r"for example 1\.0\.0"):
        registry.publish(*release(version=None))


def test_a_name_that_means_a_folder_above_is_refused(registry):
    with pytest.raises(InvalidRef):
        registry.publish(*release(name="me/a..b"))


def test_a_read_only_registry_says_so(local):
    local.publish(*release())
    closed = Registry(LocalStore(local.store.root, writable=False), name="starter")
    for change in (
        lambda: closed.publish(*release(version="2.0.0")),
        lambda: closed.publish_next(*release(seed=4)),
        lambda: closed.set_alias("n", "me/net"),
        closed.initialise,
    ):
        with pytest.raises(RegistryUnreachable, match="starter is read-only") as caught:
            change()
        assert caught.value.kind == "not-writable"


def _publish(url):
    Registry(open_store(url)).publish(*release())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for this")
def test_a_folder_without_the_right_to_write_for_another_user():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        _, (name, kind, message) = as_nobody(_publish, f"{folder}/registry")
    assert (name, kind) == ("RegistryUnreachable", "not-writable")
    assert f"cannot write {folder}/registry" in message
    assert "Permission denied" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(RegistryUnreachable, match="Permission denied") as caught:
        Registry(open_store(str(tmp_path / "registry"))).publish(*release())
    assert caught.value.kind == "not-writable"


def test_a_registry_path_that_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    registry = Registry(open_store(str(tmp_path / "file")))
    for use in (lambda: registry.publish(*release()), registry.check, registry.initialise, registry.models):
        with pytest.raises(RegistryUnreachable, match="is a file, not a folder"):
            use()


# Bad bytes


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("truncated", lambda data: data[:-1]),
        ("truncated", lambda data: b""),
        ("padded", lambda data: data + b"\0"),
        ("padded", lambda data: data * 3),
        ("zeroed", lambda data: bytes(len(data))),
        ("swapped", lambda data: data[::-1]),
        ("swapped", lambda data: bytes([data[0] ^ 1]) + data[1:]),
    ],
)
def test_a_damaged_blob_is_described(local, kind, damage):
    manifest, blobs = release()
    local.publish(manifest, blobs)
    record = manifest.blobs[manifest.content.modules[0].blob]
    file = local.store.root / blob_path(record.sha256)
    bad = damage(blobs[record.sha256])
    file.write_bytes(bad)
    with pytest.raises(IntegrityError) as caught:
        local.blob(record)
    assert caught.value.kind == kind
    assert str(file) in str(caught.value)
    both = (f"{len(bad)} bytes", f"{record.size} bytes") if len(bad) != record.size else (sha256(bad), record.sha256)
    assert all(value in str(caught.value) for value in both)
    assert "publish the same release again" in str(caught.value)


def test_a_missing_blob_is_damage_and_not_absence(local):
    manifest, blobs = release()
    local.publish(manifest, blobs)
    record = manifest.blobs[manifest.content.origin.weights]
    (local.store.root / blob_path(record.sha256)).unlink()
    with pytest.raises(IntegrityError, match="is missing although a release needs it"):
        local.blob(record)


def test_a_blob_beyond_its_bound_is_not_read(local):
    """A sparse file of 64 GiB would take minutes and all memory if it were read before its size is known."""
    manifest, blobs = release()
    local.publish(manifest, blobs)
    record = manifest.blobs[manifest.content.origin.weights]
    with (local.store.root / blob_path(record.sha256)).open("r+b") as file:
        file.truncate(64 * 2**30)
    with pytest.raises(IntegrityError, match=f"{64 * 2**30} bytes instead of 5000 bytes"):
        local.blob(record)


def test_a_manifest_of_another_release_is_refused(registry):
    manifest, blobs = release()
    registry.publish(manifest, blobs)
    for path in ("releases/me/net/2.0.0.json", "releases/me/other/1.0.0.json", "releases/you/net/1.0.0.json"):
        registry.store.replace(path, write_manifest(manifest))
        _, namespace, model, file = path.split("/")
        with pytest.raises(IntegrityError, match=r"says that it is me/net@1\.0\.0") as caught:
            registry.manifest(ModelRef(namespace, model, file.removesuffix(".json")))
        assert caught.value.kind == "wrong-release"


def test_a_newer_format_asks_for_an_upgrade(registry):
    manifest, blobs = release()
    registry.publish(manifest, blobs)
    registry.store.replace("releases/me/net/1.0.0.json", refit(manifest, format=4))
    with pytest.raises(Incompatible, match="format 4; this version of modhub reads up to format 3") as caught:
        registry.manifest(REF)
    assert caught.value.kind == "newer-format"
    assert "pip install --upgrade modhub" in str(caught.value)


def test_an_unknown_release_is_named(registry):
    with pytest.raises(NotFound, match=r"has no release me/net@3\.0\.0"):
        registry.manifest(ModelRef("me", "net", "3.0.0"))


# The marker


def test_a_registry_is_made_once(registry):
    with pytest.raises(RegistryUnreachable, match="modhub registry init") as caught:
        registry.check()
    assert caught.value.kind == "no-registry"
    assert registry.initialise() is True
    before = registry.store.get("modhub-registry.json", max_bytes=1000)
    assert registry.initialise() is False
    registry.check()
    assert registry.store.get("modhub-registry.json", max_bytes=1000) == before


def test_a_registry_of_a_newer_format_is_left_alone(registry):
    marker = {"created": "2030-01-01T00:00:00+00:00", "format": 2}
    data = canonical_json(marker | {"checksum": sha256(canonical_json(marker))})
    registry.store.put_if_absent("modhub-registry.json", data)
    for use in (registry.check, lambda: registry.publish(*release()), lambda: registry.set_alias("n", "me/net")):
        with pytest.raises(Incompatible, match="format 2"):
            use()
    assert registry.store.list("") == ["modhub-registry.json"]


# The index


@pytest.mark.parametrize(
    ("path", "other"), [("index/me/net.json", "index/me/not.json"), ("catalog/me.json", "catalog/you.json")]
)
@pytest.mark.parametrize("state", ["good", "missing", "stale", "ahead", "garbage", "another's", "newer"])
def test_a_bad_index_is_never_believed(registry, state, path, other):
    registry.publish(*release())
    old = registry.store.get(path, max_bytes=10**6)
    registry.publish(*release(version="1.1.0", seed=1))
    new = registry.store.get(path, max_bytes=10**6)
    if state == "stale":
        registry.store.replace(path, old)
    elif state == "ahead":
        registry = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
        registry.publish(*release())
        registry.store.replace(path, new)
    elif state == "garbage":
        registry.store.replace(path, b"\xff{")
    elif state == "another's":
        for name in ("me/not", "you/net"):
            registry.publish(*release(name=name, seed=2))
            registry.publish(*release(name=name, version="1.1.0", seed=3))
        registry.store.replace(path, registry.store.get(other, max_bytes=10**6))
    elif state == "newer":
        registry.store.replace(path, new.replace(b'"format":1', b'"format":2'))
    elif state == "missing":
        empty = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
        for file in registry.store.list(""):
            if file != path:
                empty.store.put_if_absent(file, registry.store.get(file, max_bytes=10**6))
        registry = empty
    expected = ["1.0.0"] if state == "ahead" else ["1.0.0", "1.1.0"]
    assert [entry.version for entry in registry.index("me", "net").releases] == expected
    found = next(entry for entry in registry.entries() if entry.ref.name == "me/net")
    assert found.ref.version == expected[-1]
    assert found.release == registry.summary(ModelRef("me", "net", expected[-1]))


def test_a_publisher_that_was_overtaken_leaves_an_index_of_everything(tmp_path):
    """Between listing and writing the index, somebody else publishes and writes theirs: the older must not stay."""

    class Overtaken(LocalStore):
        overtakers = 2

        def replace(self, path, data):
            if path.startswith("index/") and self.overtakers:
                self.overtakers -= 1
                version = f"2.{self.overtakers}.0"
                Registry(LocalStore(self.root)).publish(*release(version=version, seed=2))
            super().replace(path, data)

    Registry(Overtaken(tmp_path)).publish(*release())
    shard = json.loads((tmp_path / "index/me/net.json").read_bytes())
    assert [entry["version"] for entry in shard["releases"]] == ["1.0.0", "2.0.0", "2.1.0"]


def test_one_damaged_release_does_not_hide_the_others(local):
    local.publish(*release())
    local.publish(*release(version="1.1.0", seed=1))
    local.publish(*release(name="you/net"))
    (local.store.root / "releases/me/net/1.0.0.json").write_bytes(b"{}")
    (local.store.root / "index/me/net.json").unlink()
    (local.store.root / "catalog/me.json").unlink()
    problems = []
    assert [str(entry.ref) for entry in local.entries(problems.append)] == ["me/net@1.1.0", "you/net@1.0.0"]
    assert ["me/net@1.0.0" in str(problem) for problem in problems] == [True]
    for strict in (lambda: list(local.entries()), lambda: local.index("me", "net")):
        with pytest.raises(IntegrityError):
            strict()


def test_a_release_is_published_although_its_index_cannot_be_written(local):
    (local.store.root / "index").mkdir(parents=True)
    (local.store.root / "index/me").write_bytes(b"a file in the way")
    result = local.publish(*release())
    assert result.created
    assert len(result.warnings) == 1
    assert f"the index of me/net in {local.name} could not be written" in result.warnings[0]
    assert local.manifest(REF).digest == result.digest


def test_a_store_that_cannot_list_is_served_from_the_index(registry):
    class Unlisted:
        def __init__(self, store):
            self.url, self.get, self.exists = store.url, store.get, store.exists
            self.capabilities = Capabilities(writable=False, can_list=False)

    registry.publish(*release())
    registry.set_alias("n", "me/net")
    registry.set_alias("n", None)
    registry.set_alias("n", "me/net")
    mirror = Registry(Unlisted(registry.store))
    assert mirror.versions("me", "net") == ["1.0.0"]
    assert mirror.versions("me", "unknown") == []
    assert mirror.index("me", "net") == registry.index("me", "net")
    assert mirror.alias("n") == "me/net"
    assert mirror.models() == mirror.models("me") == ["me/net"]
    assert mirror.models("you") == []
    assert mirror.alias_names() == ["n"]
    assert list(mirror.entries()) == list(registry.entries())
    registry.store.delete("catalog.json")
    for use in (mirror.models, lambda: list(mirror.entries())):
        with pytest.raises(RegistryUnreachable, match="name the model in full") as caught:
            use()
        assert caught.value.kind == "no-index"


def test_unknown_fields_survive_publication(registry):
    manifest, blobs = release()
    data = refit(manifest, content__origin__licence="MIT", later={"x": [1, 2]}, content__future=1)
    extended = read_manifest(data, what="x")
    registry.publish(extended, blobs)
    assert registry.release(REF)[1] == data
    again = registry.publish_next(versioned(extended, None), blobs)
    assert again.created is False
