"""A registry behind a web server: conformance of what can be read, and servers that lie, stall, lead astray or tire."""

from __future__ import annotations

import base64
import gzip
import http.server
import ipaddress
import itertools
import socketserver
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from servers import LOOPBACK, StaticHandler, fault_proxy, serving, static_server

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable
from modhub.limits import MAX_RETRY_AFTER_SECONDS
from modhub.storage.http import MAX_REDIRECTS, HttpStore
from modhub.storage.patience import Patience
from modhub.storage.retry import Retry
from modhub.storage.store import CHUNK_BYTES
from modhub.storage.testing_reads import ReadOnlySuite
from modhub.storage.urls import open_store

SOON = Retry(wait=lambda seconds: None)


class RawFolder:
    """The folder that the server hands out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path):
        file = self.root / path
        return file.read_bytes() if file.is_file() else None

    def write(self, path, data):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def names(self):
        return {str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file()}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "www" / "team").mkdir(parents=True)
    return RawFolder(tmp_path / "www" / "team")


class TestHttpStore(ReadOnlySuite):
    @pytest.fixture
    def store(self, folder):
        with static_server(folder.root.parent) as url:
            yield open_store(f"{url}/team")

    @pytest.fixture
    def raw(self, folder):
        return folder


class TestHttpStoreOnAServerWithoutHead(TestHttpStore):
    @pytest.fixture
    def store(self, folder):
        class Handler(StaticHandler):
            def do_HEAD(self):  # noqa: N802
                self.send_error(405)

        with static_server(folder.root.parent, Handler) as url:
            yield open_store(f"{url}/team")


# Faults on the way


@pytest.fixture
def through(folder):
    with static_server(folder.root) as url, fault_proxy(int(url.rpartition(":")[2])) as proxy:
        yield HttpStore(proxy.endpoint, retry=SOON), proxy, folder


@pytest.mark.parametrize("fault", ["drop-request", "drop-response", "500", "503", "slow", "truncate"])
def test_reading_survives_a_fault(through, fault):
    store, proxy, raw = through
    raw.write("a/b", b"some bytes")
    for times in (1, 2, 4):
        for read, expected in (
            (lambda: store.get("a/b", max_bytes=100), b"some bytes"),
            (lambda: store.exists("a/b"), True),
            (lambda: store.exists("a/x"), False),
        ):
            proxy.at(fault, *range(1, times + 1))
            assert read() == expected
            assert proxy.fired()


def test_only_transient_failures_are_tried_again_and_ever_longer_apart(through):
    _, proxy, raw = through
    raw.write("a", b"data")
    waited = []
    store = HttpStore(proxy.endpoint, retry=Retry(attempts=4, delay=0.5, wait=waited.append))
    proxy.start(lambda number, method, target: "503")
    with pytest.raises(RegistryUnreachable, match=r"/a answers 503 SlowDown \(tried 4 times\)") as caught:
        store.get("a", max_bytes=10)
    assert caught.value.kind == "unreachable"
    assert waited == [0.5, 1.0, 2.0]
    for fault, kind in (("403", "not-readable"), ("412", "unreachable"), ("501", "unreachable")):
        waited.clear()
        proxy.start(lambda number, method, target, fault=fault: fault)
        with pytest.raises(RegistryUnreachable, match=f"answers {fault}") as caught:
            store.get("a", max_bytes=10)
        assert caught.value.kind == kind
        assert (waited, len(proxy.seen)) == ([], 1)


def test_a_body_that_ends_early_for_good_is_not_believed(through):
    store, proxy, raw = through
    raw.write("a", b"x" * 1000)
    proxy.start(lambda number, method, target: "truncate")
    with pytest.raises(RegistryUnreachable, match="tried 5 times"):
        store.get("a", max_bytes=1000)


# Servers that do as they like


@pytest.fixture
def scripted():
    """A server that answers each request with the next of the given functions; gives its URL and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append(self)
            self.close_connection = True
            self.script.pop(0)(self) if len(self.script) > 1 else self.script[0](self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_): ...

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_): ...

    server = Server((LOOPBACK, 0), Handler)
    with serving(server) as port:

        def run(*script):
            Handler.script = list(script)
            asked.clear()
            return f"http://{LOOPBACK}:{port}", asked

        yield run


def answer(status, body=b"", **headers):
    def send(handler):
        if "Date" in headers:
            handler.date_time_string = lambda: headers["Date"]
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), "Connection": "close", **headers}.items():
            if value is not None and name != "Date":
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return send


