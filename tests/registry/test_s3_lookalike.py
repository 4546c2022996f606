"""S3 as another server plays it than moto: localbucket keeps no metadata, and cannot list unfinished uploads.

So a write's mark is lost and bytes are compared instead, and collecting has to do without a look at uploads. Skipped
where localbucket is not installed.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from crashing import race
from servers import LOOPBACK, RawBucket, aws_environment, fault_proxy, shared_s3
from synthetic import release

from modhub.errors import Conflict, RegistryUnreachable
from modhub.registry.admin.fsck import fsck
from modhub.registry.admin.gc import collect
from modhub.registry.admin.takedown import take_down
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path
from modhub.spec.refs import ModelRef
from modhub.storage.probe import probe_exclusive_create
from modhub.storage.remote import FileSystemStore
from modhub.storage.retry import Retry
from modhub.storage.testing import StoreSuite, payload_of
from modhub.storage.urls import open_store

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("localbucket") is None, reason="localbucket is not installed: pip install 'modhub[test]'"
)
SOON = Retry(wait=lambda seconds: None)
BUCKET = "registries"


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The port of a server that has one bucket."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "localbucket", "--port", str(port), str(tmp_path_factory.mktemp("s3"))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = monotonic() + 30
        while not _listens(port):
            assert process.poll() is None
            assert monotonic() < until
        client(port).create_bucket(Bucket=BUCKET)
        yield port
    finally:
        process.kill()
        process.wait()


def _listens(port):
    with socket.socket() as asking:
        return asking.connect_ex((LOOPBACK, port)) == 0


def client(port):
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=f"http://{LOOPBACK}:{port}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def place(port):
    root = f"team/{uuid.uuid4().hex}"
    return f"s3://{BUCKET}/{root}", RawBucket(client(port), BUCKET, root)


@pytest.fixture
def store(place, port, monkeypatch):
    for name, value in aws_environment(f"http://{LOOPBACK}:{port}").items():
        monkeypatch.setenv(name, value)
    return FileSystemStore(place[0], backend=shared_s3(f"http://{LOOPBACK}:{port}"), retry=SOON)


class TestLookalike(StoreSuite):
    @pytest.fixture
    def raw(self, place):
        return place[1]

    @pytest.fixture
    def store(self, store):
        return store

    @pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
    @pytest.mark.parametrize("second", [b"second", b"", b"first", b"2" * (17 << 20)], ids=len)
    def test_a_name_that_is_taken_keeps_its_bytes(self, store, raw, tmp_path, second, as_file):
        """It refuses with 412 and no name of the condition, and keeps no mark: equal bytes count as ours."""
        assert store.put_if_absent("a/b", b"first") is True
        assert store.put_if_absent("a/b", payload_of(second, tmp_path, as_file)) is (second == b"first")
        assert raw.read("a/b") == b"first"

    def test_a_sweep_leaves_what_is_finished(self, store, raw):
        """It cannot say what is unfinished, and that is what it says."""
        raw.write("a/b", b"data")
        with pytest.raises(RegistryUnreachable, match="does not say which uploads were begun") as caught:
            store.sweep(datetime.now(UTC))
        assert caught.value.kind == "cannot-sweep"
        assert "lifecycle rule" in caught.value.hint
        assert raw.names() == {"a/b"}


@pytest.fixture
def registry(store):
    registry = Registry(store)
    registry.initialise()
    registry.publish(*release())
    return registry


def test_a_registry_lives_there(registry):
    registry.publish(*release(version="1.1.0", seed=1))
    assert registry.publish_next(*release(version=None, seed=2)).ref.version == "1.2.0"
    registry.set_alias("n", "me/net")
    assert registry.yank(ModelRef("me", "net", "1.2.0"), "answers wolf")
    assert registry.versions("me", "net") == ["1.0.0", "1.1.0", "1.2.0"]
    take_down(registry, ModelRef("me", "net", "1.1.0"), "not our images")
    assert reindex(registry) == []
    assert fsck(registry).clean


def test_collecting_deletes_and_says_what_was_not_looked_for(registry):
    orphan = blob_path("sha256:" + "ab" * 32)
    registry.store.put_if_absent(orphan, b"nobody needs it")
    done = collect(registry, older_than=timedelta(0))
    assert [one.path for one in done.deleted] == [orphan]
    (warning,) = done.warnings
    assert "does not say which uploads were begun and never finished" in warning
    assert fsck(registry).clean


@pytest.mark.parametrize("fault", ["403", "501", "503", "drop-request"])
def test_what_a_host_does_not_allow_is_known_before_anything_is_deleted(registry, place, port, fault):
    orphan = blob_path("sha256:" + "ab" * 32)
    registry.store.put_if_absent(orphan, b"nobody needs it")
    with fault_proxy(port) as proxy:
        proxy.start(lambda number, method, target: fault if "uploads" in target.partition("?")[2] else None)
        through = Registry(FileSystemStore(place[0], backend=shared_s3(proxy.endpoint), retry=SOON))
        if fault in ("403", "501"):
            done = collect(through, older_than=timedelta(0))
            assert [one.path for one in done.deleted] == [orphan]
            assert "does not say which uploads" in done.warnings[0]
        else:
            with pytest.raises(RegistryUnreachable) as caught:
                collect(through, older_than=timedelta(0))
            assert caught.value.kind == "unreachable"
            assert registry.store.exists(orphan)


@pytest.mark.parametrize("fault", ["drop-response", "500-after", "412-after"])
def test_a_lost_answer_is_settled_by_bytes_where_no_mark_is_kept(place, port, fault):
    with fault_proxy(port) as proxy:
        store = FileSystemStore(place[0], backend=shared_s3(proxy.endpoint), retry=SOON)
        store.exists("connected")
        proxy.start(lambda number, method, target: fault if method == "PUT" and number == 1 else None)
        assert store.put_if_absent("a", b"mine") is True
        assert place[1].read("a") == b"mine"
        proxy.at(fault, 1)
        assert store.put_if_absent("a", b"another's") is False
        assert place[1].read("a") == b"mine"


def test_creation_is_exclusive_there(store):
    assert probe_exclusive_create(store) is True


def publish(url, endpoint, seed):
    os.environ.update(aws_environment(endpoint))
    try:
        return Registry(open_store(url)).publish(*release(version="2.0.0", seed=seed)).created
    except Conflict as error:
        return error.kind


def test_racing_publishers_have_one_winner(registry, place, port):
    answers = race(publish, [(place[0], f"http://{LOOPBACK}:{port}", seed) for seed in range(4)])
    assert sorted(map(str, answers)) == ["True", "version-exists", "version-exists", "version-exists"]
    assert fsck(registry).clean
