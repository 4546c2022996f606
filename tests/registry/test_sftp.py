"""A registry over SFTP: conformance, hosts that are not known, connections that break; one writer only."""

from __future__ import annotations

from pathlib import Path

import pytest
from sftp_server import sftp_server
from synthetic import release

from modhub.errors import RegistryUnreachable
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.remote import FileSystemStore
from modhub.storage.retry import Retry
from modhub.storage.testing import StoreSuite
from modhub.storage.urls import open_store


class RawFolder:
    """The folder that the server hands out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path):
        file = self.root / path
        return file.read_bytes() if file.is_file() else None

    def write(self, path, data):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)

    def names(self):
        return {str(file.relative_to(self.root)) for file in self.root.rglob("*") if file.is_file()}


@pytest.fixture
def served(tmp_path, own_home, monkeypatch):
    """The URL of a server, and its connections."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "srv").mkdir()
    with sftp_server(tmp_path / "srv", own_home) as server:
        yield server


class TestSftpStore(StoreSuite):
    racers = 4

    @pytest.fixture
    def store(self, served):
        return open_store(f"{served[0]}/team/shop")

    @pytest.fixture
    def raw(self, store, tmp_path):
        return RawFolder(tmp_path / "srv" / "team" / "shop")

    @pytest.fixture
    def unfinished(self, raw):
        raw.write("a/.tmp-1-2", b"half")
        return lambda: "a/.tmp-1-2" in raw.names()


def test_a_registry_there_needs_a_person_to_vouch_for_a_single_writer(served):
    registry = Registry(open_store(f"{served[0]}/shop"))
    with pytest.raises(RegistryUnreachable, match="sftp cannot create exclusively as far as is known") as caught:
        registry.initialise()
    assert caught.value.kind == "no-exclusive-create"
    assert registry.initialise(single_writer=True)
    manifest, blobs = release()
    assert registry.publish(manifest, blobs).created
    assert registry.manifest(ModelRef("me", "net", "1.0.0")) == manifest


def test_a_broken_connection_is_made_again(served):
    url, connections = served
    store = FileSystemStore(f"{url}/shop", retry=Retry(wait=lambda seconds: None))
    for turn, work in enumerate(
        [
            lambda: store.put_if_absent("a", b"data"),
            lambda: store.get("a", max_bytes=10) == b"data",
            lambda: store.list("") == ["a"],
            lambda: store.replace("a", b"more") is None,
        ],
        start=1,
    ):
        assert work()
        connections[-1].close()
        assert len(connections) == turn


def test_an_unknown_host_is_refused_before_anything_is_said(served, own_home):
    (own_home / ".ssh" / "known_hosts").write_text("")
    store = open_store(f"{served[0]}/shop")
    with pytest.raises(RegistryUnreachable, match=r"cannot read .*SHA256:.* is not in ~/.ssh/known_hosts") as caught:
        store.get("a", max_bytes=10)
    assert caught.value.kind == "not-readable"
    assert "log in with ssh once, so that the host is known" in caught.value.hint


def test_a_refused_key_is_told(served, own_home):
    (own_home / ".ssh" / "id_ecdsa").unlink()
    with pytest.raises(RegistryUnreachable, match=r"cannot read sftp://me@.*: No authentication methods") as caught:
        open_store(f"{served[0]}/shop").get("a", max_bytes=10)
    assert caught.value.kind == "not-readable"


def test_a_host_that_nobody_is_at_is_unreachable(served):
    store = FileSystemStore("sftp://me@127.0.0.1:1/shop", retry=Retry(wait=lambda seconds: None))
    with pytest.raises(RegistryUnreachable, match="tried 5 times") as caught:
        store.get("a", max_bytes=10)
    assert caught.value.kind == "unreachable"
