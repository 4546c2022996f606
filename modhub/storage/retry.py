"""How often a remote store tries again, and how long it waits.

The libraries' own retries are switched off, or not relied on where they cannot be: only the code that retries a
creation can know that an object which stands in the way may be its own. Delays double and have no jitter, so that tests
can count them; a client of a registry is not a fleet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from modhub.limits import MAX_RETRY_AFTER_SECONDS
from modhub.spec.log import record
from modhub.storage.client_errors import is_transient, requested_wait

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Retry:
    """``attempts`` in all, the first ``delay`` in seconds; ``wait`` is how to sleep, which tests replace."""

    attempts: int = 5
    delay: float = 0.25
    wait: Callable[[float], None] = time.sleep

    def delays(self) -> Iterator[float | None]:
        """For each attempt, the seconds to wait should it fail; None for the last."""
        yield from (self.delay * 2**number for number in range(self.attempts - 1))
        yield None

    def again(self, delay: float | None, error: BaseException) -> bool:
        """Wait before another attempt: ``delay``, or as long as the server asks. False, at once, when none is worth
        it: after the last one, after an error that stays, and where the server asks for more than
        MAX_RETRY_AFTER_SECONDS."""
        if delay is None or not is_transient(error):
            return False
        asked = requested_wait(error) or 0.0
        if asked > MAX_RETRY_AFTER_SECONDS:
            return False
        record("request", "failed, and is tried again in %.2f s: %s", max(delay, asked), type(error).__name__)
        self.wait(max(delay, asked))
        return True

    def __call__(self, work: Callable[[], _Result]) -> _Result:
        """What ``work`` returns, tried again after transient failures. Raises its last error as it is."""
        delays = self.delays()
        while True:
            delay = next(delays)
            try:
                return work()
            except Exception as error:
                if not self.again(delay, error):
                    raise
