"""Which fsspec file systems can hold a registry, and what is known of each.

fsspec gives them one interface but not one behaviour: which creations are exclusive, from which version of which client
on, and what survives a lost acknowledgement was read in their sources, and the rest of modhub relies on this table
alone. Each client is configured as it always is (environment, profiles, fsspec's own configuration file); only what
the promises of a store need is set here: no cached listings, no shared instances, no retries of its own.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from modhub.errors import RegistryUnreachable, plain
from modhub.limits import MIB
from modhub.storage.store import Capabilities

#: Seconds until a connection stands, and between two pieces of an answer.
CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60

#: Bytes of one part of a large upload; objects below twice as many go in one request.
PART_BYTES: Final = 8 * MIB
#: The key of an object's metadata under which the call that wrote it left its mark.
MARK: Final = "modhubmark"

#: What the types of files are called that browsers read; a bucket gives them nothing to go by but this.
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "txt": "text/plain; charset=utf-8",
}

#: fsspec, its configuration read and the URL split: the file system and the path of the registry's root in it.
Connect = Callable[[str, Mapping[str, Any]], tuple[Any, str]]


@dataclass(frozen=True)
class RemoteKind:
    """One kind of file system.

    ``needs``: distributions and the first versions with which ``mode="create"`` reaches the server; older ones
    overwrite without a word. ``why_not``: why creation is not exclusive with any version. ``whole``: the place shows
    a write when all of it is there; elsewhere it goes to a temporary name first. ``mark``: the keyword of a write
    that takes metadata. ``exact``: FileExistsError always means another's object, because nothing between here and
    the disk repeats a request. ``limits``: keywords that bound the memory of a write. ``media``:
    the keyword that says of what type an object is, for browsers that read it from there. ``find``: full names of the
    objects below a folder, where ``whole``. ``sweep``: removes unfinished uploads below a root, and counts them.
    ``parallel``: as in Capabilities; 1 also means one operation at a time,
    because the client is not safe among threads. ``credentials``: the hint when access is refused.
    """

    extra: str
    connect: Connect
    needs: Mapping[str, str] = field(default_factory=dict)
    why_not: str = ""
    whole: bool = True
    mark: str = ""
    read_mark: Callable[[Any, str], str | None] = lambda files, full: None
    exact: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    media: str = ""
    find: Callable[[Any, str], Iterable[str]] = lambda files, top: files.find(top)
    sweep: Callable[[Any, str, datetime], int] = lambda files, root, before: 0
    parallel: int = 16
    credentials: str = ""


def capabilities(backend: RemoteKind, installed: Callable[[str], str | None]) -> Capabilities:
    """What a store on ``backend`` can do; ``installed`` gives a distribution's version, or None without it."""
    why_not = backend.why_not
    for name, needed in backend.needs.items():
        found = installed(name)
        if not why_not and (found is None or _numbers(found) < _numbers(needed)):
            why_not = f"{name} {needed} or later is needed to create exclusively, here is {found or 'none'}"
    return Capabilities(exclusive_create=not why_not, parallel=backend.parallel, why_not=why_not)


