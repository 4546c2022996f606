"""Whose signature counts for what: bound keys, revoked keys, and every way in which a signature can fail to be one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modhub.errors import IntegrityError, RegistryUnreachable
from modhub.signing.policy import Trust
from modhub.signing.statements import Statement
from modhub.signing.trusted_key import TrustedKey
from tests.signing.signers import ALIAS, DIGEST, OTHER_DIGEST, RELEASE, signed, signer, trusted

TEAM, OTHER, EVIL = (signer(name).id for name in ("team", "other", "evil"))


def require(
    trust: Trust,
    files: Mapping[str, bytes],
    namespaces: Collection[str] = ("cifar10",),
    statement: Statement = RELEASE,
    revoked: Mapping[str, str] | None = None,
) -> list[tuple[str, bytes]]:
    """Ask for ``statement`` where the registry has these signatures and these revocations, by key id."""
    return trust.require(statement, namespaces, files.get, lambda key: (revoked or {}).get(key.id))


def refusal(work: Callable[[], object]) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        work()
    assert caught.value.exit_code == 5
    assert caught.value.data["digest"] == DIGEST
    return caught.value


def test_a_trusted_key_vouches() -> None:
    files = signed(RELEASE, "team", "evil")
    trust = Trust((trusted("other", "cifar10"), trusted("team", "mnist", "cifar10")), required=True)
    assert require(trust, files) == [(TEAM, files[TEAM])]
    assert require(Trust((trusted("team", "*"),)), files) == [(TEAM, files[TEAM])]


def test_a_key_counts_for_its_namespaces_only() -> None:
    trust = Trust((trusted("team", "cifar10"), trusted("evil", "evil", "cifar100", "cifar")))
    error = refusal(lambda: require(trust, signed(RELEASE, "evil")))
    assert str(error) == (
        f"the release cifar10/r56@1.0.0 is not signed by any key trusted for the namespace 'cifar10': 'team' "
        f"({TEAM[:16]}). Hint: ask its publisher for a signature, or trust the key that signed it: "
        "modhub key trust PUBLIC_KEY --namespace cifar10"
    )
    assert error.kind == "unsigned"
    assert error.data["namespace"] == "cifar10"


def test_a_namespace_without_a_key_is_not_believed() -> None:
    trust = Trust((trusted("team", "mnist"),), required=True)
    error = refusal(lambda: require(trust, signed(RELEASE, "team")))
    assert str(error) == (
        "no key is trusted for the namespace 'cifar10', so the release cifar10/r56@1.0.0 is not believed. Hint: get "
        "its publisher's public key in a way that you trust, then: modhub key trust PUBLIC_KEY --namespace cifar10"
    )
    assert error.kind == "untrusted-namespace"
    assert refusal(lambda: require(Trust(), signed(RELEASE, "team"))).kind == "untrusted-namespace"


@pytest.mark.parametrize(
    "statement",
    [
        Statement("release", "cifar10/r56@1.0.1", DIGEST),
        Statement("release", "cifar100/r56@1.0.0", DIGEST),
        Statement("release", "cifar10/r56@1.0.0", OTHER_DIGEST),
        ALIAS,
    ],
    ids=lambda statement: f"{statement.name} {statement.digest[7:12]}",
)
def test_a_signature_of_something_else_is_a_bad_one(statement: Statement) -> None:
    """Whoever keeps the registry may copy a good signature anywhere; it stays the signature of what was signed."""
    error = refusal(lambda: require(Trust((trusted("team", "cifar10"),)), signed(statement, "team")))
    assert str(error) == (
        f"the signature of the release cifar10/r56@1.0.0 by the key 'team' ({TEAM[:16]}) does not verify: the "
        "signature, or what it signs, was altered or swapped. Hint: do not use it; take it from another registry, and "
        "tell the administrator of this one."
    )
    assert error.kind == "bad-signature"
    assert error.data["key"] == TEAM


def test_another_keys_signature_under_a_trusted_keys_id_is_a_bad_one() -> None:
    files = {TEAM: signed(RELEASE, "evil")[EVIL]}
    assert refusal(lambda: require(Trust((trusted("team", "cifar10"),)), files)).kind == "bad-signature"


def test_a_file_that_cannot_be_read_is_a_bad_signature() -> None:
    def read(key: str) -> bytes:
        raise IntegrityError("signatures/x has 70000 bytes where at most 65536 are allowed.", kind="too-large")

    error = refusal(lambda: Trust((trusted("team", "cifar10"),)).require(RELEASE, ["cifar10"], read, lambda key: None))
    assert "does not verify: signatures/x has 70000 bytes where at most 65536 are allowed. Hint:" in str(error)
    assert error.kind == "bad-signature"


def test_one_good_signature_is_enough_beside_bad_ones() -> None:
    files = signed(RELEASE, "team") | {OTHER: b"nonsense", EVIL: b""}
    trust = Trust((trusted("other", "cifar10"), trusted("evil", "*"), trusted("team", "cifar10")))
    assert require(trust, files) == [(TEAM, files[TEAM])]


def test_a_key_revoked_in_the_configuration_does_not_count() -> None:
    trust = Trust((trusted("team", "cifar10", revoked="its laptop was stolen."), trusted("other", "cifar10")))
    files = signed(RELEASE, "team")
    error = refusal(lambda: require(trust, files))
    assert str(error) == (
        f"for the namespace 'cifar10', the release cifar10/r56@1.0.0 is signed only by the key 'team' ({TEAM[:16]}), "
        "which was revoked: its laptop was stolen. Hint: ask its publisher to sign it with a key that holds, then: "
        "modhub key trust PUBLIC_KEY --namespace cifar10"
    )
    assert error.kind == "revoked-key"
    assert require(trust, signed(RELEASE, "team", "other")) == [(OTHER, signed(RELEASE, "other")[OTHER])]


def test_a_key_revoked_by_itself_does_not_count() -> None:
    trust = Trust((trusted("team", "cifar10"), trusted("other", "cifar10")))
    error = refusal(lambda: require(trust, signed(RELEASE, "team"), revoked={TEAM: "leaked"}))
    assert error.kind == "revoked-key"
    assert "which was revoked: leaked." in error.message
    assert [key for key, _ in require(trust, signed(RELEASE, "team", "other"), revoked={TEAM: "leaked"})] == [OTHER]


def test_a_namespace_all_of_whose_keys_are_revoked_has_no_key() -> None:
    trust = Trust((trusted("team", "cifar10", revoked="old"),))
    error = refusal(lambda: require(trust, {}))
    assert error.kind == "untrusted-namespace"
    assert error.message == (
        f"no key is trusted for the namespace 'cifar10' any more: 'team' ({TEAM[:16]}) was revoked, so the release "
        "cifar10/r56@1.0.0 is not believed."
    )


def test_revocation_is_asked_of_no_key_that_did_not_sign() -> None:
    asked: list[TrustedKey] = []
    trust = Trust((trusted("other", "cifar10"), trusted("evil", "cifar10"), trusted("team", "cifar10")))
    files = signed(RELEASE, "team") | {EVIL: b"nonsense"}
    trust.require(RELEASE, ["cifar10"], files.get, lambda key: asked.append(key))
    assert [key.name for key in asked] == ["team"]


def test_an_unreachable_registry_is_not_an_unsigned_release() -> None:
    def read(key: str) -> bytes:
        raise RegistryUnreachable("down")

    with pytest.raises(RegistryUnreachable, match="down"):
        Trust((trusted("team", "cifar10"),)).require(RELEASE, ["cifar10"], read, lambda key: None)


# Several namespaces: an alias that moves from one to another


def test_a_key_of_the_new_target_alone_cannot_move_an_alias() -> None:
    """c10 stood for cifar10/r56; the owner of the namespace evil, trusted there, wants it to stand for evil/r56."""
    trust = Trust((trusted("team", "cifar10"), trusted("evil", "evil")))
    error = refusal(lambda: require(trust, signed(ALIAS, "evil"), {"cifar10", "evil"}, ALIAS))
    assert error.kind == "unsigned"
    assert error.message == (
        "entry 3 of the alias 'c10' is not signed by any key trusted for the namespace 'cifar10': "
        f"'team' ({TEAM[:16]})."
    )
    error = refusal(lambda: require(trust, signed(ALIAS, "team"), {"cifar10", "evil"}, ALIAS))
    assert error.data["namespace"] == "evil"
    files = signed(ALIAS, "team", "evil")
    assert require(trust, files, {"cifar10", "evil"}, ALIAS) == list(files.items())


def test_one_key_bound_to_both_may_move_it() -> None:
    files = signed(ALIAS, "team")
    assert require(Trust((trusted("team", "a", "b"),)), files, {"a", "b"}, ALIAS) == [(TEAM, files[TEAM])]
    assert require(Trust((trusted("team", "*"),)), files, {"a", "b"}, ALIAS) == [(TEAM, files[TEAM])]


def test_what_belongs_to_nobody_is_signed_by_nobody() -> None:
    error = refusal(lambda: require(Trust((trusted("team", "*"),)), signed(ALIAS, "team"), (), ALIAS))
    assert str(error) == "entry 3 of the alias 'c10' belongs to no namespace, so to nobody."
    assert error.kind == "unsigned"


def test_candidates() -> None:
    keys = (trusted("team", "a"), trusted("other", "*"), trusted("evil", "a", revoked="x"))
    assert [key.name for key in Trust(keys).candidates(iter(["a", "b"]))] == ["team", "other"]
    assert [key.name for key in Trust(keys).candidates(["b"])] == ["other"]
    assert Trust(keys).candidates([]) == []


NAMES = ("team", "other", "evil")
SPACES = ("a", "b", "*")


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sets(st.sampled_from(SPACES), min_size=1), st.booleans()),
             unique_by=lambda key: key[0]),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["good", "other", "nonsense"])),
    st.sets(st.sampled_from(NAMES)),
    st.sets(st.sampled_from(["a", "b"]), min_size=1),
)  # fmt: skip
def test_it_passes_exactly_when_every_namespace_is_covered(
    keys: list[tuple[str, set[str], bool]], files: dict[str, str], revoked: set[str], namespaces: set[str]
) -> None:
    """Against the rule in one line: some key, bound, holding, with a good signature, for each namespace."""
    trust = Trust(tuple(trusted(name, *sorted(spaces), revoked="x" if gone else None) for name, spaces, gone in keys))
    stored = {
        signer(name).id: {"good": signed(RELEASE, name), "other": signed(ALIAS, name)}.get(
            what, {signer(name).id: b"nonsense"}
        )[signer(name).id]
        for name, what in files.items()
    }
    holding = [(name, spaces) for name, spaces, gone in keys if not gone and name not in revoked]
    covered = all(
        any(files.get(name) == "good" and spaces & {namespace, "*"} for name, spaces in holding)
        for namespace in namespaces
    )
    gone = {signer(name).id: "self" for name in revoked}
    if covered:
        vouching = require(trust, stored, namespaces, revoked=gone)
        assert all(signed(RELEASE, *NAMES)[key] == data for key, data in vouching)
    else:
        error = refusal(lambda: require(trust, stored, namespaces, revoked=gone))
        assert error.kind in ("unsigned", "untrusted-namespace", "bad-signature", "revoked-key")


# Trusted keys as values


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("key", "ed25519:x", "'ed25519:x' is not a public key"),
        ("name", "Team", "the key 'Team' is not a valid name"),
        ("namespaces", (), "at least 1 item"),
        ("namespaces", ("a", "A"), "the namespace 'A' is not a valid name"),
        ("namespaces", ("a*",), "the namespace 'a*' is not a valid name"),
        ("revoked", "", "at least 1 character"),
        ("revoked", True, "valid string"),
        ("revokd", "x", "Extra inputs"),
    ],
)
def test_what_a_trusted_key_must_be(field: str, value: object, says: str) -> None:
    fields = {"key": trusted("team", "a").key, "name": "team", "namespaces": ("a",)} | {field: value}
    with pytest.raises(ValidationError) as caught:
        TrustedKey(**fields)  # type: ignore[arg-type]
    assert says in str(caught.value)
