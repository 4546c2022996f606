"""A registry that nobody needs to trust: whatever its keeper changes is refused where signatures are required."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic import release

from modhub.errors import IntegrityError
from modhub.registry.writer import Registry
from modhub.signing.policy import Trust
from modhub.signing.statements import Statement
from modhub.spec.digests import sha256
from modhub.spec.layout import record_path, release_path, signature_path
from modhub.spec.manifest import digest_of, write_manifest
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import AliasRecord, RevocationRecord, YankRecord, write_document
from modhub.storage.local import LocalStore
from tests.signing.signers import signer, trusted

TEAM, EVIL = signer("team"), signer("evil")
R56 = ModelRef("cifar10", "r56", "1.0.0")
#: A user who believes team in cifar10, and, for their own modules only, also evil.
USER = Trust((trusted("team", "cifar10"), trusted("evil", "evil")), required=True)


@pytest.fixture
def signed(tmp_path: Path) -> Registry:
    """A registry with cifar10/r56 1.0.0 and 1.1.0, evil/r56, and c10 for cifar10/r56, all signed by their owners."""
    registry = Registry(LocalStore(tmp_path / "registry"))
    for version in ("1.0.0", "1.1.0"):
        registry.publish(*release("cifar10/r56", version), signer=TEAM)
    registry.publish(*release("evil/r56"), signer=EVIL)
    registry.set_alias("c10", "cifar10/r56", signer=TEAM)
    registry.yank(ModelRef("cifar10", "r56", "1.1.0"), "wrong labels", signer=TEAM)
    return registry


def seen(registry: Registry) -> Registry:
    """The registry as the user reads it."""
    return Registry(registry.store, trust=USER)


def refused(work: Callable[[], object], kind: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        work()
    assert caught.value.kind == kind, caught.value


def test_what_its_owners_signed_is_believed(signed: Registry) -> None:
    user = seen(signed)
    assert user.manifest(R56).content.name == "cifar10/r56"
    assert user.manifest(ModelRef("evil", "r56", "1.0.0")).content.name == "evil/r56"
    assert user.alias("c10") == "cifar10/r56"
    withdrawal = user.withdrawal(ModelRef("cifar10", "r56", "1.1.0"))
    assert withdrawal is not None
    assert withdrawal.reason == "wrong labels"


def test_without_the_requirement_nothing_is_asked(signed: Registry) -> None:
    shutil.rmtree(Path(signed.url) / "signatures")
    assert Registry(signed.store, trust=Trust(USER.keys)).alias("c10") == "cifar10/r56"
    refused(lambda: seen(signed).alias("c10"), "unsigned")
    refused(lambda: seen(signed).manifest(R56), "unsigned")


def test_a_swapped_release_is_refused(signed: Registry) -> None:
    """Whole and consistent, with the right name, but not what team published; with and without team's signature."""
    manifest, _ = release("cifar10/r56", seed=1)
    good = signed.manifest(R56)
    signed.store.replace(release_path(R56), write_manifest(manifest))
    assert signed.manifest(R56).digest == digest_of(manifest.content)
    refused(lambda: seen(signed).manifest(R56), "unsigned")
    copied = signed.store.get(signature_path(good.digest, TEAM.id), max_bytes=9999)
    signed.store.replace(signature_path(manifest.digest, TEAM.id), copied)
    refused(lambda: seen(signed).manifest(R56), "bad-signature")


def test_a_release_of_another_namespace_that_evil_signed_is_refused(signed: Registry) -> None:
    signed.publish(*release("cifar10/r56", "2.0.0", seed=1), signer=EVIL)
    refused(lambda: seen(signed).manifest(ModelRef("cifar10", "r56", "2.0.0")), "unsigned")
    signed.publish(*release("mnist/cnn"), signer=EVIL)
    refused(lambda: seen(signed).manifest(ModelRef("mnist", "cnn", "1.0.0")), "untrusted-namespace")


def test_evil_cannot_redirect_an_alias_of_cifar10(signed: Registry) -> None:
    signed.set_alias("c10", "evil/r56", signer=EVIL)
    assert signed.alias("c10") == "evil/r56"
    refused(lambda: seen(signed).alias("c10"), "unsigned")
    refused(lambda: seen(signed).aliases(), "unsigned")


