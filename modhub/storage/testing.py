"""The conformance suite that every store passes, shipped so that a store of your own can be held to it.

Subclass ``StoreSuite`` in a test module (``testing_reads.ReadOnlySuite`` for a store that only reads), override
the fixtures, and let pytest collect it::

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self): return MyStore(...)           # empty

        @pytest.fixture
        def raw(self, store): return MyRawView(...)    # the same bytes, reached without the store

The suite reads and writes the backend without the store: what a store reports is checked against the bytes that are
really stored, and what was added to the backend without the store must be visible through it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from modhub.storage.store import Store
from modhub.storage.testing_reads import SIZES, RawBackend, ReadingSuite, payload_of, sized_bytes

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


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
    @pytest.mark.parametrize("size", SIZES)
    def test_what_is_put_is_there(
        self, store: Store, raw: RawBackend, tmp_path: Path, size: int, as_file: bool
    ) -> None:
        data = sized_bytes(size)
        assert store.put_if_absent("blobs/ab/cd", payload_of(data, tmp_path, as_file)) is True
        assert raw.read("blobs/ab/cd") == data
        assert store.get("blobs/ab/cd", max_bytes=size) == data
        assert raw.names() == {"blobs/ab/cd"}

    @pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
    @pytest.mark.parametrize("second", [b"second", b"", b"first", b"2" * (17 << 20)], ids=len)
    def test_a_name_that_is_taken_keeps_its_bytes(
        self, store: Store, raw: RawBackend, tmp_path: Path, second: bytes, as_file: bool
    ) -> None:
        assert store.put_if_absent("a/b", b"first") is True
        assert store.put_if_absent("a/b", payload_of(second, tmp_path, as_file)) is False
        raw.write("a/c", b"somebody else")
        assert store.put_if_absent("a/c", payload_of(second, tmp_path, as_file)) is False
        assert (raw.read("a/b"), raw.read("a/c")) == (b"first", b"somebody else")

    @pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
    def test_replace_writes_over_and_creates(
        self, store: Store, raw: RawBackend, tmp_path: Path, as_file: bool
    ) -> None:
        for data in (b"a longer first text", b"second", b""):
            store.replace("a/b", payload_of(data, tmp_path, as_file))
            assert raw.read("a/b") == data
            assert store.get("a/b", max_bytes=100) == data

    def test_many_are_put_at_once_each_with_its_own_outcome(
        self, store: Store, raw: RawBackend, tmp_path: Path
    ) -> None:
        raw.write("blobs/3", b"taken")
        store.put_if_absent("blobs/5", b"mine already")
        given = {f"blobs/{number}": payload_of(b"%d" % number, tmp_path, number % 2 == 0) for number in range(20)}
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
        """Threads take turns far more often than usual, so that a check before a write is interrupted in between."""
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
