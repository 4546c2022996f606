"""The user's keys: their own private ones in files, and the public ones that they trust, in the configuration."""

from modhub.keyring.private import OwnKey, create_key, key_path, keys_folder, load_private_key, load_signer, own_keys
from modhub.keyring.trusted import KnownKey, find_key, known_keys, revoke_trusted, trust_key

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
