"""Is a classifier as often right as it says it is? Reliability bins and the expected calibration error.

Source: Guo et al., On calibration of modern neural networks, 2017: bins of equal width, each open on the left, and the
mean over all answers of the distance between a bin's share of right answers and its mean confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
