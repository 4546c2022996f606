"""From a URL, as people and configuration files write it, to a store.

Only the protocols named here are accepted, because URLs also come from files that others wrote; fsspec's chained URLs
(``a::b``) are refused outright.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.request import url2pathname

from modhub.errors import UsageError
from modhub.registry.local import LocalStore
from modhub.registry.store import Store, is_path

SUPPORTED: Final = "a local folder, file:///FOLDER and memory://NAME"
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)


def open_store(url: str) -> Store:
    """The store at ``url``. Touches nothing: a folder that does not exist yet is no error here.

    Raises UsageError, kind ``unsupported-protocol`` or ``bad-url``.
    """
    if not url.strip() or "\0" in url:
        raise _refused(url, "bad-url")
    if "::" in url:
        raise _refused(url, "unsupported-protocol")
    match = _PROTOCOL.match(url)
    if not match:
        return LocalStore(url)
    protocol, rest = match[1].lower(), match[2]
    if protocol == "file":
        rest = rest.removeprefix("localhost")
        if not rest.startswith("/"):
            raise _refused(url, "bad-url")
        return LocalStore(Path(url2pathname(rest)))
    if protocol == "memory":
        name = rest.strip("/")
        if not is_path(name):
            raise _refused(url, "bad-url")
        # fsspec, which only this store needs, takes longer to import than a local registry to read.
        from modhub.registry.memory import MemoryStore

        return MemoryStore(name)
    raise _refused(url, "unsupported-protocol")


def _refused(url: str, kind: str) -> UsageError:
    reason = "is no registry's URL" if kind == "bad-url" else "is not a kind of registry that modhub opens"
    return UsageError(f"{url!r} {reason}.", kind=kind, hint=f"give {SUPPORTED}.", url=url)
