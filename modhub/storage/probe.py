"""Whether a place really creates exclusively, found out by trying: some S3 clones accept the header and ignore it."""

from __future__ import annotations

import secrets

from modhub.storage.store import Store

_FOLDER = "probe"
_FIRST, _SECOND = b"first\n", b"second\n"


def probe_exclusive_create(store: Store) -> bool:
    """Create one object twice: True when the second creation is refused and the bytes of the first stay.

    Leaves nothing behind. It shows that a place ignores the condition, not that two processes cannot both win; so it
    only ever takes away from what ``store.capabilities`` promises.
    """
    path = f"{_FOLDER}/{secrets.token_hex(16)}"
    try:
        return (
            store.put_if_absent(path, _FIRST)
            and not store.put_if_absent(path, _SECOND)
            and store.get(path, max_bytes=len(_SECOND)) == _FIRST
        )
    finally:
        store.delete(path)
