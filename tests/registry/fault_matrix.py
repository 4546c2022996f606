"""Every kind of network fault at every request that publishing and reading a release make on S3.

What must hold, whatever breaks: nothing wrong is accepted; a publication that reports success is whole for everybody
else; one that fails leaves the whole release or none of it, is never told as a conflict where nobody competes, and
succeeds when the same command is run again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from servers import FaultProxy, S3Server, Seen, fault_proxy, s3_server, shared_s3
from synthetic import release

from modhub.errors import Conflict, ModhubError, NotFound
from modhub.registry.writer import Registry
from modhub.spec.refs import ModelRef
from modhub.storage.remote import FileSystemStore
from modhub.storage.retry import Retry

KINDS = (
    "drop-request",
    "drop-response",
    "500",
    "500-after",
    "503",
    "409",
    "412",
    "412-after",
    "slow",
    "truncate",
    "truncate-lying",
    "corrupt",
)
#: Which requests break, when the first is the n-th. The client library sends some twice on its own, so one broken
#: connection is often not even seen.
EXTENTS: dict[str, Callable[[int, int], bool]] = {
    "once": lambda number, first: number == first,
    "twice": lambda number, first: number in (first, first + 1),
    "for good": lambda number, first: number >= first,
}
REF = ModelRef("me", "net", "1.0.0")


@dataclass(frozen=True)
class Run:
    """What one operation came to: how many requests were broken, and success or the kind of the error."""

    operation: str
    fault: str
    extent: str
    first: int
    broken: int
    outcome: str


@dataclass
class Laboratory:
    """A server, a way to it that can be broken, and one that cannot."""

    server: S3Server
    proxy: FaultProxy
    places: Iterator[int] = field(default_factory=itertools.count)
    last: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bucket = self.server.bucket("faults")
        self.manifest, self.blobs = release(classes=("cat", "dog"))
        self.published = f"s3://{self.bucket}/published"
        registry = self.registry(self.published, broken=False)
        registry.initialise()
        registry.publish(self.manifest, self.blobs)

    def registry(self, url: str, *, broken: bool) -> Registry:
        endpoint = self.proxy.endpoint if broken else self.server.endpoint
        retry = Retry(attempts=3, wait=lambda seconds: None)
        return Registry(FileSystemStore(url, backend=shared_s3(endpoint), retry=retry))

    def runs(self, operation: str, fault: str, extent: str, *, start: int = 1, every: int = 1) -> Iterator[Run]:
        """The operation with its first request broken, then its second, and so on until nothing is left to break.

        Or with the ``start``-th, and then with every so many behind it.
        """
        for first in itertools.count(start, every):
            run = self.run(operation, fault, extent, first)
            if run.broken:
                yield run
            else:
                assert run.outcome == "succeeded", run
                return

    def requests(self, operation: str, method: str, part: str) -> list[int]:
        """The numbers of the operation's requests with this method and with ``part`` in their target."""
        self.run(operation, "slow", "for good", 1)
        return [
            number
            for number, request in enumerate(self.last, start=1)
            if request.method == method and part in request.target
        ]

    def run(self, operation: str, fault: str, extent: str, first: int) -> Run:
        work = {"publish": self._publish, "read": self._read}[operation]

        @contextmanager
        def faulty() -> Iterator[None]:
            self.proxy.start(lambda number, method, target: fault if EXTENTS[extent](number, first) else None)
            try:
                yield
            finally:
                self.last = self.proxy.seen
                self.proxy.start(lambda number, method, target: None)

        outcome, broken = work(faulty)
        return Run(operation, fault, extent, first, broken, outcome)

    def _publish(self, faulty: Callable[[], Any]) -> tuple[str, int]:
        url = f"s3://{self.bucket}/{next(self.places)}"
        mine, clean = self.registry(url, broken=True), self.registry(url, broken=False)
        clean.initialise()
        with faulty():
            outcome = self._outcome(lambda: mine.publish(self.manifest, self.blobs))
            broken = self.proxy.fired()
        if outcome == "succeeded":
            self._require_whole(clean)
        else:
            try:
                clean.manifest(REF)
            except NotFound:
                pass
            else:
                self._require_whole(clean)
            clean.publish(self.manifest, self.blobs)
            self._require_whole(clean)
        assert [entry.version for entry in clean.index("me", "net").releases] == [REF.version]
        return outcome, broken

    def _read(self, faulty: Callable[[], Any]) -> tuple[str, int]:
        registry = self.registry(self.published, broken=True)
        with faulty():
            outcome = self._outcome(lambda: self._require_whole(registry))
            broken = self.proxy.fired()
        self._require_whole(registry)
        return outcome, broken

    def _outcome(self, work: Callable[[], object]) -> str:
        try:
            work()
        except Conflict as error:
            raise AssertionError(f"nobody competes, and yet: {error}") from error
        except ModhubError as error:
            return error.kind
        return "succeeded"

    def _require_whole(self, registry: Registry) -> None:
        registry.check()
        manifest = registry.manifest(REF)
        assert manifest.digest == self.manifest.digest, "a wrong manifest was accepted"
        for record in manifest.blobs.values():
            assert registry.blob(record).stored == self.blobs[record.sha256], "wrong bytes were accepted"


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    with s3_server() as server, fault_proxy(server.port) as proxy:
        yield Laboratory(server, proxy)
