"""Which way of updating is kept: judged on examples that did not fit it, and in doubt none.

Candidates are compared by their log-loss on held-out examples, which separates them with fewer examples than the
share of right answers does. The margins of each may first be multiplied by one factor, which changes no vote, so that
nothing wins by being merely better scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modhub.updating.fitting import Doubles, HeadChange, Views, changed_margins, fit, log_softmax, tempered
from modhub.updating.offset import fit_offset

#: Strategies that fit heads: with a prior that holds them near to the present ones, or from the vote as an offset.
_CALIBRATE: Final = "calibrate"
_OFFSET: Final = "offset"
HEAD_STRATEGIES: Final = (_CALIBRATE, _OFFSET)
#: Strengths of the prior of ``calibrate`` that are tried. With few examples a class, held-out examples cannot
#: separate them.
STRENGTHS = (10.0, 30.0, 100.0, 300.0)
FEW_STRENGTHS = (100.0,)
ENOUGH_FOR_STRENGTHS = 10
#: Those of ``offset``, and the examples of a class below which it is tried only when it is asked for.
_OFFSET_STRENGTHS = (0.1, 0.01)
_ENOUGH_FOR_OFFSET = 50
FOLDS = 5


@dataclass(frozen=True)
class Approach:
    """One way of updating. ``strength``, of the prior, belongs to those that fit heads."""

    strategy: str
    strength: float | None = None

    def __str__(self) -> str:
        return self.strategy if self.strength is None else f"{self.strategy} (strength {self.strength:g})"


#: Not updating at all.
ORIGINAL = Approach("original")


@dataclass(frozen=True, eq=False)
class Judged:
    """How well a way answers n held-out examples: log-loss and whether right, float64 (n,); NaN where not judged."""

    loss: Doubles
    right: Doubles

    def over(self, other: Judged) -> Improvement:
        """This way against ``other``, on the examples on which both were judged, each paired with itself."""
        both = np.isfinite(self.loss) & np.isfinite(other.loss)
        return Improvement(
            *_mean_and_error(other.loss[both] - self.loss[both]),
            *_mean_and_error(self.right[both] - other.right[both]),
            examples=int(both.sum()),
        )


@dataclass(frozen=True)
class Improvement:
    """By how much one way is better than another, with standard errors: log-loss per example, share right."""

    loss: float
    loss_error: float
    right: float
    right_error: float
    examples: int

    @property
    def clearly_better(self) -> bool:
        """Better by log-loss beyond one standard error, and no worse in right answers beyond one."""
        votes_change = self.right != 0 or self.right_error > 0
        return votes_change and self.loss > self.loss_error and self.right >= -self.right_error

    def __str__(self) -> str:
        right = f"{100 * self.right:+.2f} +- {100 * self.right_error:.2f} points of right answers"
        return f"{right}, log-loss lower by {self.loss:.4f} +- {self.loss_error:.4f}"


def judge(margins: Doubles, labels: NDArray[np.integer], fold: NDArray[np.int64]) -> Judged:
    """Margins (n, k) as a way that was not fitted on the example itself; NaN rows are not judged.

    The factor on the margins of each fold comes from the other folds.
    """
    loss = np.full(len(labels), np.nan)
    right = np.full(len(labels), np.nan)
    known = np.isfinite(margins).all(axis=1)
    for part in np.unique(fold):
        here, there = known & (fold == part), known & (fold != part)
        if here.any():
            factor = tempered(margins[there], labels[there]) if there.any() else 1.0
            logs = log_softmax(margins[here] * factor)
            loss[here] = -logs[np.arange(int(here.sum())), labels[here]]
    right[known] = margins[known].argmax(axis=1) == labels[known]
    return Judged(loss, right)


def strengths_to_try(smallest_class: int) -> tuple[float, ...]:
    """The prior's strengths that are tried with so many examples of the rarest class."""
    return STRENGTHS if smallest_class >= ENOUGH_FOR_STRENGTHS else FEW_STRENGTHS


def held_out_margins(views: Views, labels: NDArray[np.integer], way: Approach, fold: NDArray[np.int64]) -> Doubles:
    """Margins (n, k) of every example under heads fitted without its fold."""
    result = np.empty_like(views.margins)
    for part in np.unique(fold):
        here, there = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        changes = fitted_heads(way, views.take(there), labels[there])
        result[here] = changed_margins(views.take(here), changes)
    return result


@dataclass(frozen=True)
class Tried:
    """A way that was tried, and how it compared with the original on the examples to choose."""

    way: Approach
    comparison: Improvement


def choose_approach(original: Judged, ways: Mapping[Approach, Judged]) -> tuple[Approach | None, list[Tried]]:
    """The way to keep, None for the original, and how every way compared with it.

    Of those that are clearly better than the original the one with the least log-loss.
    """
    tried = [Tried(way, judged.over(original)) for way, judged in ways.items()]
    clear = [each for each in tried if each.comparison.clearly_better]
    best = max(clear, key=lambda each: each.comparison.loss, default=None)
    return (None if best is None else best.way), tried


def fitted_heads(way: Approach, views: Views, labels: NDArray[np.integer]) -> dict[int, HeadChange]:
    """The changes of heads, by column, that fit the examples by a way that fits heads."""
    assert way.strength is not None
    return (fit_offset if way.strategy == _OFFSET else fit)(views, labels, way.strength)


def judged_heads(
    strategy: str, views: Views, labels: NDArray[np.integer], fold: NDArray[np.int64]
) -> dict[Approach, Judged]:
    """Ways of a strategy that fits heads, or with ``auto`` of all, by the prior's strength, judged fold by fold."""
    smallest = int(np.bincount(labels, minlength=views.margins.shape[1]).min())
    ways: list[Approach] = []
    if strategy in (_CALIBRATE, "auto"):
        ways += [Approach(_CALIBRATE, strength) for strength in strengths_to_try(smallest)]
    if strategy == _OFFSET or (strategy == "auto" and smallest >= _ENOUGH_FOR_OFFSET):
        ways += [Approach(_OFFSET, strength) for strength in _OFFSET_STRENGTHS]
    return {way: judge(held_out_margins(views, labels, way, fold), labels, fold) for way in ways}


def _mean_and_error(differences: Doubles) -> tuple[float, float]:
    if not len(differences):
        return 0.0, 0.0
    return float(differences.mean()), float(differences.std() / np.sqrt(len(differences)))