def test_an_interrupted_body_is_continued_where_it_ended(scripted):
    data = bytes(range(256)) * 40
    url, asked = scripted(
        answer(200, data[:3000], Content_Length="10240"),
        answer(206, data[3000:7000], Content_Length="7240", Content_Range="bytes 3000-10239/10240"),
        answer(206, data[7000:], Content_Range="bytes 7000-10239/10240"),
    )
    assert HttpStore(url, retry=SOON).get("a", max_bytes=10_240) == data
    assert [handler.headers["Range"] for handler in asked] == [None, "bytes=3000-", "bytes=7000-"]


def test_a_server_without_ranges_starts_again_and_nothing_comes_twice(scripted):
    data = bytes(range(256)) * 40
    url, _ = scripted(
        answer(200, data[:3000], Content_Length="10240"),
        answer(200, data[:2000], Content_Length="10240"),
        answer(200, data),
    )
    assert HttpStore(url, retry=SOON).get("a", max_bytes=10_240) == data


def test_another_range_than_the_one_asked_for_is_not_taken(scripted):
    data = bytes(range(256)) * 40
    url, _ = scripted(
        answer(200, data[:3000], Content_Length="10240"),
        answer(206, data[100:], Content_Range="bytes 100-10239/10240"),
    )
    with pytest.raises(RegistryUnreachable, match="another range came than that from 3000 on"):
        HttpStore(url, retry=SOON).get("a", max_bytes=10_240)


@pytest.mark.parametrize("length", ["1000", None, "nonsense"])
def test_an_object_is_bounded_whatever_its_length_says(scripted, length):
    url, _ = scripted(answer(200, b"x" * 1000, Content_Length=length))
    with pytest.raises(IntegrityError, match="at most 999") as caught:
        HttpStore(url, retry=SOON).get("a", max_bytes=999)
    assert caught.value.kind == "too-large"


def test_an_object_that_says_it_is_too_large_is_not_read(scripted):
    def endless(handler):
        answer(200, b"", Content_Length=str(1 << 40))(handler)
        handler.rfile.read(1)

    url, _ = scripted(endless)
    with pytest.raises(IntegrityError, match=f"has {1 << 40} bytes where at most 10 are allowed"):
        HttpStore(url, retry=SOON).get("a", max_bytes=10)


def test_an_endless_body_ends_at_the_bound(scripted):
    def endless(handler):
        answer(200, b"", Content_Length=None)(handler)
        for _ in itertools.count():
            handler.wfile.write(bytes(1 << 20))

    url, _ = scripted(endless)
    pieces = HttpStore(url, retry=SOON).stream("a", max_bytes=3 * CHUNK_BYTES)
    assert [len(next(pieces)) for _ in range(3)] == [CHUNK_BYTES] * 3
    with pytest.raises(IntegrityError, match="has more bytes where at most"):
        next(pieces)


def test_compression_is_not_asked_for_and_named_where_it_comes_all_the_same(scripted):
    bomb = gzip.compress(bytes(10_000_000))
    url, asked = scripted(answer(200, bomb, Content_Encoding="gzip"))
    with pytest.raises(
        IntegrityError, match="a comes with Content-Encoding: 'gzip', which was not asked for"
    ) as caught:
        HttpStore(url).get("a", max_bytes=100_000)
    assert caught.value.kind == "content-encoding"
    assert "without compressing" in caught.value.hint
    assert [handler.headers["Accept-Encoding"] for handler in asked] == ["identity"]


@pytest.mark.parametrize("encoding", ["identity", "aws-chunked", ""])
def test_an_encoding_that_changes_nothing_is_none(scripted, encoding):
    url, _ = scripted(answer(200, b"data", Content_Encoding=encoding))
    assert HttpStore(url).get("a", max_bytes=100) == b"data"


def test_caches_on_the_way_are_asked_to_look_again(scripted):
    url, asked = scripted(answer(200, b"data"))
    HttpStore(url).get("a", max_bytes=10)
    assert asked[0].headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("status", "kind"), [(401, "not-readable"), (403, "not-readable"), (418, "unreachable")])
