"""Keys and statements that tests of signatures share; the keys are fixed, so that every run signs the same bytes."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modhub.signing.keys import PublicKey, Signer
from modhub.signing.statements import Statement
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.digests import sha256
from modhub.spec.registry_files import write_document

DIGEST = sha256(b"what was published")
OTHER_DIGEST = sha256(b"what an attacker would like")
RELEASE = Statement("release", "cifar10/r56@1.0.0", DIGEST)
ALIAS = Statement("alias", "c10#3", DIGEST)


def signer(name: str) -> Signer:
    """The key that always belongs to ``name``."""
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sha256(name.encode()).removeprefix("sha256:")))
    return Signer(name, PublicKey(private.public_key().public_bytes_raw()), private)


def trusted(name: str, *namespaces: str, revoked: str | None = None) -> TrustedKey:
    return TrustedKey(key=str(signer(name).public), name=name, namespaces=namespaces, revoked=revoked)


def signed(statement: Statement, *names: str) -> dict[str, bytes]:
    """Signature files of ``statement`` by key id."""
    return {signer(name).id: write_document(signer(name).sign(statement)) for name in names}
