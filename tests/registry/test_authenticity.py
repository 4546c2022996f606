"""Where signatures are required, a host decides nothing: what is altered, swapped or unsigned is refused."""

from __future__ import annotations

import uuid

import pytest
from synthetic import release

from modhub.errors import IntegrityError
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.signing.policy import Trust
from modhub.signing.statements import Statement
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.layout import signature_path
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import RevocationRecord, write_document
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")
ALICE, MALLORY = new_signer("alice"), new_signer("mallory")


def trusted(signer, *namespaces, revoked=None):
    return TrustedKey(key=str(signer.public), name=signer.name, namespaces=namespaces, revoked=revoked)


def seen(registry, *keys):
    """The same store as somebody sees it who requires signatures."""
    return Registry(registry.store, trust=Trust(keys, required=True))


@pytest.fixture
def registry():
    registry = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    registry.publish(*release(), signer=ALICE)
    return registry


def copy(registry, source, target):
    registry.store.replace(target, registry.store.get(source, max_bytes=10**6))


def refused(use):
    with pytest.raises(IntegrityError) as caught:
        use()
    return caught.value.kind


def test_a_signed_release_is_believed(registry):
    reader = seen(registry, trusted(ALICE, "me"))
    assert reader.manifest(REF) == release()[0]
    assert reader.summary(REF).digest == release()[0].digest
    assert registry.store.exists(signature_path(release()[0].digest, ALICE.id))


def test_without_a_trusted_key_nothing_is(registry):
    registry.publish(*release(version="1.1.0", seed=1))
    registry.publish(*release(version="1.2.0", seed=2), signer=MALLORY)
    assert refused(lambda: seen(registry).manifest(REF)) == "untrusted-namespace"
    assert refused(lambda: seen(registry, trusted(ALICE, "you")).manifest(REF)) == "untrusted-namespace"
    reader = seen(registry, trusted(ALICE, "me"))
    assert refused(lambda: reader.manifest(ModelRef("me", "net", "1.1.0"))) == "unsigned"
    assert refused(lambda: reader.manifest(ModelRef("me", "net", "1.2.0"))) == "unsigned"
    assert refused(lambda: seen(registry, trusted(ALICE, "me", revoked="lost")).manifest(REF)) == "revoked-key"


def test_a_host_that_swaps_the_release_is_caught(registry):
    """It can make every digest and checksum right, but not sign."""
    evil = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    evil.publish(*release(seed=666))
    copy_of = evil.store.get("releases/me/net/1.0.0.json", max_bytes=10**6)
    registry.store.replace("releases/me/net/1.0.0.json", copy_of)
    reader = seen(registry, trusted(ALICE, "me"))
    assert refused(lambda: reader.manifest(REF)) == "unsigned"
    good = signature_path(release()[0].digest, ALICE.id)
    copy(registry, good, signature_path(release(seed=666)[0].digest, ALICE.id))
    assert refused(lambda: reader.manifest(REF)) == "bad-signature"


def test_a_signature_does_not_carry_over_to_another_version_or_name(registry):
    for other in (release(version="1.1.0"), release(name="me/other")):
        registry.publish(*other)
        content = other[0].content
        copy(registry, signature_path(release()[0].digest, ALICE.id), signature_path(other[0].digest, ALICE.id))
        ref = ModelRef(content.namespace, content.model, content.version)
        assert refused(lambda ref=ref: seen(registry, trusted(ALICE, "me")).manifest(ref)) == "bad-signature"


def test_publishing_again_adds_a_signature(registry):
    registry.publish(*release(version="1.1.0", seed=1))
    assert registry.publish(*release(version="1.1.0", seed=1), signer=ALICE).created is False
    assert seen(registry, trusted(ALICE, "me")).manifest(ModelRef("me", "net", "1.1.0"))
    assert str(registry.publish_next(*release(version=None, seed=5), signer=ALICE).ref) == "me/net@1.2.0"
    assert seen(registry, trusted(ALICE, "me")).manifest(ModelRef("me", "net", "1.2.0"))


