"""Many store operations at once, in order, raising the first failure and leaving nothing running."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
_Result = TypeVar("_Result")


def each(work: Callable[[Item], _Result], items: Iterable[Item], *, at_once: int) -> list[_Result]:
    """``work`` of every item, ``at_once`` at a time, in the items' order.

    When one fails, those that have not begun are dropped, those that have are waited for, and its error is raised.
    """
    given = list(items)
    if len(given) < 2 or at_once < 2:
        return [work(item) for item in given]
    from concurrent.futures import ThreadPoolExecutor  # brings logging along

    pool = ThreadPoolExecutor(min(at_once, len(given)), thread_name_prefix="modhub")
    try:
        return list(pool.map(work, given))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
