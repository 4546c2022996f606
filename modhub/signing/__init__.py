"""Signatures: who vouches for a release or a record, and whom this user believes. Pure: no file, no network."""

from modhub.signing.keys import PublicKey, Signer, parse_public_key, sign, verify
from modhub.signing.statements import Statement
from modhub.signing.trust import EVERY_NAMESPACE, Trust, TrustedKey

__all__ = [
    "EVERY_NAMESPACE",
    "PublicKey",
    "Signer",
    "Statement",
    "Trust",
    "TrustedKey",
    "parse_public_key",
    "sign",
    "verify",
]
