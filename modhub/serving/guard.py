"""What stands before every application that is served: whom it answers, how much it reads, what browsers are told.

Each is an ASGI middleware by itself, so that an application takes those that it needs.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Collection, Mapping
from typing import Final

from modhub.errors import Refused, UsageError, shown
from modhub.limits import MIB
from modhub.serving.answers import error_answer
from modhub.serving.library import ASGIApp, Message, Receive, Scope, Send

#: For every answer: nothing is guessed, framed, referred to or kept, and no page loads anything unless it says so.
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class WithHeaders:
    """Adds headers to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] = SECURITY_HEADERS) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                names = {name.lower() for name, _ in own}
                message = {**message, "headers": own + [each for each in self._headers if each[0] not in names]}
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "http" else send)


class KnownHosts:
    """Answers only requests that name one of ``hosts``, whatever the port.

    A page from elsewhere whose name was made to lead to this machine (DNS rebinding) asks under its own name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = _header(scope, b"host").decode("latin-1").lower()
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name not in self._hosts:
                error = UsageError(
                    f"this server is not called {shown(name)}.",
                    kind="unknown-host",
                    hint="ask under the name that it printed, or name this one too when it starts: --allow-host.",
                )
                await error_answer(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class WithToken:
    """Answers only requests that bring ``token`` (``Authorization: Bearer ...``), but for ``open_paths``."""

    def __init__(self, app: ASGIApp, token: str, open_paths: Collection[str] = ()) -> None:
        self._app = app
        self._token = f"Bearer {token}".encode()
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) not in self._open:
            given = _header(scope, b"authorization")
            # "Bearer" in any case, as RFC 9110 has it.
            given = b"Bearer" + given[6:] if given[:6].lower() == b"bearer" else given
            if not hmac.compare_digest(given, self._token):
                error = UsageError(
                    "this server needs a token." if not given else "this is not the server's token.",
                    kind="no-token",
                    hint="send the header Authorization: Bearer TOKEN.",
                )
                answer = error_answer(error)
                answer.headers["www-authenticate"] = 'Bearer realm="modhub"'
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BoundedBody:
    """Bounds what is read of a request: ``most_bytes``, in ``seconds`` from its headers to its last byte.

    Raises Refused, kinds ``too-large`` and ``slow-client``, where the application reads, which answers every error.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, seconds: float) -> None:
        self._app = app
        self._most = most_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = _header(scope, b"content-length")
        if said.isdigit() and int(said[:20]) > self._most:
            await error_answer(body_too_large(self._most))(scope, receive, send)
            return
        until = asyncio.get_running_loop().time() + self._seconds
        count, ended = 0, False

        async def bounded() -> Message:
            nonlocal count, ended
            if ended:
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise Refused(
                    f"the request was not there after {self._seconds:g} seconds.",
                    kind="slow-client",
                    hint="send less at once, or over a faster connection.",
                ) from None
            count += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if count > self._most:
                raise body_too_large(self._most)
            return message

        await self._app(scope, bounded, send)


def body_too_large(most: int) -> Refused:
    """The error for a body of more bytes."""
    return Refused(
        f"the request has more than {most / MIB:g} MiB.",
        kind="too-large",
        hint="send fewer or smaller images at once.",
        most=most,
    )


def _header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")
