"""Real servers on loopback: S3 as moto plays it, a folder behind HTTP, and a proxy that breaks chosen requests.

Everything is a context manager, so that tests, benchmarks and plain programs can use it alike. Run as a program, this
file is the S3 server itself: it prints its port and serves until its standard input closes.
"""

from __future__ import annotations

import functools
import http.client
import http.server
import io
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


# S3


def aws_environment(endpoint: str) -> dict[str, str]:
    """What a client needs to find the server and to ask nobody else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass(frozen=True)
class S3Server:
    """A moto server in a process of its own. ``client`` is a plain boto3 client, behind every store's back."""

    port: int
    client: Any

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def bucket(self, name: str) -> str:
        self.client.create_bucket(Bucket=name)
        return name


@contextmanager
def s3_server() -> Iterator[S3Server]:
    import boto3
    from botocore.config import Config

    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_plain_environment()
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{LOOPBACK}:{port}",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
            config=Config(max_pool_connections=32),
        )
        yield S3Server(port, client)
    finally:
        process.kill()
        process.wait()


def _plain_environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    # S3 wants 5 MiB in each part of an upload; tests of uploads in parts can do with less.
    return plain | {"S3_UPLOAD_PART_MIN_SIZE": "1"}


@functools.cache
def _s3_files(endpoint: str) -> Any:
    from modhub.storage.backends import S3

    return S3.connect("s3://any", {"endpoint_url": endpoint, "key": "key", "secret": "secret"})[0]


def shared_s3(endpoint: str) -> Any:
    """S3 as the table of backends has it, but one client for a whole process: making one costs more than most tests."""
    from dataclasses import replace

    from modhub.storage.backends import S3

    return replace(S3, connect=lambda url, options: (_s3_files(endpoint), url.removeprefix("s3://")))


