"""Bytes from registries into the cache: several blobs at once, held whole only for a call that decodes them too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from modhub.cache.cache import Cache
from modhub.errors import IntegrityError
from modhub.limits import MIB
from modhub.spec.layout import blob_path
from modhub.storage import files
from modhub.storage.local import LocalStore
from modhub.storage.progress import Progress

if TYPE_CHECKING:
    from concurrent.futures import Future

    from modhub.registry.reader import RegistryReader
    from modhub.spec.manifest import StoredBlob
    from modhub.storage.verify import VerifiedBlobs

#: Bytes from which on a blob is worth a hard link, and a thread of its own where the registry is on this machine. Links
#: share one fate when something other than modhub writes into the file, so they have to save something.
LARGE: Final = MIB

#: Called with what is being fetched, the bytes done and the bytes in all: never with less than before.


@dataclass(frozen=True)
class Wanted:
    """A blob, where it comes from, and what the progress line says meanwhile."""

    registry: RegistryReader
    record: StoredBlob
    doing: str


class FetchProgress:
    """Adds up the bytes of all blobs, from any thread. A blob that has to be fetched again counts once."""

    def __init__(self, report: Progress | None) -> None:
        self._report = report
        self._seen: dict[str, int] = {}
        self._done = 0
        self._total = 0
        self._lock = threading.Lock()

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These will come; before any of them does."""
        for one in wanted:
            if one.record.sha256 not in self._seen:
                self._seen[one.record.sha256] = 0
                self._total += one.record.size

    def at(self, wanted: Wanted, seen: int) -> None:
        """So many bytes of this blob have come."""
        if self._report is None:
            return
        with self._lock:
            more = seen - self._seen[wanted.record.sha256]
            if more > 0:
                self._seen[wanted.record.sha256] = seen
                self._done += more
                self._report(wanted.doing, self._done, self._total)


class _Interrupted(Exception):
    """Ends what other threads are doing; never seen outside."""


def fetch_blob(
    registry: RegistryReader,
    record: StoredBlob,
    cache: Cache,
    seen: Callable[[int], None] | None = None,
    into: VerifiedBlobs | None = None,
) -> None:
    """Bring one blob into the cache, verified: a large one as a hard link to a local registry's file, else a copy.

    ``seen`` is called with how many of its bytes have come; what was verified is held in ``into``. Raises
    IntegrityError, RegistryUnreachable, StorageError.
    """
    if record.size < LARGE or not _linked(registry, record, cache, into):
        cache.add_blob(record, _counted(registry.blob_stream(record, into), seen))
    elif seen is not None:
        seen(record.size)


def fetch_blobs(
    wanted: Sequence[Wanted],
    cache: Cache,
    meter: FetchProgress,
    arrived: Callable[[Wanted], None],
    *,
    at_once: int,
    into: VerifiedBlobs | None = None,
) -> None:
    """``fetch_blob`` for many, ``at_once`` at a time; ``arrived`` is called, in this thread, for each that is there.

    When one fails, those that have not begun are dropped, those that have are waited for, and its error is raised. An
    interrupt ends those too.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed  # brings logging along

    stop = threading.Event()

    def fetch(one: Wanted) -> None:
        def seen(count: int) -> None:
            if stop.is_set():
                raise _Interrupted
            meter.at(one, count)

        fetch_blob(one.registry, one.record, cache, seen, into)

    slow = [one for one in wanted if not _is_quick(one)]
    pool = ThreadPoolExecutor(max(1, min(at_once, len(slow))), thread_name_prefix="modhub")
    left = {pool.submit(fetch, one): one for one in slow}
    try:
        for one in wanted:
            if _is_quick(one):
                fetch(one)
                arrived(one)
        for future in as_completed(left):
            future.result()
            arrived(left.pop(future))
    except Exception:
        # What other threads have fetched by now is kept.
        pool.shutdown(wait=True, cancel_futures=True)
        for future, one in left.items():
            if _succeeded(future):
                arrived(one)
        raise
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _is_quick(one: Wanted) -> bool:
    """Whether handing the blob to another thread would take longer than fetching it."""
    return one.record.size < LARGE and isinstance(one.registry.store, LocalStore)


def _succeeded(future: Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _linked(registry: RegistryReader, record: StoredBlob, cache: Cache, into: VerifiedBlobs | None) -> bool:
    # A link is safe because a registry's files are replaced by others and never written in place. Nobody promises that
    # of the starter, whose files belong to whatever installed this package; and read-only means not even touched.
    store = registry.store
    if not isinstance(store, LocalStore) or not store.capabilities.writable:
        return False
    try:
        source = files.resolved(store.root, blob_path(record.sha256))
    except IntegrityError:
        return False
    return cache.link_blob(record, source, into)


def _counted(chunks: Iterable[bytes], seen: Callable[[int], None] | None) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        if seen is not None:
            seen(done)
        yield chunk
