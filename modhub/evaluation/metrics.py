"""Counts and shares of right answers.

Labels are int64 (N,), columns of the classifier. A winner of -1 is "none of these", which is never right. A share of
nothing is NaN: the recall of a class without images, the precision of a class that was never answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassShares:
    """Float64 (k,) each, in class order; NaN where a share is one of nothing.

    ``images`` of the class, how often it was ``answered``, and how often it was so ``right``ly, int64 (k,).
    """

    images: NDArray[np.int64]
    answered: NDArray[np.int64]
    right: NDArray[np.int64]

    @property
    def recall(self) -> NDArray[np.float64]:
        """Right answers over images of the class."""
        return shares(self.right, self.images)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Right answers over answers of the class."""
        return shares(self.right, self.answered)

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of recall and precision."""
        return shares(2 * self.right, self.images + self.answered)

    @property
    def balanced(self) -> float:
        """The mean recall of the classes that have images."""
        return float(self.recall[self.images > 0].mean())


@dataclass(frozen=True)
class Positives:
    """How many modules took an image for their own: shares of all images, and of each group those answered rightly.

    The shares right are None where a group has no image.
    """

    none: float
    one: float
    several: float
    right_none: float | None
    right_one: float | None
    right_several: float | None


def shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, NaN of nothing."""
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def confusion_matrix(truth: Labels, winners: Labels, classes: int) -> NDArray[np.int64]:
    """Images of class i that were answered as j, int64 (k, k + 1); the last column is "none of these"."""
    columns = np.where(winners < 0, classes, winners)
    counts = np.bincount(truth * (classes + 1) + columns, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1).astype(np.int64)


def vote_shares(confusion: NDArray[np.int64]) -> ClassShares:
    """Of a confusion matrix (k, k + 1)."""
    square = confusion[:, :-1]
    return ClassShares(confusion.sum(axis=1), square.sum(axis=0), np.diagonal(square).copy())


def own_shares(truth: Labels, positive: NDArray[np.bool_]) -> ClassShares:
    """Of every module alone, at its own threshold; ``positive`` bool (N, k)."""
    classes = positive.shape[1]
    right = np.bincount(truth[positive[np.arange(len(truth)), truth]], minlength=classes)
    return ClassShares(
        np.bincount(truth, minlength=classes).astype(np.int64), positive.sum(axis=0), right.astype(np.int64)
    )


def among_best(ranking: NDArray[np.floating], truth: Labels, count: int) -> NDArray[np.bool_]:
    """Whether the true class is among the ``count`` best, bool (N,); of equals the one in front is better."""
    own = np.take_along_axis(ranking, truth[:, None], axis=1)
    in_front = np.arange(ranking.shape[1]) < truth[:, None]
    better = (ranking > own) | ((ranking == own) & in_front)
    return np.asarray(better.sum(axis=1) < count)


def positives(truth: Labels, winners: Labels, positive: NDArray[np.bool_]) -> Positives:
    """How often none, one and several modules were positive; ``positive`` bool (N, k)."""
    counts = positive.sum(axis=1)
    right = winners == truth
    groups = [counts == 0, counts == 1, counts > 1]
    of_all = [float(group.mean()) for group in groups]
    of_group = [float(right[group].mean()) if group.any() else None for group in groups]
    return Positives(of_all[0], of_all[1], of_all[2], of_group[0], of_group[1], of_group[2])


#: How many bins; the figure depends on it, so it is one for all.
BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers by confidence, one entry a bin: ``counts`` int64, mean ``confidence`` and share ``right`` float64.

    Both are NaN in a bin without answers. ``error`` is the expected calibration error, NaN without any answer.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    error: float


def reliability(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Of probabilities (N,), 0 to 1, and whether each answer was right, bool (N,)."""
    confidence = confidence.astype(np.float64)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    counts = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (confidence, right.astype(np.float64))]
    filled = counts > 0
    means = [np.divide(total, counts, out=np.full(bins, np.nan), where=filled) for total in sums]
    gaps = np.abs(sums[1] - sums[0])
    error = float(gaps.sum() / len(confidence)) if len(confidence) else float("nan")
    return Reliability(counts.astype(np.int64), means[0], means[1], error)
