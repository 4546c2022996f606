"""What a compact network costs in accuracy, as a release records it."""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from typing import Annotated

from pydantic import Field

from modhub.spec.schema import DisplayName, PositiveCount, Stored


class MeasuredCost(Stored):
    """By how many percentage points fewer of ``examples`` images of ``data``, with which nothing was made, a compact
    network answers right than the whole one: ``points``, between ``low`` and ``high`` with 95 % confidence."""

    data: DisplayName
    examples: PositiveCount
    points: Annotated[float, Field(ge=-100, le=100)]
    low: Annotated[float, Field(ge=-100, le=100)]
    high: Annotated[float, Field(ge=-100, le=100)]
