"""Running an ASGI application on this machine: where it listens, slow clients, signals, and stopping gracefully.

What was accepted is answered: on SIGTERM or SIGINT the server goes on accepting for a moment, while every answer tells
its client to connect anew elsewhere; then it stops listening, and waits for the requests that it has.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from modhub.errors import ModhubError, UsageError
from modhub.limits import MIB
from modhub.serving.library import ASGIApp, HttpToolsProtocol, Message, Receive, Scope, Send, uvicorn
from modhub.spec.log import record

#: Connections that wait to be accepted.
_BACKLOG: Final = 1024
#: Bytes of the headers of one request.
_MOST_HEAD: Final = MIB
#: The address that only this machine reaches.
LOOPBACK: Final = "127.0.0.1"
#: Names under which a browser on this machine may ask a server that listens on loopback alone.
LOOPBACK_NAMES: Final = ("localhost", LOOPBACK, "[::1]")

Announce = Callable[[str], None]
Hook = Callable[[], None]


@dataclass(frozen=True)
class HostTiming:
    """How long, in seconds, clients and stopping may take, and how many connections there may be at once.

    ``headers``: until a connection has sent a request's headers; ``idle``: between two requests of one
    connection. ``leaving``: how long a stopping server goes on accepting; ``stop``: how long it then waits for what it
    has accepted.
    """

    headers: float = 10
    idle: int = 15
    leaving: float = 0.3
    stop: int = 4
    connections: int = 1000


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def run_server(
    app: ASGIApp,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    announce: Announce | None = None,
    on_stop: Hook | None = None,
    on_hangup: Hook | None = None,
    timing: HostTiming | None = None,
) -> None:
    """Serve ``app`` until SIGTERM or SIGINT; a second SIGINT stops at once. For the main thread.

    ``port`` 0 takes a free one; ``announce`` is called with the URL once it listens, ``on_stop`` when stopping begins,
    ``on_hangup`` in the event loop's thread on SIGHUP. Raises UsageError, kinds ``bad-host`` and ``port-in-use``.
    """
    listener = _listener(host, port)
    timing = timing or HostTiming()
    server = _Server(app, timing, _Hooks(announce, on_stop, on_hangup), url_of(listener), signals=True)
    server.run(sockets=[listener])


@contextmanager
def deaf_to_hangup() -> Iterator[threading.Event]:
    """SIGHUP, which would end the process, is only remembered inside, until ``run_server`` hears it: for loading what
    is to be served. The event is set once one came: what was read before may be old, so load again."""
    heard = threading.Event()
    if sys.platform == "win32":
        yield heard
        return
    before = signal.signal(signal.SIGHUP, lambda number, frame: heard.set())
    try:
        yield heard
    finally:
        signal.signal(signal.SIGHUP, before)


class Hosted:
    """An application that is served by a thread of this process. ``url`` is where; ``stop`` ends it, gracefully."""

    def __init__(self, server: _Server, thread: threading.Thread, url: str) -> None:
        self.url = url
        self._server = server
        self._thread = thread

    def stop(self) -> None:
        """Answer what was accepted, then end. Again it does nothing."""
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> Hosted:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def hosted(
    app: ASGIApp,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    on_stop: Hook | None = None,
    timing: HostTiming | None = None,
) -> Hosted:
    """Serve ``app`` in a thread, until ``Hosted.stop``; it listens when this returns. Raises as ``run_server``."""
    listener = _listener(host, port)
    ready = threading.Event()
    url = url_of(listener)
    hooks = _Hooks(lambda _: ready.set(), on_stop, None)
    server = _Server(app, timing or HostTiming(), hooks, url, signals=False)

    def serve() -> None:
        try:
            server.run(sockets=[listener])
        finally:
            ready.set()

    thread = threading.Thread(target=serve, name="modhub-http", daemon=True)
    thread.start()
    ready.wait()
    if not server.started:
        raise ModhubError(f"the server on {url} ended while it started.", kind="not-started")
    return Hosted(server, thread, url)


def check_listens(host: str, port: int) -> None:
    """Raise UsageError as ``run_server`` does where nothing can listen, before what is to be served is loaded."""
    _listener(host, port).close()


def url_of(listener: socket.socket) -> str:
    """``http://127.0.0.1:8000``."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listener(host: str, port: int) -> socket.socket:
    """A socket that is bound. Raises UsageError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{host!r} is no address of this machine: {error}.",
            kind="bad-host",
            hint="use 127.0.0.1 for this machine alone, or 0.0.0.0 for all that reach it.",
            host=host,
        ) from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror or error}.",
            kind="port-in-use",
            hint="choose another with --port (port=), or 0 for any that is free.",
            host=host,
            port=port,
        ) from error
    return listener


@dataclass(frozen=True)
class _Hooks:
    announce: Announce | None
    on_stop: Hook | None
    on_hangup: Hook | None


class _Protocol(HttpToolsProtocol):
    """Closes a connection that does not send a request's headers in time, or sends too many: uvicorn itself would wait
    for them, and keep them, for ever."""

    waits: float = HostTiming.headers

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._is_in_body = False
        # Bytes since the last that belonged to a body or ended a request: of a head, of trailers, or between requests.
        self._beside_bodies = 0
        self._clock = self.loop.call_later(self.waits, self._give_up)

    def _restart_clock(self) -> None:
        self._clock.cancel()
        self._clock = self.loop.call_later(self.waits, self._give_up)

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            # The next request's head waits behind one that is being answered.
            self._restart_clock()

    def data_received(self, data: bytes) -> None:
        # uvicorn's own clock between requests, which any byte stops.
        was_idle = self.timeout_keep_alive_task is not None
        super().data_received(data)
        self._beside_bodies += len(data)
        if self.transport.is_closing():
            return
        if self._beside_bodies > _MOST_HEAD:
            self.transport.close()
        elif was_idle and not self._is_in_body and self._clock.cancelled():
            self._restart_clock()

    def on_message_begin(self) -> None:
        self._beside_bodies = 0
        self._restart_clock()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_body = True
        self._clock.cancel()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside_bodies = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._beside_bodies = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.cancel()
        super().connection_lost(exc)


def _has_body(scope: Scope) -> bool:
    """Whether a request says that something follows its headers."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        for name, value in scope["headers"]
    )