def test_an_alias_that_was_taken_back_belongs_to_nobody_again(signed: Registry) -> None:
    signed.set_alias("c10", None, signer=TEAM)
    assert seen(signed).alias("c10") is None
    signed.set_alias("c10", "evil/r56", signer=EVIL)
    assert seen(signed).alias("c10") == "evil/r56"


def test_an_altered_record_is_refused(signed: Registry) -> None:
    """A valid record with a good checksum, in the place of the one that team signed; then also with its signature."""
    path = record_path("alias", "c10", 1)
    before = signed.store.get(path, max_bytes=9999)
    altered = AliasRecord(format=1, number=1, name="c10", previous=None, created="2026", target="cifar10/other")
    signed.store.replace(path, write_document(altered))
    assert signed.alias("c10") == "cifar10/other"
    refused(lambda: seen(signed).alias("c10"), "unsigned")
    for folder in (Path(signed.url) / "signatures").iterdir():
        shutil.copytree(
            folder, folder.parent / sha256(write_document(altered)).removeprefix("sha256:"), dirs_exist_ok=True
        )
    refused(lambda: seen(signed).alias("c10"), "bad-signature")
    signed.store.replace(path, before)
    assert seen(signed).alias("c10") == "cifar10/r56"


def test_a_record_under_another_name_is_refused(signed: Registry) -> None:
    """Team's own yank of 1.1.0, renamed by the host to be one of 1.0.0."""
    record = signed.store.get(record_path("yank", "cifar10/r56/1.1.0", 1), max_bytes=9999)
    signed.store.put_if_absent(record_path("yank", "cifar10/r56/1.0.0", 1), record)
    refused(lambda: seen(signed).withdrawal(R56), "broken-history")
    forged = YankRecord(
        format=1, number=1, name="cifar10/r56/1.0.0", previous=None, created="2026", yanked=True, reason="wrong labels"
    )
    signed.store.replace(record_path("yank", "cifar10/r56/1.0.0", 1), write_document(forged))
    refused(lambda: seen(signed).withdrawal(R56), "unsigned")


def test_a_key_that_revoked_itself_is_not_believed_any_more(signed: Registry) -> None:
    signed.revoke_key(TEAM, "stolen")
    refused(lambda: seen(signed).manifest(R56), "revoked-key")
    refused(lambda: seen(signed).alias("c10"), "revoked-key")
    assert seen(signed).manifest(ModelRef("evil", "r56", "1.0.0"))


def test_nobody_else_can_revoke_a_key(signed: Registry) -> None:
    forged = RevocationRecord(format=1, number=1, name=TEAM.id, previous=None, created="2026", reason="I say so")
    signed.store.put_if_absent(record_path("revocation", TEAM.id, 1), write_document(forged))
    assert seen(signed).manifest(R56)
    statement = Statement("revocation", f"{TEAM.id}#1", sha256(write_document(forged)))
    signed.put_signature(statement, EVIL)
    copied = signed.store.get(signature_path(statement.digest, EVIL.id), max_bytes=9999)
    signed.store.replace(signature_path(statement.digest, TEAM.id), copied)
    assert seen(signed).manifest(R56)


# What docs/security.md says is not protected


def test_a_host_may_keep_back_what_is_new(signed: Registry) -> None:
    """A yank, a newer release, a revocation and an alias's newest entry: without them all looks as it did before."""
    signed.revoke_key(TEAM, "stolen")
    for kind in ("yank", "revocation"):
        shutil.rmtree(Path(signed.url) / "records" / kind)
    assert seen(signed).withdrawal(ModelRef("cifar10", "r56", "1.1.0")) is None
    assert seen(signed).manifest(R56)


def test_a_host_that_drops_a_history_lets_a_trusted_key_begin_it_again(signed: Registry) -> None:
    shutil.rmtree(Path(signed.url) / "records" / "alias")
    signed.set_alias("c10", "evil/r56", signer=EVIL)
    assert seen(signed).alias("c10") == "evil/r56"
