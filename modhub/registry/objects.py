"""Reading objects that may be absent, from hosts that do not always say so.

A web host with a start page for every address answers with that page, status 200, where a registry has nothing. Such a
page is no damaged object: what tells the two apart is whether the host answers for a name that nobody can have given.
"""

from __future__ import annotations

from typing import Final

from modhub.errors import IntegrityError, NotFound
from modhub.storage.store import Store

#: How every file of a registry but its blobs begins, and what each has in it.
_BEGINNINGS: Final = (b'{"checksum":', b'{"blobs":', b'{"aliases":')
_CHECKSUM: Final = b'"checksum":"sha256:'


def get_object(store: Store, path: str, *, max_bytes: int) -> bytes:
    """The bytes of one of a registry's files, which may be damaged but are not a page that stands in for a missing one.

    Raises NotFound, also for such a page, and IntegrityError for more than ``max_bytes``.
    """
    try:
        data = store.get(path, max_bytes=max_bytes)
    except IntegrityError:
        # Too large, or compressed: so may the page be.
        if store.capabilities.can_list or not store.answers_for_missing(path):
            raise
    else:
        if store.capabilities.can_list or _is_ours(data) or not store.answers_for_missing(path):
            return data
    raise NotFound(f"{store.url}/{path} does not exist.", kind="no-object", path=path)


def _is_ours(data: bytes) -> bool:
    """Whether these bytes are, or once were, a file of a registry: a disk that lost them may have left zeros."""
    return data.startswith(_BEGINNINGS) or _CHECKSUM in data or (len(data) > 0 and not any(data))