class _Server(uvicorn.Server):
    """uvicorn with ``HostTiming`` and ``_Hooks``."""

    def __init__(self, app: ASGIApp, timing: HostTiming, hooks: _Hooks, url: str, *, signals: bool) -> None:
        super().__init__(
            uvicorn.Config(
                self._telling_to_leave(app),
                http=type("_TimedProtocol", (_Protocol,), {"waits": timing.headers}),
                ws="none",
                lifespan="on",
                log_config=None,
                # What clients do wrong is theirs to hear, and would fill the log.
                log_level="error",
                access_log=False,
                server_header=False,
                # Who asks and by which scheme decides nothing here, so no header is believed about it.
                proxy_headers=False,
                backlog=_BACKLOG,
                limit_concurrency=timing.connections,
                timeout_keep_alive=timing.idle,
                timeout_graceful_shutdown=timing.stop,
            )
        )
        self._timing = timing
        self._hooks = hooks
        self._url = url
        self._signals = signals
        self._is_leaving = False

    def _telling_to_leave(self, app: ASGIApp) -> ASGIApp:
        """``app``, whose answers close their connections once the server is stopping, or where they come before the
        request was read: nothing bounds what a client goes on sending."""

        async def answering(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            is_unread = _has_body(scope)

            async def noting() -> Message:
                nonlocal is_unread
                message = await receive()
                is_unread = is_unread and bool(message.get("more_body", False))
                return message

            async def closing(message: Message) -> None:
                if (self._is_leaving or is_unread) and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
                await send(message)

            await app(scope, noting, closing)

        return answering

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._hooks.announce is not None:
            self._hooks.announce(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._is_leaving = True
        record("serve", "stopping: answering what was accepted")
        if self._hooks.on_stop is not None:
            self._hooks.on_stop()
        if not self.force_exit:
            await asyncio.sleep(self._timing.leaving)
        await super().shutdown(sockets)
        record("serve", "stopped")

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if not self._signals:
            yield
            return
        if sys.platform == "win32":
            # Its loops know no signals.
            with super().capture_signals():
                yield
            return
        # Set in the loop and not raised again afterwards: being asked to stop is no failure.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.handle_exit, signal.SIGTERM, None)
        loop.add_signal_handler(signal.SIGINT, self.handle_exit, signal.SIGINT, None)
        if self._hooks.on_hangup is not None:
            loop.add_signal_handler(signal.SIGHUP, self._hooks.on_hangup)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
