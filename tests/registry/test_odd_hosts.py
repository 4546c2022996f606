"""Web hosts that do not say 404: buckets without the right to list, start pages for every address, and the like.

The same registry is served by each of them, and every request is counted: reading costs as much as what is read.
"""

from __future__ import annotations

import gzip
import json
import secrets
import warnings

import pytest
from servers import StaticHandler, static_server
from synthetic import release

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable
from modhub.limits import MAX_RECORD_BYTES
from modhub.ops.install import install
from modhub.ops.search import search
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.mirror import mirror
from modhub.registry.reader import RegistryReader
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.signing.keys import new_signer
from modhub.signing.policy import Trust
from modhub.signing.trusted_key import TrustedKey
from modhub.spec.layout import record_path
from modhub.spec.refs import ModelRef
from modhub.storage.local import LocalStore
from modhub.storage.urls import open_store

REF = ModelRef("me", "net", "1.0.0")
ALICE = new_signer("alice")
PAGE = b"<!doctype html><title>start page</title>"


def refused(status, body=b"", **headers):
    def send(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return send


def moved_to_the_start(handler):
    refused(302, Location="/")(handler)


def another_page_each_time(handler):
    refused(200, f"<html>{secrets.token_hex(20)} {handler.path}</html>".encode(), Content_Type="text/html")(handler)


def an_error_in_json(handler):
    body = json.dumps({"error": "not found", "path": handler.path, "request": secrets.token_hex(8)})
    refused(200, body.encode(), Content_Type="application/json")(handler)


#: What a host says of what it does not have.
HOSTS = {
    "404": refused(404, b"not found"),
    "410": refused(410),
    "451": refused(451),
    "204": refused(204),
    "403": refused(403, b"<Error><Code>AccessDenied</Code></Error>"),
    "a start page": refused(200, PAGE, Content_Type="text/html"),
    "a large start page": refused(200, PAGE + b" " * MAX_RECORD_BYTES, Content_Type="text/html"),
    "a compressed start page": refused(200, gzip.compress(PAGE), Content_Type="text/html", Content_Encoding="gzip"),
    "another page each time": another_page_each_time,
    "an error in JSON": an_error_in_json,
    "words": refused(200, b"Not found", Content_Type="text/plain"),
    "nothing": refused(200),
    "a redirect": moved_to_the_start,
}
ODD = [name for name in HOSTS if name not in ("404", "410", "451", "204")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    registry = Registry(LocalStore(root))
    registry.publish(*release(), signer=ALICE)
    registry.publish(*release("me/other"))
    registry.publish(*release("team/net"))
    registry.set_alias("n", "me/net")
    (root / "index.html").write_bytes(PAGE)
    return root


class Host:
    def __init__(self, url, asked):
        self.url, self.asked = url, asked


@pytest.fixture
def host(request, folder):
    missing = HOSTS[request.param]
    asked = []

    class Handler(StaticHandler):
        def parse_request(self):
            good = super().parse_request()
            # Where a redirect leads is asked by whoever follows it.
            if good and self.path != "/":
                asked.append(f"{self.command} {self.path}")
            return good

        def send_error(self, *_):
            missing(self)

    with static_server(folder, Handler) as url:
        yield Host(url, asked)


def trusting():
    return Trust((TrustedKey(key=str(ALICE.public), name="alice", namespaces=("me",)),), required=True)


@pytest.mark.parametrize("host", HOSTS, indirect=True)
@pytest.mark.parametrize("name", ["me/net:cat", "n:cat"])
def test_installing_one_class_takes_at_most_twelve_requests(host, name, tmp_path):
    with warnings.catch_warnings(record=True):
        (installed,) = install(name, registry=host.url, cache=tmp_path)
    assert str(installed.ref) == "me/net:cat@1.0.0"
    assert len(host.asked) <= 12, host.asked
    assert not [line for line in host.asked if line.startswith("HEAD")]


@pytest.mark.parametrize("host", HOSTS, indirect=True)
def test_searching_takes_three_requests_and_one_a_namespace(host):
    with warnings.catch_warnings(record=True):
        hits = search("net", registry=host.url)
    assert {hit.ref for hit in hits if hit.registry == host.url} == {"me/net", "team/net"}
    assert len(host.asked) <= 3 + 2, host.asked


@pytest.mark.parametrize("host", HOSTS, indirect=True)
def test_what_is_missing_is_missing(host, tmp_path):
    registry = RegistryReader(open_store(host.url))
    with warnings.catch_warnings(record=True):
        registry.check()
        assert registry.versions("me", "nothing") == []
        assert registry.alias("nobody") is None
        assert registry.models("nowhere") == []
        assert registry.withdrawal(REF) is None
        with pytest.raises(NotFound) as caught:
            registry.manifest(ModelRef("me", "net", "9.9.9"))
        assert caught.value.kind == "no-release"
    assert len(host.asked) <= 10, host.asked


@pytest.mark.parametrize("host", ODD, indirect=True)
def test_the_host_is_told_once_what_to_do(host):
    registry = RegistryReader(open_store(host.url))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        registry.check()
        registry.withdrawal(REF)
        registry.alias("nobody")
    (text,) = {str(one.message) for one in said}
    assert len(said) == 1
    assert f"{host.url} answers " in text
    assert "Configure that host to answer 404" in text


@pytest.mark.parametrize("host", ["404", "410", "451"], indirect=True)
def test_a_host_that_says_it_is_not_there_is_told_nothing(host):
    registry = RegistryReader(open_store(host.url))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.check()
        assert registry.withdrawal(REF) is None


@pytest.mark.parametrize("host", HOSTS, indirect=True)
def test_signatures_that_are_missing_are_missing_and_those_there_count(host):
    registry = RegistryReader(open_store(host.url), trust=trusting())
    with warnings.catch_warnings(record=True):
        registry.check()
        assert registry.manifest(REF)
        with pytest.raises(IntegrityError) as caught:
            registry.manifest(ModelRef("me", "other", "1.0.0"))
    assert caught.value.kind == "unsigned"


@pytest.mark.parametrize("host", ODD, indirect=True)
@pytest.mark.parametrize("kind", ["yank", "tombstone"])
def test_a_withdrawal_counts_on_every_host(host, folder, tmp_path, kind):
    copy = Registry(LocalStore(folder))
    made = copy.publish_next(*release("me/withdrawn", classes=("a", "b"))).ref
    copy.yank(made, "answers b") if kind == "yank" else copy.take_down(made, "not ours")
    registry = RegistryReader(open_store(host.url))
    with warnings.catch_warnings(record=True):
        registry.check()
        assert registry.withdrawal(made).kind == {"yank": "yanked", "tombstone": "taken-down"}[kind]
    for path in [*folder.glob(f"*/*/me/withdrawn/{made.version}/*.json"), *folder.glob("releases/me/withdrawn/*.json")]:
        path.unlink()
    reindex(copy)


@pytest.mark.parametrize("host", HOSTS, indirect=True)
@pytest.mark.parametrize("damage", ["altered", "ended early", "zeroed"])
def test_a_damaged_entry_is_no_missing_one(host, folder, damage):
    path = folder / record_path("alias", "n", 1)
    right = path.read_bytes()
    try:
        wrong = {"altered": right.replace(b"me/net", b"me/nut"), "ended early": right[:60], "zeroed": bytes(len(right))}
        path.write_bytes(wrong[damage])
        registry = RegistryReader(open_store(host.url))
        with warnings.catch_warnings(record=True):
            registry.check()
            with pytest.raises(IntegrityError):
                registry.alias("n")
    finally:
        path.write_bytes(right)


@pytest.mark.parametrize("host", [name for name in HOSTS if name != "403"], indirect=True)
def test_where_there_is_no_registry_there_is_none(host):
    registry = RegistryReader(open_store(f"{host.url}/elsewhere"))
    with warnings.catch_warnings(record=True), pytest.raises(RegistryUnreachable) as caught:
        registry.check()
    assert caught.value.kind == "no-registry"


@pytest.mark.parametrize("host", ["403"], indirect=True)
def test_a_refusal_before_anything_was_given_is_a_refusal(host):
    registry = RegistryReader(open_store(f"{host.url}/elsewhere"))
    with pytest.raises(RegistryUnreachable, match="answers 403") as caught:
        registry.check()
    assert caught.value.kind == "not-readable"


@pytest.mark.parametrize("host", ["404", "403", "a start page", "another page each time"], indirect=True)
def test_a_registry_is_copied_from_every_host(host, folder, tmp_path):
    copy = Registry(LocalStore(tmp_path))
    with warnings.catch_warnings(record=True):
        done = mirror(RegistryReader(open_store(host.url)), copy, keys=[ALICE.id])
    assert done.problems == ()
    assert copy.aliases() == {"n": "me/net"}
    assert {"me/net", "me/other", "team/net"} <= set(copy.models())
    assert fsck(copy).clean
    assert len(copy.store.list("signatures")) == 1


def test_a_blob_that_may_not_be_read_says_so(folder, tmp_path):
    class Handler(StaticHandler):
        def do_GET(self):  # noqa: N802
            if "/blobs/" in self.path:
                return refused(403)(self)
            return super().do_GET()

    with (
        static_server(folder, Handler) as url,
        warnings.catch_warnings(record=True),
        pytest.raises(
            IntegrityError, match=r"missing although a release needs it \(the server answers 403\)"
        ) as caught,
    ):
        install("me/net:cat", registry=url, cache=tmp_path)
    assert caught.value.kind == "missing-blob"
