"""The user's keys: their own private ones in files, and the public ones that they trust, in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

if TYPE_CHECKING:
    from modhub.keyring.private import (
        OwnKey,
        create_key,
        key_path,
        keys_folder,
        load_private_key,
        load_signer,
        own_keys,
    )
    from modhub.keyring.trusted import KnownKey, find_key, known_keys, revoke_trusted, trust_key
else:
    __getattr__ = on_first_use(
        __name__,
        {
            "KnownKey": "modhub.keyring.trusted",
            "OwnKey": "modhub.keyring.private",
            "create_key": "modhub.keyring.private",
            "find_key": "modhub.keyring.trusted",
            "key_path": "modhub.keyring.private",
            "keys_folder": "modhub.keyring.private",
            "known_keys": "modhub.keyring.trusted",
            "load_private_key": "modhub.keyring.private",
            "load_signer": "modhub.keyring.private",
            "own_keys": "modhub.keyring.private",
            "revoke_trusted": "modhub.keyring.trusted",
            "trust_key": "modhub.keyring.trusted",
        },
    )

__all__ = [
    "KnownKey",
    "OwnKey",
    "create_key",
    "find_key",
    "key_path",
    "keys_folder",
    "known_keys",
    "load_private_key",
    "load_signer",
    "own_keys",
    "revoke_trusted",
    "trust_key",
]
