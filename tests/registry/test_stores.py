"""All stores on this machine pass the shipped conformance suite; what only a folder can get wrong follows."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable, UsageError
from modhub.storage.backends import OTHER
from modhub.storage.http import HttpStore
from modhub.storage.local import LocalStore
from modhub.storage.memory import MemoryStore
from modhub.storage.probe import probe_exclusive_create
from modhub.storage.remote import FileSystemStore
from modhub.storage.testing import StoreSuite
from modhub.storage.testing_reads import check_read_only
from modhub.storage.urls import open_store


class RawView:
    """A folder of an fsspec file system, without modhub."""

    def __init__(self, files, root):
        self.files, self.root = files, root

    def read(self, path):
        try:
            return self.files.cat_file(f"{self.root}/{path}")
        except FileNotFoundError:
            return None

    def write(self, path, data):
        self.files.makedirs(f"{self.root}/{path}".rsplit("/", 1)[0], exist_ok=True)
        self.files.pipe_file(f"{self.root}/{path}", data)

    def names(self):
        return {name.removeprefix(f"{self.root}/") for name in self.files.find(self.root)}


class LeavesTemporaryFiles(StoreSuite):
    """A crash leaves a temporary file beside the object that it was to become."""

    @pytest.fixture
    def unfinished(self, store, raw):
        raw.write("a/.tmp-1-2", b"half")
        return lambda: "a/.tmp-1-2" in raw.names()


class TestLocalStore(LeavesTemporaryFiles):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path / "registry")

    @pytest.fixture
    def raw(self, store):
        return RawView(LocalFileSystem(), store.url)


class TestAnyFileSystem(LeavesTemporaryFiles):
    """A file system of fsspec of which nothing is known: not exclusive, and shown half written."""

    @pytest.fixture
    def store(self, tmp_path):
        files = DirFileSystem(str(tmp_path / "registry"), LocalFileSystem())
        return FileSystemStore("dir://shop", backend=replace(OTHER, connect=lambda url, options: (files, "a shop")))

    @pytest.fixture
    def raw(self, tmp_path):
        return RawView(LocalFileSystem(), str(tmp_path / "registry" / "a shop"))

    def test_it_does_not_count_as_exclusive(self, store):
        assert not store.capabilities.exclusive_create
        assert "not known to create exclusively" in store.capabilities.why_not


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryStore(uuid.uuid4().hex)

    @pytest.fixture
    def raw(self, store):
        return RawView(MemoryFileSystem(), store.url.removeprefix("memory:/"))


def test_a_read_only_store_refuses_every_write(tmp_path):
    LocalStore(tmp_path).put_if_absent("a", b"data")
    check_read_only(LocalStore(tmp_path, writable=False))


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_out_of_the_root_is_never_followed(tmp_path, linked):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store = LocalStore(tmp_path / "registry")
    store.put_if_absent("blobs/x", b"")
    if linked == "file":
        (store.root / "blobs" / "secret").symlink_to(outside / "secret")
        path, other = "blobs/secret", "blobs/secret"
    else:
        (store.root / "releases").symlink_to(outside)
        path, other = "releases/secret", "releases/new"
    for operation in (lambda: store.get(path, max_bytes=100), lambda: store.exists(path)):
        with pytest.raises(IntegrityError, match="leads out of") as caught:
            operation()
        assert caught.value.kind == "link-escapes"
        assert str(outside) in str(caught.value)
    if linked == "folder":
        for write in (store.put_if_absent, store.replace):
            with pytest.raises(IntegrityError, match="leads out of"):
                write(other, b"mine")
        with pytest.raises(IntegrityError, match="leads out of"):
            store.list("releases")
    assert store.list("") == ["blobs/secret", "blobs/x"] if linked == "file" else ["blobs/x"]
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_replacing_a_link_replaces_the_link_and_not_what_it_names(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    store = LocalStore(tmp_path / "registry")
    store.put_if_absent("x", b"")
    (store.root / "index").symlink_to(tmp_path / "precious")
    store.replace("index", b"derived")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert store.get("index", max_bytes=10) == b"derived"


def test_a_registry_may_itself_be_reached_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = LocalStore(tmp_path / "link")
    assert store.put_if_absent("a/b", b"data")
    assert store.get("a/b", max_bytes=10) == b"data"


def test_special_files_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name in ("pipe", "socket"):
            with pytest.raises(NotFound):
                LocalStore(tmp_path).get(name, max_bytes=10)


def test_a_root_that_is_a_file_is_named(tmp_path):
    root = tmp_path / "registry"
    root.write_bytes(b"I am a file")
    store = LocalStore(root)
    for operation in (
        lambda: store.get("a", max_bytes=10),
        lambda: store.put_if_absent("a/b", b""),
        lambda: store.replace("a/b", b""),
        lambda: store.list(""),
    ):
        with pytest.raises(RegistryUnreachable, match="is a file, not a folder") as caught:
            operation()
        assert caught.value.kind == "not-a-folder"
        assert str(root) in str(caught.value)


def test_a_file_where_a_folder_must_be_is_an_error_of_ours(tmp_path):
    store = LocalStore(tmp_path / "registry")
    store.put_if_absent("blobs", b"a file")
    with pytest.raises(RegistryUnreachable, match="blobs"):
        store.put_if_absent("blobs/x", b"")


def test_new_files_are_readable_by_the_whole_team(tmp_path):
    old = os.umask(0o022)
    try:
        LocalStore(tmp_path).put_if_absent("a", b"")
        LocalStore(tmp_path).replace("b", b"")
    finally:
        os.umask(old)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in "ab"} == {0o644}


def test_urls(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "with space"
    uri = folder.as_uri()
    for url in (
        str(folder),
        "with space",
        "~/with space",
        "x/../with space",
        uri,
        uri.replace("///", "//localhost/"),
    ):
        assert open_store(url).url == str(folder)
    assert open_store("MEMORY://shop").url == "memory://shop"
    assert not Path("with space").exists()


@pytest.mark.parametrize(
    ("url", "kind", "normal"),
    [
        ("s3://bucket/team/x/", FileSystemStore, "s3://bucket/team/x"),
        ("S3://bucket", FileSystemStore, "s3://bucket"),
        ("s3a://bucket/x", FileSystemStore, "s3a://bucket/x"),
        ("gs://bucket/x", FileSystemStore, "gs://bucket/x"),
        ("gcs://bucket/x", FileSystemStore, "gcs://bucket/x"),
        ("az://container/x", FileSystemStore, "az://container/x"),
        (
            "abfs://box@me.dfs.core.windows.net/x/",
            FileSystemStore,
            "abfs://box@me.dfs.core.windows.net/x",
        ),
        ("sftp://me@host:2022/srv/x/", FileSystemStore, "sftp://me@host:2022/srv/x"),
        ("HTTPS://Host/x/%20y/", HttpStore, "https://host/x/%20y"),
        ("http://user:secret@host:8080", HttpStore, "http://host:8080"),
    ],
)
def test_urls_of_other_machines(url, kind, normal):
    store = open_store(url)
    assert isinstance(store, kind)
    assert store.url == open_store(store.url).url == normal


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "ssh://host/x", "simplecache::s3://bucket", "memory://a::memory://b", "zip://a", "hf://x/y"],
)
def test_other_protocols_are_refused_by_name(url):
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert caught.value.kind == "unsupported-protocol"
    assert url in str(caught.value)
    assert "file:///FOLDER, memory://NAME, s3://BUCKET/PREFIX" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "  ",
        "file://",
        "file://relative/x",
        "memory://",
        "memory://../x",
        "a\0b",
        "s3://",
        "s3:///x",
        "s3://bucket/../other",
        "s3://bucket/*",
        "s3://bucket/x?versionId=1",
        "s3://key:secret@bucket/x",
        "az://box@elsewhere.example/x",
        "http://",
        "http:///x",
        "http://host/x?token=1",
        "http://host/x#y",
        "http://host/a/../b",
        "http://host:port/",
        "http://ho st/",
        "http://host/\nx",
        "sftp://host",
        "sftp://host/",
        "sftp://host/../x",
    ],
)
def test_a_url_without_a_place_is_refused(url):
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert caught.value.kind == "bad-url"
    assert "secret" not in str(caught.value) + str(caught.value.data)


def test_a_password_for_sftp_is_refused_and_not_repeated():
    with pytest.raises(UsageError, match=r"sftp://me:\*\*\*@host/x carries a password") as caught:
        open_store("sftp://me:secret@host/x")
    assert caught.value.kind == "password-in-url"
    assert "key from ~/.ssh" in caught.value.hint
    assert "secret" not in str(caught.value) + str(caught.value.data)


def test_a_probe_finds_out_and_leaves_nothing(tmp_path):
    for store in (LocalStore(tmp_path), MemoryStore("probed")):
        assert probe_exclusive_create(store)
        assert store.list("") == []
