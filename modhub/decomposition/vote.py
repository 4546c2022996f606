"""What lets an origin's modules vote beside others: how large its margins are, and the temperature of its vote.

Networks differ in how large their margins are. Divided by the mean of each image's largest margin they can be compared;
``softmax(margins / temperature)`` is then a probability. Both are numbers of the origin, from the logits that
decomposing has anyway.
Source of the temperature: Guo et al., On calibration of modern neural networks, 2017, section 4.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modhub.spec.manifest import VoteRecord

_STEPS = 100
#: How far from the size of margins a temperature is looked for, as a power of e.
_WIDEST = 12.0
#: What is recorded has so many digits, since the last bits of logits differ between machines.
_DIGITS = 6
#: Of more margins than this, evenly spread inputs are fitted, which bounds memory: 20,000 of 200 classes.
_MOST_MARGINS = 4_000_000


def vote_record(
    observed: NDArray[np.floating], logits: NDArray[np.floating], labels: NDArray[np.integer], data: str
) -> VoteRecord | None:
    """The record of an origin from its logits: of ``observed`` inputs (n, k) for the scale of its margins, and of
    others (m, k) with ``labels`` (m,), called ``data``, for the temperature.

    None where its margins have no size: all logits equal, or not finite.
    """
    classes = logits.shape[1]
    largest = (classes * observed.max(axis=1) - observed.sum(axis=1, dtype=np.float64)) / (classes - 1)
    scale = float(largest.mean())
    if not np.isfinite(scale) or _rounded(scale) <= 0 or not len(labels):
        return None
    rows = np.arange(0, len(labels), max(1, -(-len(labels) * classes // _MOST_MARGINS)))
    temperature = fit_temperature(margins_of_logits(logits[rows]), labels[rows])
    return VoteRecord(margin_scale=_rounded(scale), temperature=_rounded(temperature), data=data, examples=len(rows))


def margins_of_logits(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """All classes' margins (n, k), each logit minus the mean of the others, as float64."""
    z = logits.astype(np.float64)
    classes = z.shape[1]
    return np.asarray((classes * z - z.sum(axis=1, keepdims=True)) / (classes - 1))


def fit_temperature(margins: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The T above 0 at which ``softmax(margins / T)``, margins (n, k), fits ``labels`` (n,) best, by log-likelihood.

    Targets are smoothed as Platt's are (one of n + 2 inputs is taken to be of another class, any alike), so that T
    stays above 0 where every answer is right. Deterministic: the loss is convex in 1 / T, and Newton's steps are kept
    in a bracket.
    """
    m = margins.astype(np.float64)
    count, classes = m.shape
    m = m - m.max(axis=1, keepdims=True)
    own = m[np.arange(count), labels]
    other = 1 / ((count + 2) * (classes - 1))
    wanted = float((own * (1 - classes * other) + m.sum(axis=1) * other).mean())
    size = float(-m.mean()) or 1.0
    low, high = -_WIDEST, _WIDEST
    exponent = 0.0
    for _ in range(_STEPS):
        # Of the loss by beta = 1 / T: the mean of the margins under the softmax, less that under the targets.
        beta = np.exp(exponent) / size
        shares = np.exp(m * beta)
        shares /= shares.sum(axis=1, keepdims=True)
        mean = (shares * m).sum(axis=1)
        slope = float(mean.mean()) - wanted
        curvature = float(((shares * m**2).sum(axis=1) - mean**2).mean())
        low, high = (exponent, high) if slope < 0 else (low, exponent)
        step = -slope / (curvature * beta) if curvature * beta > 0 else np.inf
        inside = low < exponent + step < high
        following = exponent + step if inside else (low + high) / 2
        if abs(following - exponent) < 1e-9:
            break
        exponent = following
    return float(size / np.exp(exponent))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
