"""What a compact network may cost and how it is made, as commands and callers say it, checked; and the goal of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypedDict, get_args

from modhub.compaction.budgets import Limit, LimitKind
from modhub.compaction.checkpoints import Checkpoints
from modhub.compaction.costs import COST_KINDS
from modhub.compaction.selecting import Goal, Selection
from modhub.compaction.selections import selection_named
from modhub.compaction.work import Work
from modhub.errors import UsageError

#: Which structures are tried: by name, see ``modhub.compact``, or a strategy of one's own.
Select = Literal["never", "blocks", "channels", "blocks+channels"]
SELECTS: Final[tuple[Select, ...]] = get_args(Select)
#: The name of a selection that a package brings, such as ``acme/greedy``.
PackagedSelection: TypeAlias = str
_LIMITS: Final[Mapping[str, LimitKind]] = {"points": "points", "size": "bytes", "milliseconds": "milliseconds"}


class CompactKeywords(TypedDict, total=False):
    """The keywords of ``CompactSettings``."""

    flops: float | None
    parameters: float | None
    points: float | None
    size: float | None
    milliseconds: float | None
    jaccard: float | None
    select: Select | PackagedSelection | Selection
    polish: bool
    polish_steps: int | None
    minutes: float | None
    use_labels: bool
    seed: int


@dataclass(frozen=True)
class CompactSettings:
    """The keywords of ``modhub.compact`` that say what may stay and how it is fitted. Raises UsageError.

    One budget at most: ``flops`` and ``parameters`` are shares, ``points`` percentage points, ``size`` bytes.
    """

    flops: float | None = None
    parameters: float | None = None
    points: float | None = None
    size: float | None = None
    milliseconds: float | None = None
    jaccard: float | None = None
    select: Select | PackagedSelection | Selection = "blocks+channels"
    polish: bool = False
    polish_steps: int | None = None
    minutes: float | None = None
    use_labels: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        budgets = self._budgets()
        if len(budgets) > 1:
            raise UsageError(
                f"{' and '.join(budgets)} are given, but there is one budget.",
                kind="bad-option",
                hint="leave all but one of them out.",
            )
        shares: dict[str, float | None] = {"jaccard": self.jaccard}
        shares |= {what: value for what, value in budgets.items() if what in COST_KINDS}
        for what, value in shares.items():
            if value is not None and not 0 < value <= 1:
                raise UsageError(
                    f"{what} is {value}.", kind="bad-option", hint="give the share that may stay, above 0, to 1."
                )
        for what, value in budgets.items():
            if not value >= 0:
                raise UsageError(f"{what} is {value}.", kind="bad-option", hint="give a number from 0 on.")
        if isinstance(self.select, str):
            selection_named(self.select)
        if self.polish_steps is not None and self.polish_steps < 1:
            raise UsageError(f"polish_steps is {self.polish_steps}.", kind="bad-option", hint="use at least 1.")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}.", kind="bad-option", hint="use a number from 0 on.")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"minutes is {self.minutes}.", kind="bad-option", hint="give a number above 0.")

    @property
    def goal(self) -> Goal | Limit:
        """What may stay; half of the multiply-adds where nothing is said."""
        what, value = next(iter(self._budgets().items()), ("flops", 0.5))
        if what in ("flops", "parameters"):
            return Goal("flops" if what == "flops" else "parameters", value, self.jaccard)
        return Limit(_LIMITS[what], value)

    @property
    def asked(self) -> float:
        """How much of the budget."""
        goal = self.goal
        return goal.budget if isinstance(goal, Goal) else goal.most

    @property
    def strategy(self) -> Selection:
        return selection_named(self.select) if isinstance(self.select, str) else self.select

    @property
    def strategy_name(self) -> str:
        """As manifests write it."""
        return self.select if isinstance(self.select, str) else getattr(self.select, "__name__", "own")

    def work(self, began: float, checkpoints: Checkpoints | None = None) -> Work:
        """What there is to do; ``minutes`` count from ``began``, in seconds of ``time.monotonic``."""
        minutes = self.minutes
        left = None if minutes is None else lambda: 60 * minutes - (time.monotonic() - began)
        return Work(
            self.strategy, self.polish, self.seed, self.polish_steps, self.use_labels, left, checkpoints, minutes
        )

    def _budgets(self) -> dict[str, float]:
        given = {what: getattr(self, what) for what in ("flops", "parameters", *_LIMITS)}
        return {what: value for what, value in given.items() if value is not None}
