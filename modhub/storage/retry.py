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

from modhub.storage.client_errors import is_transient

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

    def __call__(self, work: Callable[[], _Result]) -> _Result:
        """What ``work`` returns, tried again after transient failures. Raises its last error as it is."""
        delays = self.delays()
        while True:
            delay = next(delays)
            try:
                return work()
            except Exception as error:
                if delay is None or not is_transient(error):
                    raise
            self.wait(delay)
