"""Statements, keys and signatures as values: nothing but the very statement that was signed verifies."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.errors import IntegrityError, UsageError
from modhub.signing.keys import (
    PublicKey,
    new_signer,
    parse_public_key,
    public_line,
    read_private_key,
    sign,
    verify_signature,
    write_private_key,
)
from modhub.signing.statements import KINDS, Statement
from modhub.spec.registry_files import SignatureFile, read_document, write_document
from tests.signing.signers import ALIAS, DIGEST, OTHER_DIGEST, RELEASE, signed, signer

TEAM = signer("team")

#: RFC 8032, section 7.1: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
]

#: The signature of RELEASE by the first of these keys, as version 1 of the format writes it.
SIGNATURE_VERSION_1 = (
    b'{"checksum":"sha256:7510d80a8e4b967f31baa3e5dba91f275957ec58df2b3f9e7be9262e712f0a16","format":1,'
    b'"key":"21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9","signature":'
    b'"qHNjIiFNS7p9VZerbe3iIwWnNhG4v4TIa0x5iLow64FbCCAD8K636t0fwkguRrP34hzft1At6suEEmzPlY+eAg=="}'
)

kinds = st.sampled_from(KINDS)
names = st.text('abz09/@.+-_# "\\{}:,é', min_size=1, max_size=12)
digests = st.binary(max_size=3).map(lambda data: f"sha256:{hashlib.sha256(data).hexdigest()}")


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    kind, name = draw(kinds), draw(names).replace("#", "")
    return Statement(kind, name + "x" if kind == "release" else f"{name}x#{draw(st.integers(1, 10**6))}", draw(digests))


# Statements


def test_the_signed_bytes_are_what_the_format_says() -> None:
    assert ALIAS.to_bytes() == (
        b'{"digest":"' + DIGEST.encode() + b'","kind":"alias","name":"c10#3","type":"modhub-signature:1"}'
    )


@given(statements(), statements())
def test_two_statements_never_have_the_same_bytes(one: Statement, other: Statement) -> None:
    assert (one.to_bytes() == other.to_bytes()) is (one == other)
    assert json.loads(one.to_bytes()) == {
        "type": "modhub-signature:1", "kind": one.kind, "name": one.name, "digest": one.digest,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"),
    [("index", "a#1"), ("release", ""), ("release", "a/b@1.0.0#1"), ("alias", "c10"), ("alias", "c10#0"),
     ("alias", "c10#01"), ("alias", "#1"), ("alias", "a#1#2"), ("alias", "c10#1\n")],
)  # fmt: skip
def test_only_releases_and_entries_of_histories_are_signed(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match="nothing is signed as"):
        Statement(kind, name, DIGEST)
    with pytest.raises(IntegrityError, match="is not a sha256 digest"):
        Statement("release", "a/b@1.0.0", name)


def test_statements_have_names_for_messages() -> None:
    assert RELEASE.what == "the release cifar10/r56@1.0.0"
    assert ALIAS.what == "entry 3 of the alias 'c10'"
    assert Statement("yank", "a/b/1.0.0#2", DIGEST).what == "entry 2 of the yank 'a/b/1.0.0'"


# Signatures


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032, ids=["1", "2"])
def test_vectors_of_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    # RFC 8410 wraps the secret in PKCS8 by these sixteen bytes.
    der = bytes.fromhex("302e020100300506032b657004220420" + secret)
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(der) + b"\n-----END PRIVATE KEY-----\n"
    key = read_private_key(pem, "rfc", None, what="the key")
    assert key.public == PublicKey(bytes.fromhex(public))
    assert key.private.sign(bytes.fromhex(message)).hex() == signature


def test_a_signature_made_before_still_verifies() -> None:
    """The format as committed: a signature file of its first version, by the first key of RFC 8032."""
    public = PublicKey(bytes.fromhex(RFC_8032[0][1]))
    assert str(public) == "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    assert public.id == "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"
    assert public.verifies(RELEASE, SIGNATURE_VERSION_1)
    assert not public.verifies(ALIAS, SIGNATURE_VERSION_1)


@given(statements())
def test_a_signature_survives_its_file(statement: Statement) -> None:
    made = TEAM.sign(statement)
    assert made == sign(TEAM.private, statement)
    data = write_document(made)
    assert read_document(SignatureFile, data, what="it", newest=1) == made
    assert verify_signature(TEAM.public, statement, made)
    assert TEAM.public.verifies(statement, data)
    assert not signer("evil").public.verifies(statement, data)


@given(statements(), statements())
def test_no_other_statement_verifies(signed_one: Statement, other: Statement) -> None:
    assert verify_signature(TEAM.public, other, TEAM.sign(signed_one)) is (other == signed_one)


def test_each_field_counts() -> None:
    """One change at a time: kind, name, number and digest."""
    made = TEAM.sign(ALIAS)
    changed = [Statement(kind, "c10#3", DIGEST) for kind in KINDS if kind not in ("alias", "release")]
    changed += [Statement("alias", name, DIGEST) for name in ("c100#3", "c1#3", "c10#4", "c10#33", "c10 #3")]
    changed += [Statement("alias", "c10#3", OTHER_DIGEST), RELEASE]
    assert verify_signature(TEAM.public, ALIAS, made)
    assert not [statement for statement in changed if verify_signature(TEAM.public, statement, made)]


def test_a_signature_under_another_keys_id_is_none() -> None:
    made = TEAM.sign(RELEASE)
    renamed = SignatureFile(format=1, key=signer("evil").id, signature=made.signature)
    assert not verify_signature(TEAM.public, RELEASE, renamed)
    assert not verify_signature(signer("evil").public, RELEASE, renamed)


@given(st.binary(max_size=400))
def test_garbage_is_no_signature(data: bytes) -> None:
    assert TEAM.public.verifies(RELEASE, data) is False


def test_no_changed_byte_leaves_a_signature() -> None:
    (data,) = signed(RELEASE, "team").values()
    for place, change in itertools.product(range(len(data)), (1, 0x20, 0x80)):
        assert not TEAM.public.verifies(RELEASE, data[:place] + bytes([data[place] ^ change]) + data[place + 1 :])
    assert not any(TEAM.public.verifies(RELEASE, data[:end]) for end in range(len(data)))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_any_bytes_may_pose_as_key_and_signature(raw: bytes, signature: bytes) -> None:
    """Most of them are no points of the curve; none of them raises anything."""
    public = PublicKey(raw)
    file = SignatureFile(format=1, key=public.id, signature=base64.b64encode(signature).decode())
    assert verify_signature(public, RELEASE, file) is False


def test_a_signature_is_written_in_one_way_only() -> None:
    """The last digit of base64 has four bits to spare; a signature that uses them is another text."""
    made = TEAM.sign(RELEASE)
    spare = made.signature[:-3] + chr(ord(made.signature[-3]) + 1) + "=="
    assert base64.b64decode(spare) == base64.b64decode(made.signature)
    assert not verify_signature(TEAM.public, RELEASE, made.model_copy(update={"signature": spare}))


# Public keys as text


@given(st.binary(min_size=32, max_size=32))
def test_public_keys_survive_their_text(raw: bytes) -> None:
    public = PublicKey(raw)
    assert parse_public_key(str(public)) == public
    assert public.id == hashlib.sha256(raw).hexdigest()


GOOD = str(TEAM.public)


@pytest.mark.parametrize(
    "text",
    ["", "ed25519:", GOOD.removeprefix("ed25519:"), GOOD[:-1], GOOD + "=", GOOD + "\n", " " + GOOD, GOOD.upper(),
     GOOD.replace("ed25519", "rsa"), "ed25519:" + GOOD, "ed25519:" + "é" * 44,
     "ed25519:" + base64.b64encode(b"x" * 31).decode(), GOOD[:-2] + chr(ord(GOOD[-2]) + 1) + "="],
)  # fmt: skip
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_public_key(text)
    assert str(caught.value) == (
        f"{text[:80]!r} is not a public key. Hint: public keys look like ed25519:XkpwR4...=, 44 characters behind the "
        "colon; see modhub key list."
    )
    assert caught.value.kind == "bad-key"


def test_a_key_of_another_length_is_no_key() -> None:
    with pytest.raises(ValueError, match="has 32 bytes, not 31"):
        PublicKey(b"x" * 31)


# Private keys as files


@pytest.mark.parametrize("passphrase", [None, "correct horse", "ünï \udc80"])
def test_private_keys_survive_their_file(passphrase: str | None) -> None:
    made = new_signer("mine")
    data = write_private_key(made, passphrase)
    assert public_line(data) == made.public
    again = read_private_key(data, "mine", passphrase, what="it")
    assert again == made
    assert again.sign(RELEASE) == made.sign(RELEASE)
    assert made != new_signer("mine")
    assert "private" not in repr(made)


def test_another_programs_file_is_read_and_ours_by_another_program() -> None:
    """RFC 8410, section 10.3: a key as openssl writes it."""
    pem = (
        b"-----BEGIN PRIVATE KEY-----\n"
        b"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
        b"-----END PRIVATE KEY-----\n"
    )
    key = read_private_key(pem, "rfc", None, what="it")
    assert str(key.public) == "ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
    assert public_line(pem) is None
    assert write_private_key(key, None) == b"public: " + str(key.public).encode() + b"\n" + pem


def damaged(data: bytes) -> dict[str, bytes]:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "empty": b"",
        "text": b"my key\n",
        "cut": data[:-40],
        "altered": data.replace(b"MC4CAQ", b"MC5CAQ"),
        "bytes": b"-----BEGIN PRIVATE KEY-----\n\xff\xfe\n-----END PRIVATE KEY-----\n",
        "another kind": other,
        "another public half": data.replace(str(TEAM.public).encode(), str(signer("evil").public).encode()),
    }


@pytest.mark.parametrize("how", damaged(b"").keys())
def test_a_damaged_private_key_says_so(how: str) -> None:
    data = damaged(write_private_key(TEAM, None))[how]
    with pytest.raises(UsageError) as caught:
        read_private_key(data, "team", None, what="the key /k/team.pem")
    reasons = {
        "another kind": "its key is of another kind than Ed25519",
        "another public half": "its first line names another public key than its private key has",
    }
    reason = reasons.get(how, "it is no private key in PKCS8 PEM form, or is damaged")
    assert str(caught.value) == (
        f"the key /k/team.pem cannot be used: {reason}. Hint: restore it from a copy, or make another key: "
        "modhub key new NAME"
    )
    assert caught.value.kind == "bad-key"


@pytest.mark.parametrize("passphrase", [None, "", "wrong"])
def test_a_locked_key_needs_its_passphrase(passphrase: str | None) -> None:
    data = write_private_key(TEAM, "right")
    with pytest.raises(UsageError) as caught:
        read_private_key(data, "team", passphrase, what="the key /k/team.pem")
    assert str(caught.value) == (
        "the passphrase does not open the key /k/team.pem. Hint: type it again, or check MODHUB_KEY_PASSPHRASE; if it "
        "is right, the file is damaged."
    )
    assert caught.value.kind == "wrong-passphrase"


def test_no_wrong_passphrase_is_taken_for_a_damaged_file() -> None:
    """Some decrypt to what looks like the end of a key, one in 256."""
    data = write_private_key(TEAM, "right")
    for number in range(1024):
        with pytest.raises(UsageError, match="the passphrase does not open it"):
            read_private_key(data, "team", str(number), what="it")


def test_a_passphrase_does_not_matter_to_a_key_without() -> None:
    assert read_private_key(write_private_key(TEAM, None), "team", "whatever", what="it") == TEAM


# Without the library


def test_without_cryptography_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = TEAM.sign(RELEASE)
    monkeypatch.delitem(sys.modules, "modhub.signing.library", raising=False)
    monkeypatch.delattr("modhub.signing.library", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    for work in (lambda: new_signer("x"), lambda: verify_signature(TEAM.public, RELEASE, made)):
        with pytest.raises(UsageError) as caught:
            work()
        assert str(caught.value) == (
            "keys and signatures need the library cryptography, which is not installed. "
            "Hint: pip install 'modhub[sign]'"
        )
        assert caught.value.kind == "missing-extra"
    assert parse_public_key(GOOD).id == TEAM.id
