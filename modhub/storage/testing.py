"""The conformance suite that every store passes, shipped so that a store of your own can be held to it.

Subclass ``StoreSuite`` in a test module (``ReadOnlySuite`` for a store that only reads), override the fixtures, and let
pytest collect it::

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self): return MyStore(...)           # empty

        @pytest.fixture
        def raw(self, store): return MyRawView(...)    # the same bytes, reached without the store

The suite looks behind the store's back: what a store reports is checked against the bytes that really lie there, and
what the backend gained without the store must be seen through it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
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
_SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7]
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class RawBackend(Protocol):
    """What lies in the store's place, temporary files included, by the same relative paths."""

    def read(self, path: str) -> bytes | None: ...

    def write(self, path: str, data: bytes) -> None: ...

    def names(self) -> set[str]: ...


class ReadingSuite:
    """What holds of every store that can be read. All objects come to be behind its back."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("override the fixture 'store'")

    @pytest.fixture
    def raw(self, store: Store) -> RawBackend:
        raise NotImplementedError("override the fixture 'raw'")

    @pytest.mark.parametrize("size", _SIZES)
    def test_bytes_come_as_they_are(self, store: Store, raw: RawBackend, size: int) -> None:
        data = _bytes(size)
        raw.write("blobs/ab/cd", data)
        assert store.get("blobs/ab/cd", max_bytes=size) == data
        pieces = list(store.stream("blobs/ab/cd", max_bytes=size))
        assert b"".join(pieces) == data
        assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)
        assert store.exists("blobs/ab/cd")

    @pytest.mark.parametrize("size", [5, CHUNK_BYTES + 1])
    def test_reading_is_bounded(self, store: Store, raw: RawBackend, size: int) -> None:
        raw.write("a", _bytes(size))
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
            for read in _reads(store, path):
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
        reads: list[Callable[[], object]] = [*_reads(store, path), partial(store.exists, path)]
        if path:
            reads.append(partial(store.list, path))
        for read in reads:
            with pytest.raises(IntegrityError) as caught:
                read()
            assert caught.value.kind == "bad-path"
        for write in _writes(store, path):
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


class StoreSuite(ReadingSuite):
    """Tests of a store that is writable and, at first, empty."""

    #: Threads that race for one name, and how often.
    racers = 8
    rounds = 10

    @pytest.fixture
    def unfinished(self, raw: RawBackend) -> Callable[[], bool] | None:
        """Leave a write half done, as a crash would; gives whether it is still there. None where there are none."""
        return None

    @pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
    @pytest.mark.parametrize("size", _SIZES)
    def test_what_is_put_is_there(
        self, store: Store, raw: RawBackend, tmp_path: Path, size: int, as_file: bool
    ) -> None:
        data = _bytes(size)
        assert store.put_if_absent("blobs/ab/cd", _payload(data, tmp_path, as_file)) is True
        assert raw.read("blobs/ab/cd") == data
        assert store.get("blobs/ab/cd", max_bytes=size) == data
        assert raw.names() == {"blobs/ab/cd"}

    @pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
    @pytest.mark.parametrize("second", [b"second", b"", b"first", b"2" * (17 << 20)], ids=len)
    def test_a_name_that_is_taken_keeps_its_bytes(
        self, store: Store, raw: RawBackend, tmp_path: Path, second: bytes, as_file: bool
    ) -> None:
        assert store.put_if_absent("a/b", b"first") is True
        assert store.put_if_absent("a/b", _payload(second, tmp_path, as_file)) is False
        raw.write("a/c", b"somebody else")
        assert store.put_if_absent("a/c", _payload(second, tmp_path, as_file)) is False
        assert (raw.read("a/b"), raw.read("a/c")) == (b"first", b"somebody else")

    @pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
    def test_replace_writes_over_and_creates(
        self, store: Store, raw: RawBackend, tmp_path: Path, as_file: bool
    ) -> None:
        for data in (b"a longer first text", b"second", b""):
            store.replace("a/b", _payload(data, tmp_path, as_file))
            assert raw.read("a/b") == data
            assert store.get("a/b", max_bytes=100) == data

    def test_many_are_put_at_once_each_with_its_own_outcome(
        self, store: Store, raw: RawBackend, tmp_path: Path
    ) -> None:
        raw.write("blobs/3", b"taken")
        store.put_if_absent("blobs/5", b"mine already")
        given = {f"blobs/{number}": _payload(b"%d" % number, tmp_path, number % 2 == 0) for number in range(20)}
        assert store.put_all(given) == {path: path not in ("blobs/3", "blobs/5") for path in given}
        expected = {path: path.rpartition("/")[2].encode() for path in given}
        expected |= {"blobs/3": b"taken", "blobs/5": b"mine already"}
        assert {path: raw.read(path) for path in raw.names()} == expected
        assert store.put_all({}) == {}

    def test_deleting_removes_one_object_and_misses_none(self, store: Store, raw: RawBackend) -> None:
        for path in ("a/b", "a/c"):
            store.put_if_absent(path, b"data")
        for path in ("a/b", "a/b", "nothing", "a", "nothing/at/all"):
            store.delete(path)
        assert raw.names() == {"a/c"}
        assert not store.exists("a/b")
        assert store.list("a") == ["a/c"]
        assert store.put_if_absent("a/b", b"again") is True
        assert raw.read("a/b") == b"again"

    def test_replacing_makes_an_object_younger(self, store: Store) -> None:
        store.put_if_absent("a", b"data")
        first = store.modified("a")
        # Some clocks of stores have only seconds.
        for _ in range(100_000):
            store.replace("a", b"data")
            if store.modified("a") != first:
                break
        assert store.modified("a") > first

    def test_a_sweep_leaves_what_is_finished(self, store: Store, raw: RawBackend) -> None:
        store.put_if_absent("a/b", b"data")
        assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
        assert raw.names() == {"a/b"}

    def test_a_sweep_removes_old_unfinished_writes(
        self, store: Store, raw: RawBackend, unfinished: Callable[[], bool] | None
    ) -> None:
        if unfinished is None:
            pytest.skip("a write of this store is there or not")
        store.put_if_absent("a/b", b"data")
        assert store.list("") == ["a/b"]
        assert store.sweep(_LONG_AGO) == 0
        assert unfinished()
        assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 1
        assert not unfinished()
        assert raw.names() == {"a/b"}

    def test_a_listing_has_everything_below_a_folder_and_nothing_else(self, store: Store, raw: RawBackend) -> None:
        paths = ["a/b/c", "a/b/d", "a/x", "ab/c", "top"]
        for path in reversed(paths):
            store.put_if_absent(path, b"")
        assert store.list("") == sorted(paths)
        assert store.list("a") == ["a/b/c", "a/b/d", "a/x"]
        assert store.list("a/b") == ["a/b/c", "a/b/d"]
        assert store.list("nothing") == store.list("top") == []
        assert raw.names() == set(paths)

    def test_a_listing_is_never_an_old_one(self, store: Store, raw: RawBackend) -> None:
        store.put_if_absent("a/b", b"")
        assert store.list("a") == ["a/b"]
        raw.write("a/c", b"new")
        assert store.list("a") == ["a/b", "a/c"]

    def test_a_listing_hides_files_that_are_still_being_written(self, store: Store, raw: RawBackend) -> None:
        raw.write("a/.tmp-1-2", b"half")
        raw.write("a/b", b"whole")
        assert store.list("") == ["a/b"]

    @pytest.fixture
    def restless(self) -> Iterator[None]:
        """Threads take turns far more often than usual, so that a check before a write is caught in between."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        yield
        sys.setswitchinterval(usual)

    @pytest.mark.usefixtures("restless")
    def test_one_of_many_wins(self, store: Store, raw: RawBackend) -> None:
        if not store.capabilities.exclusive_create:
            pytest.skip(store.capabilities.why_not)
        for number in range(self.rounds):
            path, wins = f"race/{number}", list[int]()
            self._at_once(partial(self._race, store, path, wins))
            assert len(wins) == 1
            assert raw.read(path) == b"%d" % wins[0] * 10_000
        assert raw.names() == {f"race/{number}" for number in range(self.rounds)}

    @staticmethod
    def _race(store: Store, path: str, wins: list[int], racer: int) -> None:
        if store.put_if_absent(path, b"%d" % racer * 10_000):
            wins.append(racer)

    def test_threads_share_a_store(self, store: Store, raw: RawBackend) -> None:
        seen = dict[int, bytes]()

        def work(number: int) -> None:
            store.put_if_absent(f"a/{number}", b"%d" % number * 1000)
            store.replace(f"b/{number}", b"%d" % number * 2000)
            seen[number] = store.get(f"b/{number}", max_bytes=10_000)

        self._at_once(work)
        assert seen == {number: b"%d" % number * 2000 for number in range(self.racers)}
        assert len(raw.names()) == 2 * self.racers

    def _at_once(self, work: Callable[[int], None]) -> None:
        barrier = threading.Barrier(self.racers)

        def run(number: int) -> None:
            barrier.wait()
            work(number)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(self.racers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

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

    def test_a_store_says_what_it_can_do(self, store: Store) -> None:
        assert store.capabilities.writable
        assert store.capabilities.can_list
        assert store.capabilities.exclusive_create or store.capabilities.why_not
        assert store.capabilities.parallel >= 1


def check_read_only(store: Store) -> None:
    """Call this with a read-only store that has the object ``a``: every write is refused, nothing changes."""
    before = store.get("a", max_bytes=1000)
    sweep: Callable[[], object] = partial(store.sweep, datetime.now(UTC))
    for write in [*_writes(store, "a"), *_writes(store, "new"), sweep]:
        with pytest.raises(RegistryUnreachable, match="read-only") as caught:
            write()
        assert caught.value.kind == "not-writable"
    assert store.get("a", max_bytes=1000) == before
    assert not store.capabilities.writable


def _reads(store: Store, path: str) -> list[Callable[[], object]]:
    return [
        lambda: store.get(path, max_bytes=100),
        lambda: list(store.stream(path, max_bytes=100)),
        lambda: store.modified(path),
    ]


def _writes(store: Store, path: str) -> list[Callable[[], object]]:
    return [
        lambda: store.put_if_absent(path, b"other"),
        lambda: store.put_all({path: b"other"}),
        lambda: store.replace(path, b"other"),
        lambda: store.delete(path),
    ]


def _bytes(size: int) -> bytes:
    """Bytes that differ from piece to piece, so that none can stand in another's place."""
    return bytes(range(251)) * (size // 251) + bytes(size % 251)


def _payload(data: bytes, folder: Path, as_file: bool) -> bytes | Path:
    if not as_file:
        return data
    file = folder / f"payload-{len(list(folder.iterdir()))}"
    file.write_bytes(data)
    return file