def test_a_refusal_is_told_with_what_the_server_says(scripted, status, kind):
    url, _ = scripted(answer(status, b"go away"))
    store = HttpStore(url, retry=SOON)
    for read in (lambda: store.get("a", max_bytes=10), lambda: store.exists("a"), lambda: store.modified("a")):
        with pytest.raises(RegistryUnreachable, match=f"cannot read {url}/a: {url}/a answers {status}") as caught:
            read()
        assert caught.value.kind == kind
        assert kind != "not-readable" or caught.value.hint == f"put the name and password for {LOOPBACK} into ~/.netrc."


def test_what_is_gone_is_not_found(scripted):
    url, _ = scripted(answer(410))
    with pytest.raises(NotFound):
        HttpStore(url).get("a", max_bytes=10)


def test_a_server_that_does_not_say_when_is_told_so(scripted):
    for stamp, shown in ((None, "none"), ("yesterday", "yesterday")):
        url, _ = scripted(answer(200, b"data", Last_Modified=stamp))
        with pytest.raises(RegistryUnreachable, match=rf"last written \(Last-Modified: {shown}\)") as caught:
            HttpStore(url).modified("a")
        assert caught.value.kind == "no-date"


def test_letters_that_terminals_obey_do_not_reach_them(scripted):
    def coloured(handler):
        handler.wfile.write(b"HTTP/1.1 418 \x1b[31mred\x07\r\nContent-Length: 0\r\n\r\n")

    url, _ = scripted(coloured)
    with pytest.raises(RegistryUnreachable) as caught:
        HttpStore(url).get("a", max_bytes=10)
    assert str(caught.value).isprintable()


def test_what_is_no_answer_at_all_is_an_error_of_ours(scripted):
    url, _ = scripted(lambda handler: handler.wfile.write(b"\0\1\2 nonsense\r\n\r\n"))
    with pytest.raises(RegistryUnreachable) as caught:
        HttpStore(url, retry=SOON).get("a", max_bytes=10)
    assert caught.value.kind == "unreachable"


# Time


@pytest.mark.parametrize("status", [429, 503, 403])
def test_a_server_that_says_how_long_to_wait_is_given_that_time(scripted, status):
    waited = []
    date = {"Date": "Sun, 29 Nov 2026 10:00:00 GMT"}
    url, asked = scripted(
        answer(status, Retry_After="7"),
        answer(status, Retry_After="Sun, 29 Nov 2026 10:00:30 GMT", **date),
        answer(status, Retry_After="Sun, 29 Nov 2026 09:00:00 GMT", **date),
        answer(200, b"data"),
    )
    store = HttpStore(url, retry=Retry(attempts=5, delay=0.5, wait=waited.append))
    assert store.get("a", max_bytes=10) == b"data"
    assert waited == [7, 30, 2.0]
    assert len(asked) == 4


@pytest.mark.parametrize("wait", ["61", "3600", "Sun, 29 Nov 2037 10:00:00 GMT", "9" * 400])
def test_a_wait_beyond_the_bound_is_not_waited_but_told(scripted, wait):
    url, asked = scripted(answer(429, Retry_After=wait))
    store = HttpStore(url, retry=Retry(wait=lambda seconds: pytest.fail("longer than anybody waits")))
    for read in (lambda: store.get("a", max_bytes=10), lambda: store.exists("a")):
        asked.clear()
        with pytest.raises(RegistryUnreachable, match=r"asks to be left alone for \d+ seconds") as caught:
            read()
        assert caught.value.kind == "busy"
        assert caught.value.data["retry_after"] > MAX_RETRY_AFTER_SECONDS
        assert len(asked) == 1


@pytest.mark.parametrize("wait", ["soon", "-5", "", "1.5", "Sun, 99 Nov 2026 10:00:00 GMT"])
def test_a_wait_that_is_no_time_is_none(scripted, wait):
    waited = []
    url, _ = scripted(answer(503, Retry_After=wait), answer(200, b"data"))
    assert HttpStore(url, retry=Retry(delay=0.5, wait=waited.append)).get("a", max_bytes=10) == b"data"
    assert waited == [0.5]


def dripping(head, piece):
    """A server that sends a little again and again, so that no pause is ever long."""

    def send(handler):
        handler.wfile.write(head)
        while not gone.wait(0.02):
            handler.wfile.write(piece)
            handler.wfile.flush()

    gone = threading.Event()
    return send


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["one header", "headers", "body", "body of a length", "chunks"],
)
def test_an_answer_that_drips_ends_after_a_time_in_all(scripted, head, piece):
    url, asked = scripted(dripping(head, piece))
    store = HttpStore(url, retry=SOON, patience=Patience(answer=0.3, rate=1 << 30))
    with pytest.raises(RegistryUnreachable, match=r"it took more than|took more than 0.3 seconds to begin") as caught:
        store.get("a", max_bytes=200_000)
    assert caught.value.kind == "unreachable"
    assert len(asked) == 1


