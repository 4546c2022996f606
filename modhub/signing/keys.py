"""Ed25519 keys, and signing and verifying with them: a thin layer over the ``cryptography`` library.

A public key is its 32 bytes, written ``ed25519:`` and base64; its id is their sha256. There is one way to write a key
and one to write a signature: a text that decodes to the same bytes but is not the one we would write is refused. The
library is an extra and is imported only to sign, to verify, or to open a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from modhub.errors import ModhubError, UsageError
from modhub.signing.statements import Statement
from modhub.spec.refs import check_name
from modhub.spec.registry_files import SIGNATURE_FORMAT, SignatureFile, read_document

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX: Final = "ed25519:"
_KEY_BYTES: Final = 32
#: Digits of an id that messages show.
_SHOWN: Final = 16
#: The line before the PEM block (which readers of PEM skip) that holds the public half of a locked key.
_PUBLIC_LINE: Final = re.compile(rb"^public: (ed25519:[A-Za-z0-9+/=]+)\r?$", re.MULTILINE)


@dataclass(frozen=True)
class PublicKey:
    """``raw`` are the 32 bytes of RFC 8032."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != _KEY_BYTES:
            raise ValueError(f"an Ed25519 public key has {_KEY_BYTES} bytes, not {len(self.raw)}")

    @property
    def id(self) -> str:
        """The sha256 of the key, 64 hexadecimal digits: its name in files and paths."""
        return hashlib.sha256(self.raw).hexdigest()

    def __str__(self) -> str:
        return PREFIX + base64.b64encode(self.raw).decode()

    def verifies(self, statement: Statement, data: bytes) -> bool:
        """Whether ``data``, untrusted, is the file of this key's signature of exactly this statement."""
        try:
            signature = read_document(SignatureFile, data, what="the signature", newest=SIGNATURE_FORMAT)
        except ModhubError:
            return False
        return verify_signature(self, statement, signature)


def short_id(key: str) -> str:
    """As much of a key's id as a person compares."""
    return key[:_SHOWN]


def parse_public_key(text: str) -> PublicKey:
    """The key that ``str(key)`` wrote. Raises UsageError, kind ``bad-key``."""
    encoded = text.removeprefix(PREFIX)
    raw = _decoded(encoded)
    if encoded == text or raw is None or len(raw) != _KEY_BYTES:
        raise UsageError(
            f"{text[:80]!r} is not a public key.",
            kind="bad-key",
            hint="public keys look like ed25519:XkpwR4...=, 44 characters behind the colon; see modhub key list.",
            key=text,
        )
    return PublicKey(raw)


@dataclass(frozen=True)
class Signer:
    """A private key that is ready to sign. ``name`` is how its owner calls it; two signers of one key are equal."""

    name: str = field(compare=False)
    public: PublicKey
    private: Ed25519PrivateKey = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """The public key's id."""
        return self.public.id

    def sign(self, statement: Statement) -> SignatureFile:
        """This key's signature of ``statement``; the same statement always gives the same bytes."""
        return sign(self.private, statement)


def new_signer(name: str) -> Signer:
    """A new key from the system's random numbers. Raises InvalidRef, and UsageError without ``cryptography``."""
    check_name(name, "key")
    private = _library().Ed25519PrivateKey.generate()
    return Signer(name, _public_of(private), private)


def sign(private_key: Ed25519PrivateKey, statement: Statement) -> SignatureFile:
    """``statement`` signed, as the file that a registry keeps."""
    signature = base64.b64encode(private_key.sign(statement.to_bytes())).decode()
    return SignatureFile(format=SIGNATURE_FORMAT, key=_public_of(private_key).id, signature=signature)


def verify_signature(public_key: PublicKey, statement: Statement, signature: SignatureFile) -> bool:
    """Whether this key signed exactly this statement. False for anything else, whatever it is."""
    library = _library()
    raw = _decoded(signature.signature)
    if raw is None or signature.key != public_key.id:
        return False
    try:
        library.Ed25519PublicKey.from_public_bytes(public_key.raw).verify(raw, statement.to_bytes())
    except (library.InvalidSignature, ValueError):
        return False
    return True


# Private keys as files


def write_private_key(signer: Signer, passphrase: str | None) -> bytes:
    """A private key as PKCS8 PEM, below a line with its public half; encrypted when there is a passphrase."""
    library = _library()
    pem = signer.private.private_bytes(
        library.Encoding.PEM,
        library.PrivateFormat.PKCS8,
        library.BestAvailableEncryption(_secret(passphrase)) if passphrase else library.NoEncryption(),
    )
    return f"public: {signer.public}\n".encode() + pem


def is_locked(data: bytes) -> bool:
    """Whether a private key's file needs a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in data


def read_private_key(data: bytes, name: str, passphrase: str | None, *, what: str) -> Signer:
    """The key in a PKCS8 PEM file; ``passphrase`` counts only when it is locked.

    Raises UsageError, naming ``what``: kind ``wrong-passphrase``, or ``bad-key`` when it is no Ed25519 private key.
    """
    library = _library()
    locked = is_locked(data)
    try:
        private = library.load_pem_private_key(data, _secret(passphrase or "") if locked else None)
    except (ValueError, TypeError, library.UnsupportedAlgorithm) as error:
        # One wrong passphrase in 256 decrypts to bytes that end like a key's, so the library's message cannot be relied
        # on.
        if locked:
            raise UsageError(
                f"the passphrase does not open {what}.",
                kind="wrong-passphrase",
                hint="type it again, or check MODHUB_KEY_PASSPHRASE; if it is right, the file is damaged.",
                key=name,
            ) from error
        raise _unreadable(what, name, "it is no private key in PKCS8 PEM form, or is damaged") from error
    if not isinstance(private, library.Ed25519PrivateKey):
        raise _unreadable(what, name, "its key is of another kind than Ed25519")
    public = _public_of(private)
    if public_line(data) not in (None, public):
        raise _unreadable(what, name, "its first line names another public key than its private key has")
    return Signer(name, public, private)


def public_line(data: bytes) -> PublicKey | None:
    """The public half that ``write_private_key`` wrote above the PEM block, which needs neither passphrase nor library.

    None when there is no such line, as in files that other programs made.
    """
    match = _PUBLIC_LINE.search(data.partition(b"-----BEGIN")[0])
    try:
        return parse_public_key(match[1].decode()) if match else None
    except UsageError:
        return None


def _secret(passphrase: str) -> bytes:
    # What the environment holds need not be UTF-8; Python then keeps the bytes as halves of surrogate pairs.
    return passphrase.encode("utf-8", "surrogateescape")


def _public_of(private_key: Ed25519PrivateKey) -> PublicKey:
    return PublicKey(private_key.public_key().public_bytes_raw())


def _unreadable(what: str, name: str, reason: str) -> UsageError:
    return UsageError(
        f"{what} cannot be used: {reason}.",
        kind="bad-key",
        hint="restore it from a copy, or make another key: modhub key new NAME",
        key=name,
    )


def _decoded(text: str) -> bytes | None:
    """Base64 as we would write it; None for anything else."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _library() -> Any:
    """The names of ``cryptography`` that are used here. Raises UsageError, kind ``missing-extra``, without it."""
    try:
        from modhub.signing import library  # cryptography, in the extra ``sign``
    except ImportError as error:
        raise UsageError(
            "keys and signatures need the library cryptography, which is not installed.",
            kind="missing-extra",
            hint="pip install 'modhub[sign]'",
            extra="sign",
        ) from error
    return library
