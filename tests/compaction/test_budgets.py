"""Budgets that are searched for: the answer is that of trying every share on the grid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modhub.compaction.budgets import HALVINGS, LIMIT_KINDS, Limit, within_limit
from modhub.errors import UsageError

GRID = [step / 2**HALVINGS for step in range(1, 2**HALVINGS)]


def too_small(share: float, least: float) -> float:
    if share < least:
        raise UsageError("no structure", kind="budget-too-small")
    return share


@given(st.sampled_from(LIMIT_KINDS), st.floats(0, 1), st.floats(0, 0.9))
def test_it_is_the_best_of_all_shares(kind: str, at: float, least: float) -> None:
    points = kind == "points"
    limit = Limit(kind, 1 - at if points else at)  # type: ignore[arg-type]
    meets = [s for s in GRID if s >= least and ((1 - s) if points else s) <= limit.most]
    calls: list[float] = []

    def make(share: float) -> float:
        calls.append(share)
        return too_small(share, least)

    def measure(share: float) -> float:
        return 1 - share if points else share

    if not meets and not points:
        with pytest.raises(UsageError) as caught:
            within_limit(limit, make, measure)
        assert caught.value.kind == "budget-too-small"
    else:
        share, made = within_limit(limit, make, measure)
        assert share == made
        assert share == (1.0 if not meets else min(meets) if points else max(meets))
    assert len(calls) <= HALVINGS + 1


def test_other_errors_go_through() -> None:
    def make(share: float) -> float:
        raise UsageError("something else", kind="bad-option")

    with pytest.raises(UsageError, match="something else"):
        within_limit(Limit("points", 1.0), make, lambda made: made)


def test_the_network_with_all_its_multiply_adds_has_to_meet_the_limit_too() -> None:
    limit = Limit("points", 1.0)
    assert within_limit(limit, lambda share: share, lambda made: 1.4, rounding=0.5) == (1.0, 1.0)
    with pytest.raises(UsageError, match="within 1 points") as caught:
        within_limit(limit, lambda share: share, lambda made: 5.0, rounding=0.5)
    assert caught.value.kind == "budget-too-small"