def test_a_damaged_signature_is_mended_by_signing_again(registry):
    path = signature_path(release()[0].digest, ALICE.id)
    registry.store.replace(path, b"?")
    reader = seen(registry, trusted(ALICE, "me"))
    assert refused(lambda: reader.manifest(REF)) == "bad-signature"
    registry.publish(*release(), signer=ALICE)
    assert reader.manifest(REF)


def test_aliases_must_be_signed_for_where_they_point_and_pointed(registry):
    reader = seen(registry, trusted(ALICE, "me", "cifar10"), trusted(MALLORY, "evil"))
    registry.set_alias("n", "me/net", signer=ALICE)
    registry.set_alias("n", "cifar10/r56", signer=ALICE)
    assert reader.alias("n") == "cifar10/r56"
    registry.set_alias("n", "evil/net", signer=MALLORY)
    assert refused(lambda: reader.alias("n")) == "unsigned"


def test_an_alias_cannot_be_taken_over_by_freeing_it_first(registry):
    reader = seen(registry, trusted(ALICE, "me"), trusted(MALLORY, "evil"))
    registry.set_alias("n", "me/net", signer=ALICE)
    registry.set_alias("n", None, signer=MALLORY)
    registry.set_alias("n", "evil/net", signer=MALLORY)
    assert refused(lambda: reader.alias("n")) == "unsigned"


def test_an_unsigned_or_borrowed_alias_is_refused(registry):
    reader = seen(registry, trusted(ALICE, "me"))
    registry.set_alias("n", "me/net")
    assert refused(lambda: reader.alias("n")) == "unsigned"
    assert refused(reader.aliases) == "unsigned"
    other = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    other.set_alias("good", "me/net", signer=ALICE)
    for path in other.store.list("records") + other.store.list("signatures"):
        registry.store.replace(path.replace("/good/", "/bad/"), other.store.get(path, max_bytes=10**5))
    assert refused(lambda: reader.alias("bad")) == "broken-history"


def test_yanks_and_tombstones_must_be_signed(registry):
    reader = seen(registry, trusted(ALICE, "me"))
    assert reader.withdrawal(REF) is None
    registry.yank(REF, "because", signer=ALICE)
    assert reader.withdrawal(REF).reason == "because"
    registry.yank(REF, "never mind", undo=True)
    assert refused(lambda: reader.withdrawal(REF)) == "unsigned"
    registry.publish(*release(version="1.1.0"), signer=ALICE)
    newer = ModelRef("me", "net", "1.1.0")
    registry.take_down(newer, "gone", signer=MALLORY)
    assert refused(lambda: reader.withdrawal(newer)) == "unsigned"


def test_a_key_revokes_itself_and_nobody_else_can(registry):
    reader = seen(registry, trusted(ALICE, "me"))
    registry._append(RevocationRecord, ALICE.id, [], MALLORY, reason="ha")
    assert reader.manifest(REF)
    assert registry.revoke_key(ALICE, "stolen") is True
    assert refused(lambda: reader.manifest(REF)) == "revoked-key"
    fresh = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    fresh.publish(*release(), signer=ALICE)
    assert fresh.revoke_key(ALICE, "stolen") is True
    assert fresh.revoke_key(ALICE, "stolen") is False
    with pytest.raises(IntegrityError, match="stolen") as caught:
        seen(fresh, trusted(ALICE, "me")).manifest(REF)
    assert caught.value.kind == "revoked-key"


def test_a_second_key_vouches_where_the_first_is_revoked(registry):
    registry.publish(*release(), signer=MALLORY)
    reader = seen(registry, trusted(ALICE, "me", revoked="old"), trusted(MALLORY, "*"))
    assert reader.manifest(REF)


def test_signatures_travel_as_files(registry):
    """A mirror copies bytes; what they vouch for does not depend on where they lie."""
    mirror = Registry(open_store(f"memory://{uuid.uuid4().hex}"))
    manifest, data = registry.release(REF)
    name = signature_path(manifest.digest, ALICE.id)
    files = {ALICE.id: registry.store.get(name, max_bytes=10**5)}
    mirror.publish_stored(manifest, data, release()[1], signatures=files)
    assert seen(mirror, trusted(ALICE, "me")).release(REF) == (manifest, data)
    statement = Statement("release", str(REF), manifest.digest)
    assert mirror.store.get(name, max_bytes=10**5) == write_document(ALICE.sign(statement))