class RawBucket:
    """The objects below ``root`` of a bucket, without modhub and without s3fs."""

    def __init__(self, client: Any, bucket: str, root: str) -> None:
        self.client, self.bucket, self.root = client, bucket, root

    def read(self, path: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=f"{self.root}/{path}")["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def write(self, path: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"{self.root}/{path}", Body=data)

    def names(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.root}/")
        return {item["Key"].removeprefix(f"{self.root}/") for page in pages for item in page.get("Contents", [])}


def _serve_s3() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None: ...

    app, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        # moto looks whether an object is there and then writes it; S3 does both at once.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        with turn:
            return list(app(environ, start_response))

    server = make_server(LOOPBACK, 0, one_at_a_time, threaded=True, request_handler=Quiet)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


# HTTP


@contextmanager
def static_server(folder: Path, handler: type[http.server.SimpleHTTPRequestHandler] | None = None) -> Iterator[str]:
    """Serve ``folder`` read-only, as any web server would; gives its URL."""
    kind = functools.partial(handler or StaticHandler, directory=str(folder))
    with serving(_Patient((LOOPBACK, 0), kind)) as port:
        yield f"http://{LOOPBACK}:{port}"


class _Patient(http.server.ThreadingHTTPServer):
    """Says nothing when a client has had enough."""

    def handle_error(self, *_: Any) -> None: ...


class StaticHandler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    """Run a server in a thread; gives its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# Faults

#: What the proxy can do to a request, and whether the server gets to see it.
FAULTS = {
    "drop-request": False,
    "drop-response": True,
    "500": False,
    "500-after": True,
    "503": False,
    "403": False,
    "409": False,
    "412": False,
    "501": False,
    "412-after": True,
    "slow": True,
    "truncate": True,
    "truncate-lying": True,
    "corrupt": True,
    "stall": True,
    "unconditional": True,
}
_ANSWERS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "403": (403, "AccessDenied", "Access Denied"),
    "501": (501, "NotImplemented", "A header you provided implies functionality that is not implemented."),
    "409": (409, "ConditionalRequestConflict", "A conflicting operation is in progress."),
    # Without the name of the condition, as some servers answer.
    "412": (412, "PreconditionFailed", "At least one of the pre-conditions did not hold."),
}


@dataclass(frozen=True)
class Seen:
    """One request that reached the proxy, and what was done to it."""

    method: str
    target: str
    fault: str | None


@dataclass
class FaultProxy:
    """Sits between a client and a server. ``plan`` names the fault for the n-th request (from 1), or none."""

    endpoint: str
    plan: Callable[[int, str, str], str | None] = lambda number, method, target: None
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self, plan: Callable[[int, str, str], str | None]) -> None:
        """Count from 1 again, with another plan."""
        with self.lock:
            self.plan, self.seen = plan, []

    def at(self, fault: str, *numbers: int) -> None:
        """Break exactly these requests."""
        self.start(lambda number, method, target: fault if number in numbers else None)

    def fired(self) -> int:
        return sum(request.fault is not None for request in self.seen)

    def next_fault(self, method: str, target: str) -> str | None:
        with self.lock:
            fault = self.plan(len(self.seen) + 1, method, target)
            self.seen.append(Seen(method, target, fault))
            return fault


@contextmanager
def fault_proxy(port: int) -> Iterator[FaultProxy]:
    """A proxy before the server at ``port`` on loopback."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError, http.client.HTTPException):
                while _relay(self, proxy, port):
                    pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None: ...

    server = Server((LOOPBACK, 0), Handler)
    server.block_on_close = False
    proxy = FaultProxy(f"http://{LOOPBACK}:{server.server_address[1]}")
    with serving(server):
        try:
            yield proxy
        finally:
            proxy.stopped.set()


def _relay(handler: socketserver.StreamRequestHandler, proxy: FaultProxy, port: int) -> bool:
    """One request and its answer; False when the connection is to be closed."""
    line = handler.rfile.readline(65536).decode("latin-1").split()
    if len(line) != 3:
        return False
    method, target, _ = line
    headers = http.client.parse_headers(handler.rfile)
    if headers.get("Expect"):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = handler.rfile.read(int(headers.get("Content-Length", 0)))
    fault = proxy.next_fault(method, target)
    if fault == "drop-request":
        return False
    if fault is None or FAULTS[fault]:
        if fault == "unconditional":
            del headers["If-None-Match"]
        status, reason, answer, content = _forwarded(port, method, target, headers, body)
    if fault == "drop-response":
        return False
    if fault == "stall":
        # As long as the client has patience: it closes the connection when it has none left.
        handler.connection.settimeout(30)
        with suppress(OSError):
            handler.connection.recv(1)
        return False
    if fault is not None and fault[:3] in _ANSWERS:
        status, code, message = _ANSWERS[fault[:3]]
        reason, answer = code, [("Content-Type", "application/xml")]
        content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return _answered(handler.connection, method, status, reason, answer, content, fault)


def _forwarded(
    port: int, method: str, target: str, headers: http.client.HTTPMessage, body: bytes
) -> tuple[int, str, list[tuple[str, str]], bytes]:
    upstream = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    try:
        upstream.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.endheaders(body)
        response = upstream.getresponse()
        content = response.read()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP]
        if method == "HEAD" and response.getheader("Content-Length"):
            kept.append(("Content-Length", response.getheader("Content-Length", "0")))
        return response.status, response.reason, kept, content
    finally:
        upstream.close()


_HOP = {"connection", "transfer-encoding", "content-length"}


def _answered(
    connection: socket.socket,
    method: str,
    status: int,
    reason: str,
    headers: list[tuple[str, str]],
    content: bytes,
    fault: str | None,
) -> bool:
    if fault == "corrupt" and content:
        middle = len(content) // 2
        content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    sent = content[: len(content) // 2] if fault in ("truncate", "truncate-lying") else content
    if fault in ("corrupt", "truncate-lying"):
        # Not every server sends checksums, and S3 sends none with a part of an object.
        headers = [(name, value) for name, value in headers if not name.lower().startswith("x-amz-checksum")]
    head = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    if method == "HEAD":
        sent = b""
    elif status not in (204, 304):
        head.append(f"Content-Length: {len(sent if fault == 'truncate-lying' else content)}")
    data = "\r\n".join([*head, "", ""]).encode("latin-1") + sent
    step = max(1, len(data) // 50) if fault == "slow" else len(data)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(data), step):
        connection.sendall(data[start : start + step])
    return fault != "truncate"


if __name__ == "__main__":
    _serve_s3()
