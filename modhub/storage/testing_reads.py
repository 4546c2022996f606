"""The part of the conformance suite for stores (``modhub.storage.testing``) that holds of stores which only read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable, UsageError
from modhub.storage.store import CHUNK_BYTES, Store
from modhub.storage.urls import open_store

BAD_PATHS = [
    "",
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a//b",
    "a/./b",
    "a/",
    ".hidden",
    "a/.tmp-1-2",
    "a\\b",
    "C:\\a",
    "a\0b",
    "a\nb",
    "a b",
    "ä",
    "a%2e%2e",
    "a?b",
    "a#b",
    "x" * 300,
    "a/" * 500 + "a",
]
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7]


class RawBackend(Protocol):
    """What is really stored, temporary files included, by the same relative paths."""

    def read(self, path: str) -> bytes | None: ...

    def write(self, path: str, data: bytes) -> None: ...

    def names(self) -> set[str]: ...


class ReadingSuite:
    """What holds of every store that can be read. All objects are written without the store."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("override the fixture 'store'")

    @pytest.fixture
    def raw(self, store: Store) -> RawBackend:
        raise NotImplementedError("override the fixture 'raw'")

    @pytest.mark.parametrize("size", SIZES)
    def test_bytes_come_as_they_are(self, store: Store, raw: RawBackend, size: int) -> None:
        data = sized_bytes(size)
        raw.write("blobs/ab/cd", data)
        assert store.get("blobs/ab/cd", max_bytes=size) == data
        pieces = list(store.stream("blobs/ab/cd", max_bytes=size))
        assert b"".join(pieces) == data
        assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)
        assert store.exists("blobs/ab/cd")

    @pytest.mark.parametrize("size", [5, CHUNK_BYTES + 1])
    def test_reading_is_bounded(self, store: Store, raw: RawBackend, size: int) -> None:
        raw.write("a", sized_bytes(size))
        reads: list[Callable[[], bytes]] = [
            lambda: store.get("a", max_bytes=size - 1),
            lambda: next(store.stream("a", max_bytes=size - 1)),
        ]
        for read in reads:
            with pytest.raises(IntegrityError, match=f"at most {size - 1}") as caught:
                read()
            assert caught.value.kind == "too-large"
            assert caught.value.data["size"] in (size, None)

    def test_what_is_missing_is_not_found(self, store: Store, raw: RawBackend) -> None:
        raw.write("a/b/c", b"data")
        for path in ("a/x", "x", "a", "a/b"):
            for read in every_read(store, path):
                with pytest.raises(NotFound) as caught:
                    read()
                assert caught.value.kind == "no-object"
            assert store.exists(path) is False

    def test_changes_behind_the_back_are_seen(self, store: Store, raw: RawBackend) -> None:
        assert not store.exists("a/b")
        raw.write("a/b", b"first")
        assert store.exists("a/b")
        assert store.get("a/b", max_bytes=100) == b"first"
        raw.write("a/b", b"then")
        assert store.get("a/b", max_bytes=100) == b"then"
        assert b"".join(store.stream("a/b", max_bytes=100)) == b"then"

    def test_an_object_has_a_recent_time_in_utc(self, store: Store, raw: RawBackend) -> None:
        raw.write("a/b", b"data")
        when = store.modified("a/b")
        assert when.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - when) < timedelta(hours=1)

    def test_names_with_a_plus_are_names(self, store: Store, raw: RawBackend) -> None:
        raw.write("releases/1.0.0+build.7.json", b"data")
        assert store.get("releases/1.0.0+build.7.json", max_bytes=4) == b"data"
        assert not store.exists("releases/1.0.0 build.7.json".replace(" ", "-"))

    @pytest.mark.parametrize("path", BAD_PATHS)
    def test_a_path_that_leads_elsewhere_is_refused(self, store: Store, raw: RawBackend, path: str) -> None:
        reads: list[Callable[[], object]] = [*every_read(store, path), partial(store.exists, path)]
        if path:
            reads.append(partial(store.list, path))
        for read in reads:
            with pytest.raises(IntegrityError) as caught:
                read()
            assert caught.value.kind == "bad-path"
        for write in every_write(store, path):
            with pytest.raises((IntegrityError, RegistryUnreachable)) as refused:
                write()
            assert refused.value.kind == ("bad-path" if store.capabilities.writable else "not-writable")
        assert raw.names() == set()

    def test_its_url_opens_the_same_store(self, store: Store, raw: RawBackend) -> None:
        raw.write("a/b", b"data")
        try:
            other = open_store(store.url)
        except UsageError:
            pytest.skip(f"open_store does not know {store.url}")
        assert other.get("a/b", max_bytes=10) == b"data"
        assert other.url == store.url
        assert other.capabilities == store.capabilities


class ReadOnlySuite(ReadingSuite):
    """Tests of a store that only reads, such as a web server."""

    def test_every_write_is_refused(self, store: Store, raw: RawBackend) -> None:
        raw.write("a", b"data")
        check_read_only(store)
        assert raw.read("a") == b"data"
        assert raw.names() == {"a"}

    def test_it_lists_or_says_that_it_cannot(self, store: Store, raw: RawBackend) -> None:
        raw.write("a/b", b"data")
        if store.capabilities.can_list:
            assert store.list("a") == ["a/b"]
            return
        for prefix in ("", "a"):
            with pytest.raises(RegistryUnreachable, match="cannot list") as caught:
                store.list(prefix)
            assert caught.value.kind == "cannot-list"


def check_read_only(store: Store) -> None:
    """Call this with a read-only store that has the object ``a``: every write is refused, nothing changes."""
    before = store.get("a", max_bytes=1000)
    sweep: Callable[[], object] = partial(store.sweep, datetime.now(UTC))
    for write in [*every_write(store, "a"), *every_write(store, "new"), sweep]:
        with pytest.raises(RegistryUnreachable, match="read-only") as caught:
            write()
        assert caught.value.kind == "not-writable"
    assert store.get("a", max_bytes=1000) == before
    assert not store.capabilities.writable


def every_read(store: Store, path: str) -> list[Callable[[], object]]:
    return [
        lambda: store.get(path, max_bytes=100),
        lambda: list(store.stream(path, max_bytes=100)),
        lambda: store.modified(path),
    ]


def every_write(store: Store, path: str) -> list[Callable[[], object]]:
    return [
        lambda: store.put_if_absent(path, b"other"),
        lambda: store.put_all({path: b"other"}),
        lambda: store.replace(path, b"other"),
        lambda: store.delete(path),
    ]


def sized_bytes(size: int) -> bytes:
    """Bytes that differ from piece to piece, so that none can stand in another's place."""
    return bytes(range(251)) * (size // 251) + bytes(size % 251)


def payload_of(data: bytes, folder: Path, as_file: bool) -> bytes | Path:
    if not as_file:
        return data
    file = folder / f"payload-{len(list(folder.iterdir()))}"
    file.write_bytes(data)
    return file
