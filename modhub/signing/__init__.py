"""Signatures: who vouches for a release or a record, and whom this user believes. Pure: no file, no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

if TYPE_CHECKING:
    from modhub.signing.keys import PublicKey, Signer, parse_public_key, sign, verify
    from modhub.signing.statements import Statement
    from modhub.signing.trust import Trust
    from modhub.signing.trusted import EVERY_NAMESPACE, TrustedKey
else:
    __getattr__ = on_first_use(
        __name__,
        {
            "EVERY_NAMESPACE": "modhub.signing.trusted",
            "PublicKey": "modhub.signing.keys",
            "Signer": "modhub.signing.keys",
            "Statement": "modhub.signing.statements",
            "Trust": "modhub.signing.trust",
            "TrustedKey": "modhub.signing.trusted",
            "parse_public_key": "modhub.signing.keys",
            "sign": "modhub.signing.keys",
            "verify": "modhub.signing.keys",
        },
    )

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
