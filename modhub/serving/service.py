"""The service behind all routes: the classifier that answers now, how much is under way, and putting another there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from modhub.data.arrays import Images
from modhub.data.fitting import Fitting
from modhub.data.given import Fit
from modhub.data.picture_reader import PictureReader
from modhub.errors import InvalidData, ModhubError, Refused
from modhub.serving.answers import busy, late
from modhub.serving.batching import Batcher
from modhub.serving.bounds import ServingLimits
from modhub.serving.given import checked_name
from modhub.serving.library import ASGIApp, Message, Receive, Scope, Send
from modhub.serving.metrics import ServingMetrics
from modhub.serving.pictures import PictureBounds
from modhub.serving.served import ServedClassifier
from modhub.spec.contract import check_images
from modhub.spec.input_contract import ArrayContract
from modhub.spec.log import record

if TYPE_CHECKING:
    from modhub.composition.composite import Composite
    from modhub.composition.votes import Prediction

_Result = TypeVar("_Result")
#: Threads that read pictures and JSON; Pillow and numpy leave the others running.
_READERS: Final = 2
_RETRY_AFTER: Final = 1


@dataclass(frozen=True)
class PictureWay:
    """How pictures become images, as ``modhub predict`` has it: None fits them, but not where arrays are wanted."""

    fit: Fit | None = None
    background: str = "white"


class Service:
    """``classifier`` answers; ``limits`` bound it; ``ways`` says how pictures are brought to it."""

    def __init__(self, classifier: ServedClassifier, limits: ServingLimits, way: PictureWay) -> None:
        self.classifier = classifier
        self.limits = limits
        self.metrics = ServingMetrics()
        self.is_stopping = False
        self._way = way
        self._requests = 0
        self._buffered = 0
        self._batcher = Batcher(limits, self.metrics.batch)
        self._reading: set[Future[Any]] = set()
        self._readers = ThreadPoolExecutor(_READERS, "modhub-reader")
        self._replacing = threading.Lock()
        self.metrics.serves(classifier)
        self.metrics.watch_queue(lambda: self._batcher.queued)

    def start(self) -> None:
        self._batcher.start()

    def leave(self) -> None:
        """Say that it is not ready any more, and answer on."""
        self.is_stopping = True

    def stop(self) -> None:
        """Answer what waits, for a moment, and end the threads; ``is_busy`` says whether one still works."""
        self.leave()
        self._batcher.stop()
        self._readers.shutdown(wait=False, cancel_futures=True)

    @property
    def is_busy(self) -> bool:
        """Whether a thread still works on what nobody waits for any more, once it was stopped."""
        return self._batcher.is_alive or bool(self._reading)

    # Requests

    @asynccontextmanager
    async def room_for_request(self) -> AsyncIterator[None]:
        """One more request is under way inside. Raises Refused, kind ``busy``."""
        if self._requests >= self.limits.requests:
            raise busy(f"{self._requests} requests are being answered already.", retry_after=_RETRY_AFTER)
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    def counting_bytes(self, app: ASGIApp) -> ASGIApp:
        """``app``, with the bytes that it has read counted until it has answered.

        Reading raises Refused, kind ``busy``, where the requests under way have more than ``ServingLimits.buffered``.
        """

        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            count = 0

            async def counted() -> Message:
                nonlocal count
                message = await receive()
                size = len(message.get("body", b""))
                if self._buffered + size > self.limits.buffered:
                    raise busy("the requests under way have all memory that they may.", retry_after=_RETRY_AFTER)
                count += size
                self._buffered += size
                return message

            try:
                await app(scope, counted if scope["type"] == "http" else receive, send)
            finally:
                self._buffered -= count

        return counting

    async def in_reader(self, work: Callable[[], _Result]) -> _Result:
        """What ``work`` gives, done by a thread that may be busy for as long as a picture takes.

        Raises Refused, kind ``late``, where it or what waited before it took too long.
        """
        future = self._readers.submit(work)
        self._reading.add(future)
        future.add_done_callback(self._reading.discard)
        return await self._in_time(asyncio.wrap_future(future))

    def picture_bounds(self) -> PictureBounds:
        """What the pictures of a request that begins now may take."""
        limits = self.limits
        return PictureBounds(limits.pixels, limits.all_pixels, time.monotonic() + limits.answering)

    async def _in_time(self, coming: Awaitable[_Result]) -> _Result:
        """What comes. Raises Refused, kind ``late``."""
        try:
            async with asyncio.timeout(self.limits.answering):
                return await coming
        except TimeoutError:
            raise late(f"there was no answer after {self.limits.answering:g} s.") from None

    def picture_reader(self, classifier: ServedClassifier) -> PictureReader:
        """What brings pictures to ``classifier``."""
        fit: Fit = self._way.fit or ("none" if isinstance(classifier.contract, ArrayContract) else "resize")
        return PictureReader(Fitting(fit, classifier.contract, self._way.background))

    def check_count(self, count: int) -> None:
        """Raise Refused for too many images in one request, and InvalidData for none."""
        if count > self.limits.images:
            raise Refused(
                f"the request has {count:,} images; at most {self.limits.images:,} are taken.",
                kind="too-many-images",
                hint="send them in several requests.",
            )
        if not count:
            raise InvalidData("the request has no image.", kind="no-images", hint="send at least one.")

    async def answer(self, classifier: ServedClassifier, images: Images) -> Prediction:
        """The answers for raw images (N, H, W, C).

        Raises InvalidData for images that the classifier does not take; Refused, kinds ``busy``, ``stopping`` and
        ``late``.
        """
        self.check_count(len(images))
        check_images(images, classifier.contract)
        return await self._in_time(self._batcher.ask(classifier, images))

    # Another classifier

    def replace(self, classifier: ServedClassifier) -> None:
        """Warm ``classifier`` beside the one that answers, then let it answer; what was asked before is answered by the
        one that it was meant for. Raises as ``ServedClassifier.warm``, and the old one goes on."""
        with self._replacing:
            # Pictures may not fit it the way that they are brought here.
            self.picture_reader(classifier)
            classifier.warm()
            self.classifier = classifier
            self.metrics.serves(classifier)


def warm_service(classifier: Composite, name: str, limits: ServingLimits, way: PictureWay) -> Service:
    """The service of a classifier that is warm. Raises UsageError, and as ``Composite.predict``."""
    served = ServedClassifier(classifier, checked_name(name), limits.batch)
    service = Service(served, limits, way)
    # What is wrong with the way is said now and not to the first client.
    service.picture_reader(served)
    served.warm()
    return service


class Reloading:
    """Loads the classifier again, in a thread, whenever it is asked to; several requests meanwhile are one.

    ``load`` gives what is now in the place of what is served, ``said`` is called with a line for what came of it.
    """

    def __init__(
        self, service: Service, load: Callable[[], ServedClassifier], said: Callable[[str], None] | None = None
    ) -> None:
        self._service = service
        self._load = load
        self._said = said
        self._lock = threading.Lock()
        self._is_running = False
        self._is_wanted = False

    def ask(self) -> None:
        """Begin, or once more after the load that is under way: it may have read what was there before."""
        with self._lock:
            self._is_wanted = True
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._work, name="modhub-reload", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._is_wanted:
                    self._is_running = False
                    return
                self._is_wanted = False
            self._once()

    def _once(self) -> None:
        old = self._service.classifier
        try:
            new = self._load()
            if new.version == old.version and new.remarks == old.remarks:
                self._say(f"reloaded: nothing changed, {old} goes on")
                return
            self._service.replace(new)
        # Whatever is wrong with the new one, the old one is still good.
        except Exception as error:
            self._service.metrics.reloaded(swapped=False)
            text = str(error) if isinstance(error, ModhubError) else f"{type(error).__name__}: {error}"
            self._say(f"not reloaded, {old} goes on: {text}")
            return
        self._service.metrics.reloaded(swapped=True)
        self._say(f"reloaded: {new} in the place of version {old.version}")
        for remark in new.remarks:
            self._say(remark)

    def _say(self, text: str) -> None:
        record("serve", "%s", text)
        if self._said is not None:
            self._said(text)
