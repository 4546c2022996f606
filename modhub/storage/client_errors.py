"""What the errors of other people's client libraries mean.

s3fs, gcsfs, adlfs, paramiko and requests fail in dozens of ways, and servers answer the same refusal in different
shapes. Here they become four answers: try again, not allowed, no such bucket, or something else; and then errors of
ours. Types are recognised by name, because most of these libraries are not installed. An error is read with its causes:
a clean-up that fails hides what went wrong before it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from modhub.errors import ModhubError, RegistryUnreachable, StorageError
from modhub.limits import MAX_RETRY_AFTER_SECONDS
from modhub.spec.url import without_secrets

#: HTTP answers after which the same request may well succeed: a timeout, a clash with another request (S3 says 409 to
#: one of two simultaneous creations), throttling, a server in trouble.
_AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 509, 520, 522, 523, 524, 529})
#: S3 says these with the status 400: the request was damaged or incomplete when it arrived.
_DAMAGED: Final = frozenset({"BadDigest", "IncompleteBody", "RequestTimeout", "SlowDown", "XAmzContentSHA256Mismatch"})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

#: The network failed, or bytes were lost or altered on their way. ``package.Class``, where the package is the first
#: part of the module's name.
_NETWORK: Final = frozenset(
    {
        "aiohttp.ClientError",
        "azure.ServiceRequestError",
        "azure.ServiceResponseError",
        "botocore.ConnectionError",
        "botocore.FlexibleChecksumError",
        "botocore.HTTPClientError",
        "botocore.IncompleteReadError",
        "botocore.ResponseParserError",
        "gcsfs.ChecksumError",
        "http.HTTPException",
        "paramiko.NoValidConnectionsError",
        "paramiko.SSHException",
        "requests.ChunkedEncodingError",
        "requests.ConnectionError",
        "requests.Timeout",
        "socket.gaierror",
        "urllib3.HTTPError",
    }
)
_TOO_SLOW: Final = frozenset({"modhub.TooSlow"})
_CREDENTIALS: Final = frozenset(
    {
        "azure.ClientAuthenticationError",
        "botocore.CredentialRetrievalError",
        "botocore.NoCredentialsError",
        "botocore.PartialCredentialsError",
        "botocore.ProfileNotFound",
        "google.GoogleAuthError",
        "paramiko.AuthenticationException",
        "paramiko.BadHostKeyException",
        "modhub.UnknownHost",
    }
)


def is_transient(error: BaseException) -> bool:
    """Whether trying again makes sense: the network, a timeout, a server in trouble, bytes lost on their way."""
    import ssl  # slow to import, and needed only where something failed

    causes = list(_causes(error))
    if is_throttled(error):
        return True
    # What took too long once takes as long again.
    stays = any(isinstance(cause, ssl.SSLCertVerificationError) or _is_named(cause, _TOO_SLOW) for cause in causes)
    if stays or is_forbidden(error):
        return False
    reported = False
    for cause in causes:
        status = _status(cause)
        if status in _AGAIN or _code(cause) in _DAMAGED or _is_network(cause):
            return True
        reported = reported or status is not None
    # Where a server has answered, the number in an OSError is only s3fs's translation of that answer.
    return not reported and getattr(error, "errno", None) in (errno.EIO, errno.EBUSY, errno.EAGAIN, errno.ETIMEDOUT)


def is_throttled(error: BaseException) -> bool:
    """Whether a refusal says when to come again: some hosts throttle with 403."""
    return is_forbidden(error) and requested_wait(error) is not None


def requested_wait(error: BaseException) -> float | None:
    """The seconds that the server asks to be left alone for (``Retry-After``, a number or a date); None without it."""
    for cause in _causes(error):
        headers = _headers(cause)
        text = str(headers.get("Retry-After") or headers.get("retry-after") or "").strip()
        if re.fullmatch(r"[0-9]+", text):
            return float(text[:12])
        if until := _moment(text):
            # By the server's own clock, where it says what time it has.
            now = _moment(str(headers.get("Date") or headers.get("date") or "")) or datetime.now(UTC)
            return max(0.0, (until - now).total_seconds())
    return None


def is_unclear(error: BaseException) -> bool:
    """Whether a failed creation may have happened all the same, or met an object: what is stored there must be read.

    Transient failures; and 412 without the name of the condition, which some S3 servers answer instead of
    FileExistsError.
    """
    return is_transient(error) or any(_status(cause) == 412 for cause in _causes(error))


def is_forbidden(error: BaseException) -> bool:
    """Whether the server, or the client before it, refused the credentials or found none."""
    return any(
        isinstance(cause, PermissionError)
        or _status(cause) in (401, 403)
        or _is_named(cause, _CREDENTIALS)
        # gcsfs makes this of 403, and paramiko of a missing key, both without a type of its own.
        or str(cause).startswith(("Forbidden: ", "No authentication methods available"))
        for cause in _causes(error)
    )


def is_bad_range(error: BaseException) -> bool:
    """Whether a range was refused: one of an empty object always is."""
    return any(_status(cause) == 416 for cause in _causes(error))


def lacks_bucket(error: BaseException) -> bool:
    """Whether the bucket or container itself is missing, not only an object in it."""
    return any(_code(cause) in ("NoSuchBucket", "ContainerNotFound") for cause in _causes(error))


def says(error: BaseException) -> str:
    """What the library says: one bounded line of printable text, without passwords and without a full stop."""
    text = (getattr(error, "strerror", None) or str(error))[:2000]
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    text = " ".join(text.split()) or type(error).__name__
    return without_secrets(text)[:300].rstrip(". ")


def client_error(
    error: BaseException, *, doing: str, url: str, path: str, attempts: int, credentials: str = ""
) -> ModhubError:
    """The error of ours for one that ended an operation. ``doing`` is ``read``, ``write``, ``create`` (unless something
    is there) or ``sweep`` (look for unfinished uploads and remove them).

    ``attempts``: how often it was tried, for the message; ``credentials``: where they come from, for the hint.
    """
    where = f"{url}/{path}" if path else url
    creating, sweeping = doing == "create", doing == "sweep"
    doing = "read" if doing == "read" else "write"
    if lacks_bucket(error) or (doing == "write" and isinstance(error, FileNotFoundError)):
        return RegistryUnreachable(
            f"there is no {url}: {says(error)}.",
            kind="no-bucket",
            hint="create the bucket first, or check its name.",
            registry=url,
        )
    if sweeping and not is_transient(error):
        return RegistryUnreachable(
            f"{url} does not say which uploads were begun and never finished: {says(error)}.",
            kind="cannot-sweep",
            hint="let the host remove unfinished uploads by a lifecycle rule, or get the right to list them.",
            registry=url,
        )
    if is_forbidden(error) and not is_throttled(error):
        return RegistryUnreachable(
            f"cannot {doing} {where}: {says(error)}.",
            kind="not-readable" if doing == "read" else "not-writable",
            hint=credentials or f"get the right to {doing} there.",
            registry=url,
            path=path,
        )
    if getattr(error, "errno", None) in _FULL:
        return StorageError(
            f"no space to write {where}: {says(error)}.",
            kind="no-space",
            hint="free some space there, then run it again; nothing half done was left.",
            path=path,
        )
    if creating and any(_status(cause) == 501 for cause in _causes(error)):
        return RegistryUnreachable(
            f"{url} does not know how to create {path} exclusively: {says(error)}.",
            kind="no-exclusive-create",
            hint="keep the registry on a host that honours If-None-Match.",
            registry=url,
            path=path,
        )
    wait = requested_wait(error) if is_transient(error) else None
    if wait is not None and wait > MAX_RETRY_AFTER_SECONDS:
        return RegistryUnreachable(
            f"cannot {doing} {where}: {says(error)}, and asks to be left alone for {wait:.0f} seconds, more than the "
            f"{MAX_RETRY_AFTER_SECONDS} that are waited.",
            kind="busy",
            hint="run it again after that time.",
            registry=url,
            path=path,
            retry_after=wait,
        )
    tried = f" (tried {attempts} times)" if is_transient(error) else ""
    return RegistryUnreachable(
        f"cannot {doing} {where}: {says(error)}{tried}.",
        kind="unreachable",
        hint="check the address and the network, then run it again.",
        registry=url,
        path=path,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        # An error of ours belongs to another operation: this one was begun while that error was being handled.
        if cause is not None and id(cause) not in seen and not isinstance(cause, ModhubError):
            seen.add(id(cause))
            yield cause
            waiting += [cause.__context__, cause.__cause__]


def _headers(error: BaseException) -> Mapping[str, str]:
    """The headers of the answer that one error carries, in the shape of botocore, requests, azure or aiohttp."""
    response = getattr(error, "response", None)
    found = (
        response.get("ResponseMetadata", {}).get("HTTPHeaders")
        if isinstance(response, dict)
        else getattr(response, "headers", None)
    )
    found = found if found is not None else getattr(error, "headers", None)
    return found if isinstance(found, Mapping) else {}


def _moment(text: str) -> datetime | None:
    """An HTTP date, None for anything else."""
    try:
        when = parsedate_to_datetime(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _status(error: BaseException) -> int | None:
    """The HTTP status that one error carries, in the shape of botocore, requests, azure, gcsfs or aiohttp."""
    response = getattr(error, "response", None)
    found = (
        response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(response, dict)
        else getattr(response, "status_code", None)
    )
    for name in ("status_code", "status", "code"):
        found = found or getattr(error, name, None)
    try:
        return int(found)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _code(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else getattr(error, "error_code", None)
    return str(code) if code else None


def _is_network(error: BaseException) -> bool:
    plain = (TimeoutError, ConnectionError, EOFError)
    return isinstance(error, plain) or _is_named(error, _NETWORK) or str(error) == "Socket is closed"


def _is_named(error: BaseException, names: frozenset[str]) -> bool:
    return any(f"{kind.__module__.split('.')[0]}.{kind.__name__}" in names for kind in type(error).__mro__)
