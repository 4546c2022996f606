"""Stores around real ones: with a clock that tests set, with something that happens at any operation, one that dies."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from modhub.errors import NotFound
from modhub.registry.admin.findings import FsckReport
from modhub.registry.admin.fsck import fsck
from modhub.registry.writer import Registry
from modhub.storage.store import Payload, Store
from modhub.storage.urls import open_store
from tests import thinning

START = datetime(2026, 1, 1, tzinfo=UTC)


class Died(BaseException):
    """What ends a process that is killed: nothing catches it, and nothing works after it."""


class Clocked:
    """``store`` with ages by ``now``, which only tests move. ``url`` and what is there are the store's own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START
        self.times: dict[str, datetime] = {}
        self.url = store.url
        self.capabilities = store.capabilities

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def _written(self, path: str) -> None:
        self.times[path] = self.now

    def put_if_absent(self, path: str, data: Payload) -> bool:
        created = self.store.put_if_absent(path, data)
        if created:
            self._written(path)
        return created

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        return {path: self.put_if_absent(path, data) for path, data in objects.items()}

    def replace(self, path: str, data: Payload) -> None:
        self.store.replace(path, data)
        self._written(path)

    def modified(self, path: str) -> datetime:
        if not self.store.exists(path):
            raise NotFound(f"{path} does not exist.", kind="no-object", path=path)
        return self.times.setdefault(path, self.now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class Watched:
    """``store``, with ``hook(number, after)`` called before and after each operation; they are numbered from 1.

    Only operations on paths that begin with one of ``paths`` count. Several objects that are put at once are put one
    after the other, so that something can happen in between.
    """

    def __init__(
        self,
        store: Store,
        hook: Callable[[int, bool], None] = lambda number, after: None,
        paths: tuple[str, ...] = ("",),
    ) -> None:
        self.store = store
        self.hook = hook
        self.paths = paths
        self.count = 0
        self.url = store.url
        self.capabilities = dataclasses.replace(store.capabilities, parallel=1)

    def _do(self, path: str, work: Callable[[], Any]) -> Any:
        if not path.startswith(self.paths):
            return work()
        self.count += 1
        number = self.count
        self.hook(number, False)
        result = work()
        self.hook(number, True)
        return result

    def get(self, path: str, *, max_bytes: int) -> bytes:
        return self._do(path, lambda: self.store.get(path, max_bytes=max_bytes))

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        return iter([self.get(path, max_bytes=max_bytes)])

    def put_if_absent(self, path: str, data: Payload) -> bool:
        return self._do(path, lambda: self.store.put_if_absent(path, data))

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        return {path: self.put_if_absent(path, data) for path, data in objects.items()}

    def replace(self, path: str, data: Payload) -> None:
        self._do(path, lambda: self.store.replace(path, data))

    def delete(self, path: str) -> None:
        self._do(path, lambda: self.store.delete(path))

    def exists(self, path: str) -> bool:
        return self._do(path, lambda: self.store.exists(path))

    def list(self, prefix: str) -> list[str]:
        return self._do(prefix, lambda: self.store.list(prefix))

    def modified(self, path: str) -> datetime:
        return self._do(path, lambda: self.store.modified(path))

    def sweep(self, before: datetime) -> int:
        return self._do("", lambda: self.store.sweep(before))


def dying(store: Store, at: int, after: bool) -> Watched:
    """``store`` that dies at the operation ``at``, before it took effect or just after."""

    def hook(number: int, done: bool) -> None:
        if number > at or (number == at and done is after):
            raise Died

    return Watched(store, hook)


def deaths(fresh: Callable[[], Store], work: Callable[[Store], Any], *, every: int = 1) -> Iterator[tuple[int, Store]]:
    """``work`` of a fresh store that dies at its first operation, at its second and so on, until it outlives them all.

    Gives the number of the operation and the store without its death. Each operation is died at both before and after
    it took effect; with ``every=3`` only at every third of these points, unless ``MODHUB_TESTS=all``.
    """
    for point in range(0, 200_000, 1 if thinning.ALL else every):
        store = fresh()
        try:
            work(dying(store, 1 + point // 2, after=point % 2 == 1))
        except Died:
            yield 1 + point // 2, store
        else:
            return


def memory() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


def copied(store: Store) -> Store:
    """A store in memory with the same objects. It takes the place of the copy of ``store`` that was made before."""
    copy = open_store(f"memory://copy-of-{uuid.uuid5(uuid.NAMESPACE_URL, store.url).hex}")
    for path in copy.list(""):
        copy.delete(path)
    for path, data in snapshot(store).items():
        copy.replace(path, data)
    return copy


def snapshot(store: Store) -> dict[str, bytes]:
    return {path: store.get(path, max_bytes=10**9) for path in store.list("")}


def examined(store: Store) -> FsckReport:
    """The report of a registry in which nothing may be damaged."""
    report = fsck(Registry(store))
    assert report.damage == (), report.damage
    return report


class Paused:
    """``work`` of a store in a thread of its own, held before the operation ``at`` of those on ``paths``."""

    def __init__(self, store: Store, at: int, paths: tuple[str, ...], work: Callable[[Store], Any]) -> None:
        self._held, self._go = threading.Event(), threading.Event()
        self.error: Exception | None = None
        self.outlived = True

        def hook(number: int, after: bool) -> None:
            if number == at and not after:
                self.outlived = False
                self._held.set()
                self._go.wait()

        def run() -> None:
            try:
                work(Watched(store, hook, paths))
            except Exception as error:
                self.error = error
            finally:
                self._held.set()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        self._held.wait()

    def finish(self) -> None:
        """Let it go on, to its end."""
        self._go.set()
        self._thread.join()
