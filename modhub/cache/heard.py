"""What registries said against modules when they were last asked, kept for when they cannot be.

    notices/<sha256 of the registry's URL>.url                   that URL
    notices/<sha256 of the registry's URL>/<namespace>.json      the registry's own file, byte by byte; empty for none

A file's time is when the registry was asked. Nothing needs these files, and pruning and uninstalling leave them: they
are small. They go when the cache is emptied.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from modhub.cache.files import Folder
from modhub.errors import IntegrityError, StorageError
from modhub.limits import MAX_MANIFEST_BYTES, MAX_URL_CHARS
from modhub.spec.layout import NOTICES
from modhub.spec.refs import check_name


@dataclass(frozen=True)
class HeardNotices:
    """The file of one namespace as a registry had it; ``age`` in seconds."""

    registry: str
    data: bytes
    age: float


def keep_notices(folder: Folder, registry: str, namespace: str, data: bytes | None) -> None:
    """Keep what a registry has just said of a namespace; None for nothing. A cache that takes no writes keeps none."""
    path, data = _path(registry, namespace), data or b""
    try:
        if _read(folder, path) == data:
            folder.touch(path)
        else:
            folder.write(f"{NOTICES}/{_hexadecimal(registry)}.url", [registry.encode()])
            folder.write(path, [data])
    except StorageError:
        # Then it is asked again next time.
        return


def kept_notices(folder: Folder, namespace: str) -> list[HeardNotices]:
    """What every registry said of a namespace when it was last asked, by its URL."""
    file = f"{check_name(namespace, 'namespace')}.json"
    found = {each.path: each for each in folder.find(NOTICES) if each.path.endswith(f"/{file}")}
    if not found:
        return []
    now = folder.now()
    heard = []
    for path, each in found.items():
        url, data = _read(folder, f"{path.rpartition('/')[0]}.url"), _read(folder, path)
        if url is not None and data is not None and _hexadecimal(registry := url.decode(errors="replace")) in path:
            heard.append(HeardNotices(registry, data, max(0.0, now - each.touched)))
    return sorted(heard, key=lambda each: each.registry)


def has_notices(folder: Folder) -> bool:
    """Whether anything was ever said, without reading it."""
    return bool(folder.names(NOTICES))


def _path(registry: str, namespace: str) -> str:
    return f"{NOTICES}/{_hexadecimal(registry)}/{check_name(namespace, 'namespace')}.json"


def _hexadecimal(registry: str) -> str:
    return hashlib.sha256(registry.encode()).hexdigest()


def _read(folder: Folder, path: str) -> bytes | None:
    most = MAX_URL_CHARS * 4 if path.endswith(".url") else MAX_MANIFEST_BYTES
    try:
        return folder.read(path, max_bytes=most)
    except (FileNotFoundError, IntegrityError):
        return None
