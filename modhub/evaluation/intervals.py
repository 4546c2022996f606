"""Bootstrap intervals: how far might a share be off, had other images of the same kind been taken?

Percentile intervals over seeded resamples of the images. Drawing N images with replacement and counting is drawing the
counts from a binomial or multinomial distribution, so counts are drawn and images never are: the same distribution, at
a cost that does not grow with N. Where all resamples are equal, they say nothing about how far off the figure may
be: the exact (Clopper-Pearson) bound is used where all or none are right, Wilson's interval where whole classes are
and others are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
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
            return self._certain(right / whole, whole)
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
                found.append(self._certain(part / all_of_it, all_of_it))
            else:
                found.append(self._estimate(part / all_of_it, drawn[:, column]))
        return found

    def mean_share(self, right: Counts, whole: Counts) -> Estimate:
        """The mean over the classes that have images of each one's share; both (k,)."""
        right, whole = right[whole > 0], whole[whole > 0]
        value = float((right / whole).mean())
        if ((right == 0) | (right == whole)).all():
            return self._certain(value, _fewest(whole))
        draws = self._draws(3)
        wholes = draws.multinomial(whole.sum(), whole / whole.sum(), self.resamples)
        rights = draws.binomial(wholes, right / whole)
        return self._estimate(value, _mean_over_classes(rights, wholes))

    def difference(self, gained: int, lost: int, images: int) -> Estimate:
        """``(gained - lost) / images``: the accuracy of one classifier minus that of another on the same images."""
        if gained + lost == 0:
            return self._no_difference(images)
        if images in (gained, lost):
            return self._certain_difference((gained - lost) / images, images)
        cells = np.array([gained, lost, images - gained - lost]) / images
        drawn = self._draws(4).multinomial(images, cells, self.resamples)
        return self._estimate((gained - lost) / images, (drawn[:, 0] - drawn[:, 1]) / images)

    def mean_difference(self, gained: Counts, lost: Counts, whole: Counts) -> Estimate:
        """The mean over the classes that have images of ``(gained - lost) / whole``; all (k,)."""
        gained, lost, whole = (counts[whole > 0] for counts in (gained, lost, whole))
        value = float(((gained - lost) / whole).mean())
        if (gained + lost == 0).all():
            return self._no_difference(_fewest(whole))
        if ((gained == whole) | (lost == whole) | (gained + lost == 0)).all():
            return self._certain_difference(value, _fewest(whole))
        draws = self._draws(5)
        wholes = draws.multinomial(whole.sum(), whole / whole.sum(), self.resamples)
        plus = draws.binomial(wholes, gained / whole)
        minus = draws.binomial(wholes - plus, _ratio(lost, whole - gained))
        return self._estimate(value, _mean_over_classes(plus - minus, wholes))

    def _certain(self, value: float, images: int) -> Estimate:
        """A share of which resampling so many images would say the same each time.

        Between 0 and 1 it is a mean over classes, which varies at most as one share of as many images does.
        """
        if value in (0.0, 1.0):
            # The bound of Clopper and Pearson on how many may be otherwise when none of so many was.
            bound = float(1 - (self.alpha / 2) ** (1 / images))
            return Estimate(value, 0.0, bound) if value == 0 else Estimate(value, 1 - bound, 1.0)
        z = NormalDist().inv_cdf(1 - self.alpha / 2)
        centre = (value + z**2 / (2 * images)) / (1 + z**2 / images)
        reach = z / (1 + z**2 / images) * sqrt(value * (1 - value) / images + z**2 / (4 * images**2))
        return Estimate(value, max(0.0, centre - reach), min(1.0, centre + reach))

    def _no_difference(self, images: int) -> Estimate:
        """Of classifiers that were right on the same ones of so many images."""
        bound = self._certain(0.0, images).high
        return Estimate(0.0, -bound, bound)

    def _certain_difference(self, value: float, images: int) -> Estimate:
        """As ``_certain``, of a difference, -1 to 1."""
        share = self._certain((1 + value) / 2, images)
        return Estimate(value, 2 * share.low - 1, 2 * share.high - 1)

    def _estimate(self, value: float, drawn: NDArray[Any]) -> Estimate:
        low, high = np.nanquantile(drawn, [self.alpha / 2, 1 - self.alpha / 2])
        return Estimate(value, float(low), float(high))


def _fewest(whole: Counts) -> int:
    """As many images as there would be, had every class as few as the smallest."""
    return len(whole) * int(whole.min())


def _ratio(part: Counts, whole: Counts) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def _mean_over_classes(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[Any]:
    """(resamples, k) each; a class that a resample has no image of does not count in it."""
    drawn = np.divide(parts, wholes, out=np.zeros(wholes.shape), where=wholes > 0)
    return np.asarray(drawn.sum(axis=1) / (wholes > 0).sum(axis=1))
