"""Both stores pass the shipped conformance suite; what only a folder on a disk can get wrong follows."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable, UsageError
from modhub.registry import open_store
from modhub.registry.local import LocalStore
from modhub.registry.memory import MemoryStore
from modhub.registry.testing import StoreSuite, check_read_only


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


class TestLocalStore(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path / "registry")

    @pytest.fixture
    def raw(self, store):
        return RawView(LocalFileSystem(), store.url)


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
    "url",
    ["s3://bucket/x", "http://host/x", "ftp://host", "simplecache::s3://bucket", "memory://a::memory://b", "zip://a"],
)
def test_other_protocols_are_refused_by_name(url):
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert caught.value.kind == "unsupported-protocol"
    assert url in str(caught.value)
    assert "file:///FOLDER and memory://NAME" in str(caught.value)


@pytest.mark.parametrize("url", ["", "  ", "file://", "file://relative/x", "memory://", "memory://../x", "a\0b"])
def test_a_url_without_a_place_is_refused(url):
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert caught.value.kind == "bad-url"
