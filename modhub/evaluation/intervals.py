"""Bootstrap intervals: how far might a share be off, had other images of the same kind been taken?

Percentile intervals over seeded resamples of the images. Drawing N images with replacement and counting is drawing the
counts from a binomial or multinomial distribution, so counts are drawn and images never are: the same distribution, at
a cost that does not grow with N. Where all or none are right every resample says the same, and the exact
(Clopper-Pearson) bound stands in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.errors import UsageError

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        """A share: ``93.4% (92.1 to 94.6)``."""
        return f"{self.value:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})"

    @property
    def points(self) -> str:
        """A difference of shares: ``+1.2 (-0.3 to +2.7) points``."""
        value, low, high = (100 * part for part in (self.value, self.low, self.high))
        return f"{value:+.1f} ({low:+.1f} to {high:+.1f}) points"


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: their ``confidence``, how many ``resamples``, and the ``seed``. Raises UsageError."""

    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence is {self.confidence}.", kind="bad-option", hint="0.95 is usual.")
        if not 100 <= self.resamples <= 100_000:
            raise UsageError(
                f"resamples is {self.resamples}.", kind="bad-option", hint="use 1,000 or more; at most 100,000."
            )
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}.", kind="bad-option", hint="use 0 or more.")

    @property
    def alpha(self) -> float:
        return 1 - self.confidence

    def _draws(self, figure: int) -> np.random.Generator:
        # A stream for each figure, so that none depends on which others are computed.
        return np.random.default_rng([self.seed, figure])

    def share(self, right: int, whole: int) -> Estimate:
        """``right`` of ``whole`` > 0 images."""
        if right in (0, whole):
            return _certain(right / whole, self._exact(whole))
        drawn = self._draws(1).binomial(whole, right / whole, self.resamples) / whole
        return self._estimate(right / whole, drawn)

    def shares(self, right: Counts, whole: Counts, images: int) -> list[Estimate | None]:
        """``right`` of ``whole`` (k,) of ``images``, for instance right answers of each class; None of nothing."""
        draws = self._draws(2)
        wholes = draws.binomial(images, whole / images, (self.resamples, len(whole)))
        rights = draws.binomial(wholes, _ratio(right, whole))
        drawn = np.divide(rights, wholes, out=np.full(wholes.shape, np.nan), where=wholes > 0)
        found: list[Estimate | None] = []
        for column, (part, all_of_it) in enumerate(zip(right.tolist(), whole.tolist(), strict=True)):
            if not all_of_it:
                found.append(None)
            elif part in (0, all_of_it):
                found.append(_certain(part / all_of_it, self._exact(all_of_it)))
            else:
                found.append(self._estimate(part / all_of_it, drawn[:, column]))
        return found

    def mean_share(self, right: Counts, whole: Counts) -> Estimate:
        """The mean over the classes that have images of each one's share; both (k,)."""
        right, whole = right[whole > 0], whole[whole > 0]
        value = float((right / whole).mean())
        if value in (0.0, 1.0):
            # As many images as there would be, had every class as few as the smallest.
            return _certain(value, self._exact(len(whole) * int(whole.min())))
        draws = self._draws(3)
        wholes = draws.multinomial(whole.sum(), whole / whole.sum(), self.resamples)
        rights = draws.binomial(wholes, right / whole)
        return self._estimate(value, _mean_over_classes(rights, wholes))

    def difference(self, gained: int, lost: int, images: int) -> Estimate:
        """``(gained - lost) / images``: the accuracy of one classifier minus that of another on the same images."""
        cells = np.array([gained, lost, images - gained - lost]) / images
        drawn = self._draws(4).multinomial(images, cells, self.resamples)
        return self._estimate((gained - lost) / images, (drawn[:, 0] - drawn[:, 1]) / images)

    def mean_difference(self, gained: Counts, lost: Counts, whole: Counts) -> Estimate:
        """The mean over the classes that have images of ``(gained - lost) / whole``; all (k,)."""
        gained, lost, whole = (counts[whole > 0] for counts in (gained, lost, whole))
        draws = self._draws(5)
        wholes = draws.multinomial(whole.sum(), whole / whole.sum(), self.resamples)
        plus = draws.binomial(wholes, gained / whole)
        minus = draws.binomial(wholes - plus, _ratio(lost, whole - gained))
        return self._estimate(float(((gained - lost) / whole).mean()), _mean_over_classes(plus - minus, wholes))

    def _exact(self, images: int) -> float:
        """The bound of Clopper and Pearson on how many may be wrong when none of so many was."""
        return float(1 - (self.alpha / 2) ** (1 / images))

    def _estimate(self, value: float, drawn: NDArray[Any]) -> Estimate:
        low, high = np.nanquantile(drawn, [self.alpha / 2, 1 - self.alpha / 2])
        return Estimate(value, float(low), float(high))


def _certain(value: float, bound: float) -> Estimate:
    return Estimate(value, 0.0, bound) if value == 0 else Estimate(value, 1 - bound, 1.0)


def _ratio(part: Counts, whole: Counts) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def _mean_over_classes(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[Any]:
    """(resamples, k) each; a class that a resample has no image of does not count in it."""
    drawn = np.divide(parts, wholes, out=np.zeros(wholes.shape), where=wholes > 0)
    return np.asarray(drawn.sum(axis=1) / (wholes > 0).sum(axis=1))
