"""Work that takes its time: one piece after another in a thread of its own, and not many of them waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from modhub.serving.answers import busy

_Result = TypeVar("_Result")
#: Seconds after which somebody who was refused is to ask again.
_AGAIN: Final = 1


class OneAtATime:
    """Runs what is asked for in order, in one thread, for which the process does not wait when it ends.

    Refuses (kind ``busy``) while ``most`` wait or run.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self.count = 0
        #: Whether the thread has something to do at this moment.
        self.is_working = False
        Thread(target=self._run, name="modhub-ui", daemon=True).start()

    async def __call__(self, work: Callable[[], _Result]) -> _Result:
        """The result of ``work``, or what it raises. For one event loop."""
        if self.count >= self._most:
            raise busy(f"{self.count} requests are being worked on.", retry_after=_AGAIN)
        self.count += 1
        try:
            return await asyncio.wrap_future(self.later(work))
        finally:
            self.count -= 1

    def later(self, work: Callable[[], _Result]) -> Future[_Result]:
        """What will come of ``work`` when all that was asked for before is done."""
        future: Future[_Result] = Future()
        self._asked.put((future, work))
        return future

    def _run(self) -> None:
        while True:
            future, work = self._asked.get()
            if not future.set_running_or_notify_cancel():
                continue
            self.is_working = True
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            self.is_working = False
