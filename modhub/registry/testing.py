"""The conformance suite that every store passes, shipped so that a store of your own can be held to it.

Subclass ``StoreSuite`` in a test module, override the two fixtures, and let pytest collect it::

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self): return MyStore(...)           # empty

        @pytest.fixture
        def raw(self, store): return MyRawView(...)    # the same bytes, reached without the store

The suite looks behind the store's back: what ``put_if_absent`` reports is checked against the bytes that really lie
there, and what the backend gained without the store must be seen through it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Protocol

import pytest

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable, UsageError
from modhub.registry.store import Store
from modhub.registry.urls import open_store

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
    "x" * 300,
    "a/" * 500 + "a",
]


class RawBackend(Protocol):
    """What lies in the store's place, temporary files included, by the same relative paths."""

    def read(self, path: str) -> bytes | None: ...

    def write(self, path: str, data: bytes) -> None: ...

    def names(self) -> set[str]: ...


class StoreSuite:
    """Tests of one store. ``store`` is empty and writable; ``raw`` reaches the same bytes behind its back."""

    #: Threads that race for one name, and how often.
    racers = 8
    rounds = 10

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("override the fixture 'store'")

    @pytest.fixture
    def raw(self, store: Store) -> RawBackend:
        raise NotImplementedError("override the fixture 'raw'")

    @pytest.mark.parametrize("data", [b"", b"\0", b"hello", bytes(range(256)) * 4096])
    def test_what_is_put_is_there_and_comes_back(self, store: Store, raw: RawBackend, data: bytes) -> None:
        assert store.put_if_absent("blobs/ab/cd", data) is True
        assert raw.read("blobs/ab/cd") == data
        assert store.get("blobs/ab/cd", max_bytes=len(data)) == data

    @pytest.mark.parametrize("second", [b"second", b""])
    def test_a_name_that_is_taken_keeps_its_bytes(self, store: Store, raw: RawBackend, second: bytes) -> None:
        assert store.put_if_absent("a/b", b"first") is True
        assert store.put_if_absent("a/b", second) is False
        assert raw.read("a/b") == b"first"

    def test_a_name_taken_behind_the_back_is_taken(self, store: Store, raw: RawBackend) -> None:
        assert not store.exists("a/b")
        raw.write("a/b", b"somebody else")
        assert store.exists("a/b")
        assert store.put_if_absent("a/b", b"mine") is False
        assert raw.read("a/b") == b"somebody else"

    def test_replace_writes_over_and_creates(self, store: Store, raw: RawBackend) -> None:
        store.replace("a/b", b"a longer first text")
        store.replace("a/b", b"second")
        assert raw.read("a/b") == b"second"
        assert store.get("a/b", max_bytes=100) == b"second"

    def test_changes_behind_the_back_are_seen(self, store: Store, raw: RawBackend) -> None:
        store.put_if_absent("a/b", b"right")
        assert store.list("a") == ["a/b"]
        raw.write("a/b", b"wrong")
        raw.write("a/c", b"new")
        assert store.get("a/b", max_bytes=100) == b"wrong"
        assert store.list("a") == ["a/b", "a/c"]

    def test_what_is_missing_is_not_found(self, store: Store) -> None:
        store.put_if_absent("a/b/c", b"")
        for path in ("a/x", "x", "a", "a/b", "a/b/c/d"):
            with pytest.raises(NotFound):
                store.get(path, max_bytes=100)
            assert store.exists(path) is False

    def test_get_is_bounded(self, store: Store) -> None:
        store.put_if_absent("a", b"12345")
        assert store.get("a", max_bytes=5) == b"12345"
        with pytest.raises(IntegrityError, match="at most 4") as caught:
            store.get("a", max_bytes=4)
        assert caught.value.kind == "too-large"

    def test_a_listing_has_everything_below_a_folder_and_nothing_else(self, store: Store, raw: RawBackend) -> None:
        paths = ["a/b/c", "a/b/d", "a/x", "ab/c", "top"]
        for path in reversed(paths):
            store.put_if_absent(path, b"")
        assert store.list("") == sorted(paths)
        assert store.list("a") == ["a/b/c", "a/b/d", "a/x"]
        assert store.list("a/b") == ["a/b/c", "a/b/d"]
        assert store.list("nothing") == store.list("top") == []
        assert raw.names() == set(paths)

    def test_a_listing_hides_files_that_are_still_being_written(self, store: Store, raw: RawBackend) -> None:
        raw.write("a/.tmp-1-2", b"half")
        raw.write("a/b", b"whole")
        assert store.list("") == ["a/b"]

    @pytest.mark.parametrize("path", BAD_PATHS)
    def test_a_path_that_leads_elsewhere_is_refused(self, store: Store, raw: RawBackend, path: str) -> None:
        for operation in (
            lambda: store.get(path, max_bytes=10),
            lambda: store.put_if_absent(path, b"x"),
            lambda: store.replace(path, b"x"),
            lambda: store.exists(path),
            lambda: store.list(path) if path else store.get(path, max_bytes=10),
        ):
            with pytest.raises(IntegrityError) as caught:
                operation()
            assert caught.value.kind == "bad-path"
        assert raw.names() == set()

    @pytest.fixture
    def restless(self) -> Iterator[None]:
        """Threads take turns far more often than usual, so that a check before a write is caught in between."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        yield
        sys.setswitchinterval(usual)

    @pytest.mark.usefixtures("restless")
    def test_one_of_many_wins(self, store: Store, raw: RawBackend) -> None:
        for number in range(self.rounds):
            path, wins, barrier = f"race/{number}", list[int](), threading.Barrier(self.racers)

            def race(
                racer: int, path: str = path, wins: list[int] = wins, barrier: threading.Barrier = barrier
            ) -> None:
                barrier.wait()
                if store.put_if_absent(path, b"%d" % racer * 10_000):
                    wins.append(racer)

            threads = [threading.Thread(target=race, args=(racer,)) for racer in range(self.racers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(wins) == 1
            assert raw.read(path) == b"%d" % wins[0] * 10_000
        assert raw.names() == {f"race/{number}" for number in range(self.rounds)}

    def test_nobody_reads_half_of_a_replacement(self, store: Store) -> None:
        store.replace("a", b"0" * 100_000)
        stop = threading.Event()

        def write() -> None:
            turn = 0
            while not stop.is_set():
                turn += 1
                store.replace("a", b"%d" % (turn % 10) * 100_000)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = [store.get("a", max_bytes=100_000) for _ in range(100)]
        finally:
            stop.set()
            writer.join()
        assert all(len(data) == 100_000 and len(set(data)) == 1 for data in seen)

    def test_its_url_opens_the_same_store(self, store: Store) -> None:
        try:
            other = open_store(store.url)
        except UsageError:
            pytest.skip(f"open_store does not know {store.url}")
        store.put_if_absent("a/b", b"data")
        assert other.get("a/b", max_bytes=10) == b"data"
        assert other.url == store.url

    def test_a_store_says_what_it_can_do(self, store: Store) -> None:
        assert store.capabilities.writable
        assert store.capabilities.exclusive_create


def check_read_only(store: Store) -> None:
    """Call this with a read-only store that has the object ``a``: every write is refused, nothing changes."""
    before = store.get("a", max_bytes=1000)
    for write in (store.put_if_absent, store.replace):
        with pytest.raises(RegistryUnreachable) as caught:
            write("a", b"other")
        assert caught.value.kind == "not-writable"
    assert store.get("a", max_bytes=1000) == before
    assert not store.capabilities.writable