def test_a_slow_answer_that_keeps_its_rate_is_read(scripted):
    """The time of a whole body grows with its size, so that a thin line can carry a large blob."""
    url, _ = scripted(answer(200, b"x" * 5000))
    assert len(HttpStore(url, patience=Patience(answer=60, rate=1)).get("a", max_bytes=5000)) == 5000


# Redirects


def test_redirects_are_followed_but_not_for_ever(scripted):
    url, asked = scripted(*[answer(302, Location="/elsewhere")] * MAX_REDIRECTS, answer(200, b"data"))
    assert HttpStore(url).get("a", max_bytes=10) == b"data"
    assert asked[-1].path == "/elsewhere"
    url, asked = scripted(answer(302, Location="/round"))
    with pytest.raises(RegistryUnreachable, match=f"leads on more than {MAX_REDIRECTS} times"):
        HttpStore(url).get("a", max_bytes=10)
    assert len(asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://host/x", "gopher://host"])
def test_redirects_never_leave_the_web(scripted, target):
    url, asked = scripted(answer(302, Location=target))
    with pytest.raises(RegistryUnreachable) as caught:
        HttpStore(url, retry=SOON).get("a", max_bytes=10)
    assert caught.value.kind == "unreachable"
    assert len(asked) == 1


def test_a_redirect_from_https_to_http_is_not_followed(tmp_path, monkeypatch, folder):
    folder.write("a", b"data")
    context = _tls(tmp_path)

    class Handler(StaticHandler):
        def do_GET(self):  # noqa: N802
            answer(302, Location=f"{plain}/a")(self)

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with static_server(folder.root) as plain, serving(server) as port:
        url = f"https://{LOOPBACK}:{port}"
        untrusting = HttpStore(url, retry=Retry(wait=lambda seconds: pytest.fail("a certificate does not mend itself")))
        with pytest.raises(RegistryUnreachable, match="certificate") as caught:
            untrusting.get("a", max_bytes=10)
        assert caught.value.kind == "unreachable"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
        with pytest.raises(RegistryUnreachable, match=f"{url}/a leads from https to {plain}/a"):
            HttpStore(url).get("a", max_bytes=10)


def _tls(folder):
    """A server's TLS with a certificate that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


def test_a_folder_is_no_object(scripted):
    url, _ = scripted(answer(301, Location="/a/"))
    for read in (lambda store: store.get("a", max_bytes=10), lambda store: store.modified("a")):
        with pytest.raises(NotFound, match="is a folder"):
            read(HttpStore(url))
    assert HttpStore(url).exists("a") is False


# Passwords


def test_a_password_in_the_url_is_used_and_never_shown(scripted):
    url, asked = scripted(answer(200, b"data"), answer(503))
    store = open_store(url.replace("http://", "http://me:s%40cret@"))
    assert store.get("a", max_bytes=10) == b"data"
    assert asked[0].headers["Authorization"] == "Basic " + base64.b64encode(b"me:s@cret").decode()
    assert store.url == url
    with pytest.raises(RegistryUnreachable) as caught:
        HttpStore(url.replace("http://", "http://me:s%40cret@"), retry=SOON).get("a", max_bytes=10)
    shown = str(caught.value) + repr(caught.value.data) + str(caught.value.__cause__)
    assert "cret" not in shown


def test_a_password_in_netrc_is_used(scripted, own_home):
    (own_home / ".netrc").write_text(f"machine {LOOPBACK} login me password secret\n")
    url, asked = scripted(answer(200, b"data"))
    open_store(url).get("a", max_bytes=10)
    assert asked[0].headers["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_a_password_does_not_follow_a_redirect_to_another_host(scripted, folder):
    folder.write("a", b"data")
    seen = []

    class Handler(StaticHandler):
        def do_GET(self):  # noqa: N802
            seen.append(self.headers["Authorization"])
            super().do_GET()

    with static_server(folder.root, Handler) as other:
        url, _ = scripted(answer(302, Location=f"{other}/a"))
        assert open_store(url.replace("http://", "http://me:secret@")).get("a", max_bytes=10) == b"data"
    assert seen == [None]