def installed_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def connected(backend: RemoteKind, url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The file system of ``url`` and the registry's root in it. Raises RegistryUnreachable, kind ``missing-extra``."""
    try:
        return backend.connect(url, options)
    except ImportError as error:
        raise RegistryUnreachable(
            f"{url} needs a library that is not installed: {plain(str(error))}.",
            kind="missing-extra",
            hint=f"pip install 'modhub[{backend.extra}]'",
            registry=url,
        ) from error


def _configured(protocol: str) -> Mapping[str, Any]:
    import fsspec.config  # here and below: no folder needs fsspec

    found = fsspec.config.conf.get(protocol, {})
    return found if isinstance(found, dict) else {}


def _opened(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    files, root = url_to_fs(url, **{**options, "use_listings_cache": False, "skip_instance_cache": True})
    return files, str(root).rstrip("/")


def _s3(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    wanted = {**_configured("s3").get("config_kwargs", {}), **options.get("config_kwargs", {})}
    timeouts = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
    own = {"retries": {"total_max_attempts": 1}, "max_pool_connections": 2 * S3.parallel}
    files, root = _opened(url, {**options, "config_kwargs": {**timeouts, **wanted, **own}})
    files.retries = 1
    return files, root


def _find_s3(files: Any, top: str) -> Iterable[str]:
    folder, _, name = top.rpartition("/")
    # Asked for a folder in which there is nothing, s3fs sends two more requests to learn what it is.
    found: Iterable[str] = files.find(folder, prefix=f"{name}/") if folder else files.find(name)
    return found


def _sweep_s3(files: Any, root: str, before: datetime) -> int:
    bucket, _, folder = root.partition("/")
    below = f"{folder}/" if folder else ""
    position: dict[str, str] = {}
    stale: list[tuple[str, str]] = []
    while True:
        page = files.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=below, **position)
        for upload in page.get("Uploads", []):
            if upload["Key"].startswith(below) and upload["Initiated"] < before:
                stale.append((upload["Key"], upload["UploadId"]))
        if not page.get("IsTruncated"):
            break
        position = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    for key, upload_id in stale:
        files.abort_mpu(bucket, key, upload_id)
    return len(stale)


def _sftp(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    from modhub.storage.sftp import CheckedSFTP

    timeouts = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), CONNECT_SECONDS)
    given = {**timeouts, **_configured("sftp"), **CheckedSFTP._get_kwargs_from_urls(url), **options}
    # It caches no listings, and hands options that it does not know on to ssh.
    files = CheckedSFTP(**given, skip_instance_cache=True)
    files.ftp.get_channel().settimeout(READ_SECONDS)
    return files, str(files._strip_protocol(url)).rstrip("/")


def _numbers(version: str) -> tuple[int, ...]:
    """``2025.7.0.post1`` as (2025, 7, 0): what comes after the numbers does not count."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


S3: Final = RemoteKind(
    extra="s3",
    connect=_s3,
    # botocore drops what its own model of S3 does not know.
    needs={"fsspec": "2024.12.0", "s3fs": "2025.7.0", "botocore": "1.35.20"},
    mark="Metadata",
    read_mark=lambda files, full: files.metadata(full).get(MARK),
    limits={"chunksize": PART_BYTES, "max_concurrency": 2},
    media="ContentType",
    find=_find_s3,
    sweep=_sweep_s3,
    credentials="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to one who may read, list and write "
    "there.",
)
GS: Final = RemoteKind(
    extra="gs",
    connect=_opened,
    needs={"fsspec": "2024.12.0", "gcsfs": "2024.12.0"},
    mark="metadata",
    read_mark=lambda files, full: (files.info(full).get("metadata") or {}).get(MARK),
    limits={"chunksize": PART_BYTES},
    media="content_type",
    credentials="run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS.",
)
AZ: Final = RemoteKind(
    extra="az",
    connect=_opened,
    # adlfs sets the metadata itself, so there is no mark.
    needs={"fsspec": "2024.12.0", "adlfs": "2024.12.0"},
    limits={"max_concurrency": 2},
    credentials="set AZURE_STORAGE_ACCOUNT_NAME and a key, a token or a connection string.",
)
SFTP: Final = RemoteKind(
    extra="sftp",
    connect=_sftp,
    why_not="sftp cannot create exclusively as far as is known",
    whole=False,
    exact=True,
    parallel=1,
    credentials="log in with ssh once, so that the host is known, and let the key be found in ~/.ssh or an agent.",
)
#: Any other file system of fsspec, described by the caller.
OTHER: Final = RemoteKind(
    extra="",
    connect=_opened,
    why_not="this file system is not known to create exclusively",
    whole=False,
    exact=True,
    parallel=4,
)

BACKENDS: Final[Mapping[str, RemoteKind]] = {
    "s3": S3,
    "s3a": S3,
    "gs": GS,
    "gcs": GS,
    "az": AZ,
    "abfs": AZ,
    "sftp": SFTP,
}
