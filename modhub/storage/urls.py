"""From a URL, as people and configuration files write it, to a store.

Only the protocols named here are accepted, because URLs also come from files that others wrote; fsspec's chained URLs
(``a::b``) are refused outright; in a path, ``::`` is part of a name. Nothing is imported, connected or created before
the store is used.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from modhub.errors import UsageError, shown
from modhub.spec.url import RegistryUrl, is_ambiguous, is_url
from modhub.storage.local import LocalStore
from modhub.storage.store import Store, is_path

SUPPORTED: Final = (
    "a local folder, file:///FOLDER, memory://NAME, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, "
    "sftp://USER@HOST/FOLDER or https://HOST/FOLDER"
)
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_OBJECT_STORES: Final = ("s3", "s3a", "gs", "gcs", "az", "abfs")
#: ``container@account.dfs.core.windows.net/prefix``: the one bucket that is written with its account.
_ACCOUNT: Final = re.compile(r"([a-z0-9-]+)@[a-z0-9]+\.(?:dfs|blob)\.core\.windows\.net(/.*)?\Z")
#: No blank, quote or control character, nothing that starts a query or a fragment or means several files.
_HOSTED: Final = re.compile(r"[A-Za-z0-9._~:/@%!$&'()+,;=-]+\Z")


def open_store(given: str) -> Store:
    """The store at a URL, plain or a RegistryUrl. Touches nothing: a folder that does not exist yet is no error here.

    Raises UsageError, kind ``unsupported-protocol``, ``bad-url`` or ``password-in-url``.
    """
    url = RegistryUrl(given).address
    if not url.strip() or not url.isprintable():
        raise _refused(url, "bad-url")
    match = _PROTOCOL.match(url)
    if "::" in url and match and match[1].lower() != "file":
        raise _refused(url, "unsupported-protocol")
    if not match:
        # A blank in front of, or in, a protocol must not make a folder of it.
        if "://" in url:
            raise _refused(url, "unsupported-protocol")
        # Nor may a slash too few, which would make a path of a password.
        if is_url(url):
            raise _refused(url, "bad-url")
        return LocalStore(url)
    protocol, rest = match[1].lower(), match[2]
    if protocol == "file":
        rest = rest.removeprefix("localhost")
        if not rest.startswith("/"):
            raise _refused(url, "bad-url")
        from urllib.request import url2pathname  # brings ssl and http along, which few need

        return LocalStore(Path(url2pathname(rest)))
    # fsspec and requests take longer to import than a local registry to read.
    if protocol == "memory":
        name = rest.strip("/")
        if not is_path(name):
            raise _refused(url, "bad-url")
        from modhub.storage.memory import MemoryStore

        return MemoryStore(name)
    if protocol in ("http", "https"):
        _check_hosted(url, rest)
        from modhub.storage.http import HttpStore

        return HttpStore(url)
    if protocol in _OBJECT_STORES:
        account = _ACCOUNT.match(rest) if protocol in ("az", "abfs") else None
        if not is_path((account[1] + (account[2] or "") if account else rest).rstrip("/")):
            raise _refused(url, "bad-url")
    elif protocol == "sftp":
        _check_hosted(url, rest)
        if urlsplit(url).password is not None:
            raise UsageError(
                f"{RegistryUrl(url)} carries a password, which would be kept and shown with the URL.",
                kind="password-in-url",
                hint="log in with a key from ~/.ssh or an agent instead.",
            )
        if not is_path(urlsplit(url).path.strip("/")):
            raise _refused(url, "bad-url")
    else:
        raise _refused(url, "unsupported-protocol")
    from modhub.storage.remote import FileSystemStore

    return FileSystemStore(f"{protocol}://{rest.rstrip('/')}")


def _check_hosted(url: str, rest: str) -> None:
    # urlsplit drops line ends without a word, so the text itself is looked at.
    if not _HOSTED.match(rest) or ".." in rest.split("/"):
        raise _refused(url, "bad-url")
    if is_ambiguous(rest):
        raise UsageError(
            f"{RegistryUrl(url)} has an @ where a password may end as well as stand in a path.",
            kind="bad-url",
            hint="write %2F for a slash and %40 for an @ in a password, %40 for an @ in a path.",
            url=RegistryUrl(url),
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        # It repeats what may be half of a password.
        raise _refused(url, "bad-url") from None
    if not host:
        raise _refused(url, "bad-url")


def _refused(url: str, kind: str) -> UsageError:
    bare = RegistryUrl(url)
    reason = "is no registry's URL" if kind == "bad-url" else "is not a kind of registry that modhub opens"
    return UsageError(f"{shown(bare)} {reason}.", kind=kind, hint=f"give {SUPPORTED}.", url=bare)
