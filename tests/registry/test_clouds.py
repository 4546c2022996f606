"""Google's and Azure's object stores without their clients: the surfaces of gcsfs and adlfs, as read, in memory.

What is tested is what modhub makes of such a surface: conformance, and lost answers with a mark (Google) or without
one (Azure). That the services behave so is their makers' word.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from modhub.errors import RegistryUnreachable
from modhub.storage.backends import AZ, GS, MARK
from modhub.storage.remote import FileSystemStore
from modhub.storage.retry import Retry
from modhub.storage.testing import StoreSuite

CLIENTS = {"fsspec": "2024.12.0", "gcsfs": "2024.12.0", "adlfs": "2024.12.0"}


class BadRange(Exception):
    """gcsfs and azure alike: an error with a status, no OSError."""

    code = 416


class Cloud(MemoryFileSystem):
    """``mode="create"`` is atomic, folders exist only by what lies in them, nothing is empty-handed about ranges."""

    cachable = False

    def __init__(self, takes):
        super().__init__(global_store=False)
        self.takes, self.marks, self.turn, self.lose = takes, {}, threading.Lock(), []

    def pipe_file(self, path, value, mode="overwrite", **how):
        assert set(how) <= self.takes, how
        with self.turn:
            if mode == "create" and path in self.store:
                raise FileExistsError(path)
            super().pipe_file(path, value)
            self.marks[path] = how.get("metadata")
        if self.lose:
            raise self.lose.pop()

    def put_file(self, lpath, rpath, **how):
        self.pipe_file(rpath, Path(lpath).read_bytes(), **how)

    def cat_file(self, path, start=None, end=None):
        data = super().cat_file(path)
        if start >= len(data):
            raise BadRange("The requested range cannot be satisfied.")
        return data[start:end]

    def info(self, path):
        found = super().info(path)
        return {**found, "metadata": self.marks.get(path)}


class RawCloud:
    def __init__(self, files):
        self.files = files

    def read(self, path):
        return self.files.store[f"/box/{path}"].getvalue() if f"/box/{path}" in self.files.store else None

    def write(self, path, data):
        self.files.marks.pop(f"/box/{path}", None)
        MemoryFileSystem.pipe_file(self.files, f"/box/{path}", data)

    def names(self):
        return {name.removeprefix("/box/") for name in self.files.store}


def opened(backend, files, retry=Retry(wait=lambda seconds: None)):  # noqa: B008 - frozen
    backend = replace(backend, connect=lambda url, options: (files, "/box"))
    return FileSystemStore("gs://box", backend=backend, retry=retry, installed=CLIENTS.get)


@pytest.fixture
def google():
    return Cloud({"metadata", "chunksize"})


@pytest.fixture
def azure():
    return Cloud({"max_concurrency"})


class OnCloud(StoreSuite):
    def test_its_url_opens_the_same_store(self):
        pytest.skip("there is no service")


class TestGoogle(OnCloud):
    @pytest.fixture
    def store(self, google):
        return opened(GS, google)

    @pytest.fixture
    def raw(self, google):
        return RawCloud(google)


class TestAzure(OnCloud):
    @pytest.fixture
    def store(self, azure):
        return opened(AZ, azure)

    @pytest.fixture
    def raw(self, azure):
        return RawCloud(azure)


LOST = [ConnectionResetError("gone"), TimeoutError("late"), FileExistsError("sent twice by the client itself")]


@pytest.mark.parametrize("failure", LOST, ids=str)
@pytest.mark.parametrize("backend", [GS, AZ], ids=["google", "azure"])
def test_a_lost_acknowledgement_is_no_conflict(backend, failure, google, azure):
    files = google if backend is GS else azure
    store = opened(backend, files)
    files.lose = [failure]
    assert store.put_if_absent("a", b"mine") is True
    assert RawCloud(files).read("a") == b"mine"
    assert store.put_if_absent("a", b"mine") is False
    assert (files.marks["/box/a"] is not None and set(files.marks["/box/a"]) == {MARK}) is (backend is GS)


@pytest.mark.parametrize("backend", [GS, AZ], ids=["google", "azure"])
def test_a_refusal_is_told(backend, google, azure):
    files = google if backend is GS else azure
    files.lose = [OSError("Forbidden: /b/box/o\nme@example.org does not have storage.objects.create access")]
    with pytest.raises(
        RegistryUnreachable, match=r"cannot write gs://box/a: Forbidden: /b/box/o me@example.org does"
    ) as caught:
        opened(backend, files).put_if_absent("a", b"mine")
    assert caught.value.kind == "not-writable"
    assert ("gcloud" if backend is GS else "AZURE_STORAGE_ACCOUNT_NAME") in caught.value.hint
