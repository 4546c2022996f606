"""A registry that a web server hands out, read-only: a folder, a bucket or a mirror behind http or https.

The server is not trusted: answers are bounded before and while they are read, in bytes and in time, compression is
neither asked for nor undone, redirects are few and never lead from https to http, and a body that ends early is not
believed but continued. Whether the bytes are right only their digests can tell, and those are the reader's business.

Hosts differ in what they say of an object that is not there: 404, 410, 451, nothing at all, and 403 where a bucket
gives readers no right to list. A host that has given anything else is believed to mean "not there" by all of them.
What a host with a start page for every address says, ``answers_for_missing`` finds out.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from modhub.errors import IntegrityError, ModhubError, NotFound, RegistryUnreachable, shown
from modhub.limits import MAX_RECORD_BYTES
from modhub.spec.log import timing
from modhub.spec.url import RegistryUrl
from modhub.storage.backends import CONNECT_SECONDS, READ_SECONDS
from modhub.storage.client_errors import client_error
from modhub.storage.retry import Retry
from modhub.storage.store import CHUNK_BYTES, Capabilities, Payload, check_path, check_prefix, too_large

if TYPE_CHECKING:
    from requests import Response, Session

    from modhub.storage.patience import Patience

MAX_REDIRECTS: Final = 5
_HEADERS: Final = {
    "User-Agent": "modhub",
    "Accept-Encoding": "identity",
    # Caches on the way may keep what they have, but have to ask whether it is still so.
    "Cache-Control": "no-cache",
}


#: The answers for an object that is not there, or not to be had for reasons that are the host's.
_GONE: Final = (204, 404, 410, 451)
#: What may stand in Content-Encoding of bytes as they are; S3 keeps the last as some clients send it.
_PLAIN: Final = frozenset({"", "identity", "aws-chunked"})


class HttpStore:
    """Everything below ``url``. A name and password in it are used and never shown; ``~/.netrc`` works as well.

    ``patience``: how long answers may take, by default as ``limits`` says.
    """

    capabilities = Capabilities(
        writable=False, exclusive_create=False, can_list=False, parallel=8, why_not="a web server only reads"
    )

    def __init__(
        self,
        url: str,
        *,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        patience: Patience | None = None,
    ) -> None:
        parts = urlsplit(RegistryUrl(url).address)
        self._auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        host = parts.netloc.rpartition("@")[2].lower()
        self.url = RegistryUrl(urlunsplit((parts.scheme.lower(), host, parts.path.rstrip("/"), "", "")))
        self.retry = retry
        self._patience = patience
        self._sessions = threading.local()
        # Whether it has given an object; whether it answers for what nobody can have put there; what was said of it.
        self._gives = False
        self._answers_always: bool | None = None
        self._remarks: set[str] = set()

    def get(self, path: str, *, max_bytes: int) -> bytes:
        return b"".join(self.stream(path, max_bytes=max_bytes))

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        address, done = self._address(path), 0
        for delay in self.retry.delays():
            try:
                with self._answer("GET", address, path, start=done) as response:
                    for piece in _body(response, done, self._patient(), path=f"{self.url}/{path}", max_bytes=max_bytes):
                        done += len(piece)
                        yield piece
                return
            except ModhubError:
                raise
            except Exception as error:
                if not self.retry.again(delay, error):
                    raise self._explained(error, path) from error

    def answers_for_missing(self, path: str) -> bool:
        if self._answers_always is None:
            folder = path.rpartition("/")[0]
            nothing = f"{folder}/{secrets.token_hex(16)}.json".lstrip("/")
            try:
                self.get(nothing, max_bytes=MAX_RECORD_BYTES)
                self._answers_always = True
            except IntegrityError:
                self._answers_always = True
            except NotFound:
                self._answers_always = False
        if self._answers_always:
            self._remark("answers with a page of its own where nothing is", "leave this folder out of its start page")
        return self._answers_always

    def exists(self, path: str) -> bool:
        try:
            self._head(path)
        except NotFound:
            return False
        return True

    def modified(self, path: str) -> datetime:
        stamp = self._head(path).get("Last-Modified", "")
        try:
            when = parsedate_to_datetime(stamp)
        except (ValueError, OverflowError) as error:
            raise RegistryUnreachable(
                f"the server does not say when {self.url}/{path} was last written (Last-Modified: {stamp or 'none'}).",
                kind="no-date",
                hint="ask the registry that this one is a copy of.",
                registry=self.url,
                path=path,
            ) from error
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)

    def list(self, prefix: str) -> list[str]:
        check_prefix(prefix)
        raise RegistryUnreachable(
            f"the registry {self.url} cannot list what it has.",
            kind="cannot-list",
            hint="name the model in full: namespace/model.",
            registry=self.url,
        )

    def put_if_absent(self, path: str, data: Payload) -> bool:
        self._refuse()

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        self._refuse()

    def replace(self, path: str, data: Payload) -> None:
        self._refuse()

    def delete(self, path: str) -> None:
        self._refuse()

    def sweep(self, before: datetime) -> int:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RegistryUnreachable(
            f"the registry {self.url} is read-only.",
            kind="not-writable",
            hint="publish to another registry, for example with --registry FOLDER.",
            registry=self.url,
        )

    # Requests

    def _address(self, path: str) -> str:
        # Some hosts read a plus sign in a path as a space.
        return f"{self.url}/{quote(check_path(path))}"

    def _head(self, path: str) -> Mapping[str, str]:
        address = self._address(path)

        def ask() -> Mapping[str, str]:
            with self._answer("HEAD", address, path, accepted=(403, 405, 501)) as response:
                if response.status_code in (200, 206):
                    return response.headers
            # No server has the first byte of an empty object.
            with self._answer("GET", address, path, end=0, accepted=(416,)) as response:
                return response.headers

        try:
            return self.retry(ask)
        except ModhubError:
            raise
        except Exception as error:
            raise self._explained(error, path) from error

    @contextmanager
    def _answer(
        self,
        method: str,
        address: str,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        accepted: tuple[int, ...] = (),
    ) -> Iterator[Response]:
        """The answer with an unread body. Raises NotFound, and requests' errors for every other refusal."""
        import requests  # here and below: 60 ms, which only a request needs

        headers = dict(_HEADERS)
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end}"
        with self._followed(method, address, headers, path) as response:
            status = response.status_code
            if status in _GONE:
                raise NotFound(f"{self.url}/{path} does not exist.", kind="no-object", path=path)
            if status == 403 and method == "GET" and self._gives and "Retry-After" not in response.headers:
                self._remark("answers 403 where nothing is", "for a bucket, give its readers the right to list it")
                raise NotFound(
                    f"{self.url}/{path} does not exist, or may not be read: the server answers 403.",
                    kind="no-object",
                    path=path,
                    status=status,
                )
            if status not in (200, 206, *accepted):
                raise requests.HTTPError(
                    f"{RegistryUrl(response.url)} answers {status} {response.reason}", response=response
                )
            encoding = response.headers.get("Content-Encoding", "").strip().lower()
            if method == "GET" and status in (200, 206) and encoding not in _PLAIN:
                raise IntegrityError(
                    f"{self.url}/{path} comes with Content-Encoding: {shown(encoding)}, which was not asked for.",
                    kind="content-encoding",
                    hint="let the server hand out the registry's files as they are, without compressing them.",
                    path=path,
                    encoding=encoding[:80],
                )
            if status in (200, 206):
                self._gives = True
            yield response

    def _remark(self, what: str, way: str) -> None:
        """Say once what is odd about the host, and how it should be configured."""
        if what not in self._remarks:
            self._remarks.add(what)
            warnings.warn(
                f"{self.url} {what}, which is taken for missing. Configure that host to answer 404 instead: {way}.",
                stacklevel=2,
            )

    @contextmanager
    def _followed(self, method: str, address: str, headers: dict[str, str], path: str) -> Iterator[Response]:
        """The first answer that is no redirect."""
        import requests

        for _ in range(MAX_REDIRECTS + 1):
            own = _origin(address) == _origin(self.url)
            with timing("request", "%s %s", method, RegistryUrl(address)):
                response = self._session().request(
                    method,
                    address,
                    headers=headers,
                    auth=self._auth if own else None,
                    stream=True,
                    allow_redirects=False,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                )
            if not response.is_redirect:
                with response:
                    yield response
                return
            response.close()
            target = urljoin(address, response.headers["Location"])
            if target == f"{address}/":
                # No object's path ends so: the server has a folder there.
                raise NotFound(f"{self.url}/{path} is a folder, not an object.", kind="no-object", path=path)
            step = RegistryUrl(address), RegistryUrl(target)
            if not re.match(r"https?://", target, re.IGNORECASE):
                raise requests.exceptions.InvalidURL(f"{step[0]} leads to {step[1]}, which is not on the web")
            if address.startswith("https:") and not target.startswith("https:"):
                raise requests.exceptions.InvalidURL(f"{step[0]} leads from https to {step[1]}")
            address = target
        raise requests.TooManyRedirects(f"{self.url}/{path} leads on more than {MAX_REDIRECTS} times")

    def _patient(self) -> Patience:
        from modhub.storage.patience import Patience  # brings requests along

        return self._patience or Patience()

    def _session(self) -> Session:
        """One for each thread and process: requests promises nothing about sharing."""
        from modhub.storage.patience import patient_session  # brings requests along

        held: tuple[int, Session] | None = getattr(self._sessions, "held", None)
        if held is None or held[0] != os.getpid():
            held = (os.getpid(), patient_session(self._patient()))
            self._sessions.held = held
        return held[1]

    def _explained(self, error: Exception, path: str) -> ModhubError:
        host = urlsplit(self.url).hostname
        credentials = f"put the name and password for {host} into ~/.netrc."
        return client_error(
            error, doing="read", url=self.url, path=path, attempts=self.retry.attempts, credentials=credentials
        )


def _body(response: Response, start: int, patience: Patience, *, path: str, max_bytes: int) -> Iterator[bytes]:
    """The object's bytes from ``start`` on, as the server sends them. Raises ConnectionError when some are missing."""
    length = _number(response.headers.get("Content-Length", ""))
    # A server that knows no ranges starts again from the beginning.
    came, skip = 0, start
    if response.status_code == 206 and start:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise ConnectionError(f"another range came than that from {start} on")
        came, skip = start, 0
    if length is not None and came + length > max_bytes:
        raise too_large(path, size=came + length, max_bytes=max_bytes)
    end = None if length is None else came + length
    while True:
        left = max_bytes - came + 1 if end is None else max(1, end - came)
        data = patience.read(response, min(CHUNK_BYTES, left))
        if not data:
            break
        came += len(data)
        if came > max_bytes:
            raise too_large(path, size=None, max_bytes=max_bytes)
        fresh = data[skip:]
        skip -= len(data) - len(fresh)
        if fresh:
            yield fresh
    if end is not None and came < end:
        raise ConnectionError(f"the answer ended after {came} of {end} bytes")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text.strip()) else None
