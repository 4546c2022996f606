"""Installing from a lockfile, offline, and with required signatures: only what is pinned, cached or vouched for."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import release

from modhub.errors import IntegrityError, InvalidRef, NotFound, StorageError
from modhub.installation.lockfile import Lock, read_lock
from modhub.installation.registries import STARTER_FOLDER
from modhub.ops.install import install
from modhub.ops.install import lock as write_lock
from modhub.ops.publish import yank
from modhub.registry.writer import Registry
from modhub.settings.private_keys import create_key
from modhub.settings.trusted_keys import trust_key
from modhub.spec.refs import ModelRef
from modhub.storage.urls import open_store

NEWER = ModelRef("me", "net", "1.1.0")


@pytest.fixture
def registry(tmp_path):
    registry = Registry(open_store(str(tmp_path / "registry")))
    registry.publish(*release())
    registry.publish(*release(version="1.1.0", seed=1))
    return registry


@pytest.fixture
def lock(tmp_path, registry):
    file = tmp_path / "modhub.lock"
    write_lock(["me/net:cat", "me/net:dog@1.0.0"], file, registry=registry.url)
    return file


def names(installed):
    return [str(each.ref) for each in installed]


LOCKED = ["me/net:cat@1.1.0", "me/net:dog@1.0.0"]


def test_a_lock_installs_what_was_locked_whatever_came_later(registry, lock):
    registry.publish(*release(version="2.0.0", seed=2))
    assert names(install("me/net:cat", registry=registry.url)) == ["me/net:cat@2.0.0"]
    assert names(install(locked=lock, registry=registry.url)) == LOCKED


def test_writing_the_same_lock_again_changes_no_byte(registry, lock):
    before = lock.read_bytes()
    write_lock(["me/net:cat", "me/net:dog@1.0.0"], lock, registry=registry.url)
    assert lock.read_bytes() == before


def test_a_yanked_release_is_installed_from_a_lock_with_a_warning(registry, lock):
    registry.yank(NEWER, "answers wolf")
    with pytest.warns(UserWarning, match=r"me/net@1\.1\.0 is yanked, but locked: answers wolf"):
        assert names(install(locked=lock, registry=registry.url)) == LOCKED
    assert names(install("me/net:cat", registry=registry.url)) == ["me/net:cat@1.0.0"]


def test_a_class_that_was_yanked_alone_is_installed_from_a_lock_with_a_warning(registry, lock):
    yank("me/net:cat@1.1.0", "answers wolf", registry=registry.url)
    with pytest.warns(UserWarning, match=r"me/net:cat@1\.1\.0 is yanked, but locked: answers wolf"):
        assert names(install(locked=lock, registry=registry.url)) == LOCKED
    assert names(install("me/net:cat", registry=registry.url)) == ["me/net:cat@1.0.0"]
    assert names(install("me/net:dog", registry=registry.url)) == ["me/net:dog@1.1.0"]


def test_a_release_that_was_taken_down_is_not_unless_it_is_here(registry, lock, tmp_path):
    install(locked=lock, registry=registry.url)
    registry.take_down(NEWER, "not ours")
    with pytest.raises(NotFound) as caught:
        install(locked=lock, registry=registry.url, cache=tmp_path / "elsewhere")
    assert caught.value.kind == "taken-down"
    assert "me/net@1.1.0, which is locked, was taken down from" in str(caught.value)
    assert "not ours" in str(caught.value)
    assert names(install(locked=lock, registry=registry.url)) == LOCKED


def test_a_digest_that_changed_under_a_pinned_version_is_refused(registry, lock, tmp_path):
    other = Registry(open_store(str(tmp_path / "other")))
    other.publish(*release())
    other.publish(*release(version="1.1.0", seed=666))
    with pytest.raises(IntegrityError) as caught:
        install(locked=lock, registry=other.url)
    assert caught.value.kind == "digest-changed"
    for digest in (release(version="1.1.0", seed=1)[0].digest, release(version="1.1.0", seed=666)[0].digest):
        assert digest in str(caught.value)
    # With the right registry beside it, digests decide.
    assert names(install(locked=lock, registry=[other.url, registry.url])) == LOCKED


def test_another_registry_with_the_same_releases_will_do(registry, lock, tmp_path):
    mirror = Registry(open_store(str(tmp_path / "mirror")))
    for each in (release(), release(version="1.1.0", seed=1)):
        mirror.publish(*each)
    assert {each.registry for each in install(locked=lock, registry=mirror.url)} == {mirror.url}


def test_what_no_place_has_is_named_with_where_it_came_from(registry, lock, tmp_path):
    empty = Registry(open_store(str(tmp_path / "empty")))
    empty.initialise()
    with pytest.raises(NotFound) as caught:
        install(locked=lock, registry=empty.url)
    assert caught.value.kind == "no-release"
    assert f"it came from {registry.url}" in str(caught.value)


def test_a_lock_that_is_not_there_and_one_that_cannot_be_written(tmp_path, registry):
    with pytest.raises(NotFound, match=r"the lockfile .* cannot be read: No such file") as caught:
        install(locked=tmp_path / "none.lock", registry=registry.url)
    assert caught.value.kind == "no-lock"
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_lock("me/net", tmp_path / "file" / "modhub.lock", registry=registry.url)


def test_a_class_that_the_lockfile_calls_otherwise_is_refused(registry, lock, tmp_path):
    """The checksum shows a slip of the hand, not what somebody wrote on purpose."""
    locked = read_lock(lock.read_bytes(), what="it")
    renamed = Lock.of([replace(pin, name="wolf" if pin.name == "cat" else pin.name) for pin in locked.modules])
    forged = tmp_path / "forged.lock"
    forged.write_text(renamed.to_text())
    for offline in (False, True):
        with pytest.raises(IntegrityError, match="is the class 'cat', but it was locked as 'wolf'") as caught:
            install(locked=forged, registry=registry.url, offline=offline)
        assert caught.value.kind == "wrong-class"
        install(locked=lock, registry=registry.url)


# Offline


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_uses_the_cache_alone(registry, lock, how, monkeypatch):
    install(["me/net:cat"], registry=registry.url)
    offline = {"offline": True} if how == "argument" else {}
    if how == "environment":
        monkeypatch.setenv("MODHUB_OFFLINE", "1")
    Path(registry.url).rename(registry.url + "-away")
    assert names(install("me/net:cat", registry=registry.url, **offline)) == ["me/net:cat@1.1.0"]
    with pytest.raises(NotFound):
        install("me/net:dog", registry=registry.url, **offline)
    with pytest.raises(NotFound):
        install(locked=lock, registry=registry.url, **offline)


# Required signatures


@pytest.fixture
def signed(tmp_path):
    """A registry in which everything is signed by a trusted key."""
    signer = create_key("alice")
    trust_key(str(signer.public), ["me"])
    registry = Registry(open_store(str(tmp_path / "signed")))
    registry.publish(*release(), signer=signer)
    return registry


def test_signed_modules_are_installed_and_can_be_again_offline(signed):
    assert names(install("me/net:cat", registry=signed.url, require_signature=True)) == ["me/net:cat@1.0.0"]
    assert names(install("me/net:cat", offline=True, require_signature=True)) == ["me/net:cat@1.0.0"]


def test_what_was_installed_without_signatures_is_not_believed_later(registry):
    signer = create_key("alice")
    trust_key(str(signer.public), ["me"])
    install("me/net:cat", registry=registry.url)
    for where in ({"offline": True}, {"registry": registry.url}):
        with pytest.raises(IntegrityError, match="is not signed by any key trusted") as caught:
            install("me/net:cat", require_signature=True, **where)
        assert caught.value.kind == "unsigned"


def test_the_starter_is_believed_as_the_package_is():
    assert names(install("c10:cat", require_signature=True)) == ["cifar10/r56:cat@1.1.0"]
    assert names(install("c10:cat", require_signature=True, offline=True)) == ["cifar10/r56:cat@1.1.0"]
    assert STARTER_FOLDER.is_dir()


def test_a_folder_that_only_claims_to_be_the_starter_is_not(signed, tmp_path):
    impostor = Registry(open_store(str(tmp_path / "starter")))
    impostor.publish(*release(name="cifar10/r99"))
    with pytest.raises(IntegrityError) as caught:
        install("cifar10/r99", registry=impostor.url, require_signature=True)
    assert caught.value.kind == "untrusted-namespace"


# Yanking by name


def test_yank_takes_the_name_of_one_release(registry):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert yank("me/net@1.1.0", "wolf", registry=registry.url) is True
        assert yank("me/net@1.1.0", "wolf", registry=registry.url) is False
        assert yank("me/net@1.1.0", "fine", undo=True, registry=registry.url) is True


@pytest.mark.parametrize("ref", ["me/net", "me/net:cat@^1", "me/net:cat", "me/net@^1", "net@1.0.0", "me/net@>=1"])
def test_yank_refuses_what_is_no_release(registry, ref):
    with pytest.raises(InvalidRef, match="is not a release's name"):
        yank(ref, "because", registry=registry.url)
