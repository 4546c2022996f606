"""A head for a network of several origins that labels correct: logistic regression that starts from the vote.

The vote's logits, times a fixed factor, are an offset; a head on all trunks' features together is fitted to what they
miss.
A head without the offset needs many times the labels to gain anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modhub.updating.fitting import Doubles, log_softmax, minimise

#: By how much votes on one scale, whose largest are 1 on the average, are multiplied.
VOTE_FACTOR: Final = 8.0
#: Strengths of the prior that are tried, strongest first.
STRENGTHS: Final = (1.0, 0.3, 0.1, 0.03, 0.01)
_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features (n, F) of all trunks side by side, the ``votes`` (n, k) on one scale, and labels int64 (n,)."""

    features: NDArray[np.floating]
    votes: NDArray[np.floating]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class OffsetHead:
    """What is added to ``VOTE_FACTOR`` times the votes: ``features @ kernel + bias``, (F, k) and (k,)."""

    kernel: Doubles
    bias: Doubles

    def logits(self, given: LabelledFeatures) -> Doubles:
        """The corrected logits (n, k)."""
        return np.asarray(VOTE_FACTOR * given.votes + given.features @ self.kernel + self.bias)


def fit_offset_head(given: LabelledFeatures, strength: float) -> OffsetHead:
    """The head that minimises the mean cross-entropy plus ``strength / 2`` times its squared weights on standardised
    features.
    """
    features = np.asarray(given.features, np.float64)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread < 1e-6] = 1.0
    z = (features - mean) / spread
    offset = VOTE_FACTOR * np.asarray(given.votes, np.float64)
    rows, classes = np.arange(len(given)), offset.shape[1]
    shape = (z.shape[1] + 1, classes)

    def value_and_gradient(flat: Doubles) -> tuple[float, Doubles]:
        weights = flat.reshape(shape)
        logs = log_softmax(offset + z @ weights[:-1] + weights[-1])
        by_logit = np.exp(logs)
        by_logit[rows, given.labels] -= 1
        by_logit /= len(rows)
        gradient = np.vstack([z.T @ by_logit, by_logit.sum(axis=0)]) + strength * weights
        loss = -float(logs[rows, given.labels].mean()) + 0.5 * strength * float((weights**2).sum())
        return loss, gradient.reshape(-1)

    found = minimise(value_and_gradient, np.zeros(shape).reshape(-1), tolerance=_TOLERANCE).reshape(shape)
    kernel = found[:-1] / spread[:, None]
    return OffsetHead(kernel, found[-1] - mean @ kernel)


def choose_offset_head(
    fitting: LabelledFeatures, held_back: LabelledFeatures, strengths: Sequence[float] = STRENGTHS
) -> OffsetHead | None:
    """The head of the strength whose log-loss on ``held_back`` is least; None unless it answers more of them right."""
    best: tuple[float, OffsetHead] | None = None
    rows = np.arange(len(held_back))
    for strength in strengths:
        head = fit_offset_head(fitting, strength)
        loss = -float(log_softmax(head.logits(held_back))[rows, held_back.labels].mean())
        if best is None or loss < best[0]:
            best = loss, head
    if best is None:
        return None
    before = int((held_back.votes.argmax(axis=1) == held_back.labels).sum())
    after = int((best[1].logits(held_back).argmax(axis=1) == held_back.labels).sum())
    return best[1] if after > before else None
