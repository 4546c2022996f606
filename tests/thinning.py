"""How much of a long series the suite runs: points spread over all of it, or with ``MODHUB_TESTS=all`` every one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

import pytest

_Point = TypeVar("_Point")

#: Whether everything is asked for.
ALL: Final = os.environ.get("MODHUB_TESTS") == "all"
#: For what takes minutes and of which the suite runs a shorter version.
long = pytest.mark.skipif(not ALL, reason="takes minutes; MODHUB_TESTS=all runs it")


def spread(points: Sequence[_Point], count: int) -> list[_Point]:
    """At most ``count`` of ``points``, the first, the last and others at even distances between them."""
    if ALL or len(points) <= count:
        return list(points)
    return [points[place * (len(points) - 1) // max(count - 1, 1)] for place in range(count)]
