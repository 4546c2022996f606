"""Budgets that only a made network shows: searched for by halving the range of shares, a fixed number of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, get_args

from modhub.errors import UsageError

#: What is measured: percentage points of accuracy lost, bytes of the stored weights, milliseconds for a batch.
LimitKind = Literal["points", "bytes", "milliseconds"]
LIMIT_KINDS: Final[tuple[LimitKind, ...]] = get_args(LimitKind)
#: How often the range is halved: the share is then found to 1/64.
HALVINGS: Final = 6

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Limit:
    """``kind`` may be at most ``most``. Of networks within it, points ask for the smallest, others for the largest."""

    kind: LimitKind
    most: float


def within_limit(
    limit: Limit, make: Callable[[float], _Made], measure: Callable[[_Made], float], rounding: float = 0.0
) -> tuple[float, _Made]:
    """The share of multiply-adds, and what ``make`` gives for it, that meets ``limit`` best.

    ``make`` raises UsageError, kind ``budget-too-small``, for a share that no structure has. Raises the same when
    nothing meets the limit; of points the network with all its multiply-adds may lose ``rounding`` more, those of one
    image, whose answer another order of sums can turn over.
    """
    low, high = 0.0, 1.0
    best: tuple[float, _Made] | None = None
    for _ in range(HALVINGS):
        share = (low + high) / 2
        try:
            made = make(share)
        except UsageError as error:
            if error.kind != "budget-too-small":
                raise
            low = share
            continue
        fits = measure(made) <= limit.most
        if fits:
            best = share, made
        # Fewer points are lost by larger networks; all else grows with the share.
        if fits == (limit.kind == "points"):
            high = share
        else:
            low = share
    if best is None and limit.kind == "points":
        made = make(1.0)
        if measure(made) <= limit.most + rounding:
            best = 1.0, made
    if best is None:
        raise UsageError(
            f"no network that was tried is within {limit.most:g} {limit.kind}.",
            kind="budget-too-small",
            hint="allow more, leave jaccard out, or use another selection (see modhub compact --help).",
            limit=limit.kind,
            most=limit.most,
        )
    return best
