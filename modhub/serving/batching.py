"""Requests that come at once are classified together: one thread runs the classifier on what waits, in order.

A batch begins with the request that has waited longest, and takes what waits behind it for the same classifier and of
the same dtype. It starts when it is full, or when its first request has waited ``ServingLimits.gather``; while the
thread is busy, what comes waits anyway, so a server under load fills its batches without waiting for them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from modhub.data.arrays import Images
from modhub.errors import Refused
from modhub.serving.answers import busy
from modhub.serving.bounds import ServingLimits

if TYPE_CHECKING:
    from modhub.composition.votes import Prediction
    from modhub.serving.served import ServedClassifier

#: Of the mean of seconds an image, how much the last batch counts.
_NEWEST: Final = 0.2
#: Seconds to wait for the thread, when everybody who asked has been answered or sent away.
_MOMENT: Final = 0.3


@dataclass(eq=False)
class _Waiting:
    """One request's images (n, H, W, C), which have to be checked already, and where its answer goes."""

    classifier: ServedClassifier
    images: Images
    answer: Future[Prediction] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    def goes_with(self, first: _Waiting) -> bool:
        return self.classifier is first.classifier and self.images.dtype == first.images.dtype


class Batcher:
    """The queue and its thread. ``told`` is called after each batch, with its images and how many seconds it took."""

    def __init__(self, limits: ServingLimits, told: Callable[[int, float], None]) -> None:
        self._limits = limits
        self._told = told
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._running = 0
        self._seconds = 0.0
        self._is_stopping = False
        self._thread = threading.Thread(target=self._work, name="modhub-classifier", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def queued(self) -> int:
        """Images that wait."""
        return self._queued

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits, and end the thread; a batch that takes longer than a moment is not waited for."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_MOMENT)

    async def ask(self, classifier: ServedClassifier, images: Images) -> Prediction:
        """The answers for checked images (n, H, W, C). Raises Refused, kinds ``busy`` and ``stopping``, at once when
        too much waits, and what ``Composite.predict`` raises for these images alone."""
        waiting = _Waiting(classifier, images)
        with self._changed:
            self._check_room(len(images))
            self._queue.append(waiting)
            self._queued += len(images)
            self._changed.notify_all()
        return await asyncio.wrap_future(waiting.answer)

    def _check_room(self, count: int) -> None:
        if self._is_stopping:
            raise Refused("this server is stopping.", kind="stopping", hint="ask another one.")
        before = self._queued + self._running
        seconds = before * self._seconds
        if self._queued and (self._queued + count > self._limits.waiting or seconds > self._limits.backlog):
            raise busy(
                f"{before:,} images wait already, which takes {seconds:.1f} s; at most {self._limits.waiting:,} images "
                f"or {self._limits.backlog:g} s may wait.",
                retry_after=max(1, ceil(seconds)),
            )

    def _work(self) -> None:
        while batch := self._next():
            self._classify([each for each in batch if each.answer.set_running_or_notify_cancel()])
            with self._changed:
                self._running = 0

    def _next(self) -> list[_Waiting]:
        """What is classified next; nothing once there is nothing and there will be nothing more."""
        with self._changed:
            while not self._queue:
                if self._is_stopping:
                    return []
                self._changed.wait()
            until = self._queue[0].since + self._limits.gather
            while self._queued < self._limits.batch and not self._is_stopping:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._taken()

    def _taken(self) -> list[_Waiting]:
        first = self._queue.popleft()
        batch, count = [first], len(first.images)
        while self._queue and self._queue[0].goes_with(first):
            if count + len(self._queue[0].images) > self._limits.batch:
                break
            batch.append(self._queue.popleft())
            count += len(batch[-1].images)
        self._queued -= count
        self._running = count
        return batch

    def _classify(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        began = time.monotonic()
        try:
            # Inside: there may be no memory for all of them together.
            images = batch[0].images if len(batch) == 1 else np.concatenate([each.images for each in batch])
            prediction = batch[0].classifier.predict(cast(Images, images))
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
            else:
                # One request's images are to blame, which is no reason to fail the others.
                for each in batch:
                    self._classify([each])
            return
        seconds = time.monotonic() - began
        mean = seconds / len(images)
        self._seconds = mean if not self._seconds else (1 - _NEWEST) * self._seconds + _NEWEST * mean
        self._told(len(images), seconds)
        start = 0
        for each in batch:
            stop = start + len(each.images)
            each.answer.set_result(_rows(prediction, start, stop))
            start = stop


def _rows(prediction: Prediction, start: int, stop: int) -> Prediction:
    parts = {name: getattr(prediction, name)[start:stop] for name in ("margins", "module_margins")}
    return replace(prediction, **parts)
