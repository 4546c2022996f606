"""Heads that labels correct: logistic regression that starts from the vote, whose logits are a fixed offset.

The vote on one scale, times a fixed factor, is the offset; a head is fitted to what it misses: one on all trunks'
features together, for a network of several origins, or one of each module on those of its own origin. Without the
offset a head needs many times the labels to gain anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modhub.updating.fitting import Doubles, HeadChange, Views, log_softmax, minimise

#: By how much votes on one scale, whose largest are 1 on the average, are multiplied.
VOTE_FACTOR: Final = 8.0
#: Strengths of the prior that are tried for one head on all features, strongest first.
HEAD_STRENGTHS: Final = (1.0, 0.3, 0.1, 0.03, 0.01)
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
    offset = VOTE_FACTOR * np.asarray(given.votes, np.float64)
    part = _Part.of(np.arange(offset.shape[1]), given.features)
    (found,) = _corrections(offset, [part], given.labels, strength)
    return OffsetHead(*found)


def choose_offset_head(
    fitting: LabelledFeatures, held_back: LabelledFeatures, strengths: Sequence[float] = HEAD_STRENGTHS
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


def fit_offset(views: Views, labels: NDArray[np.integer], strength: float) -> dict[int, HeadChange]:
    """The same for modules, each of which reads its own origin's features: the changes of their heads, by column.

    Margins count as they vote. Brought to 1 for the mean of an image's largest, ``VOTE_FACTOR`` times them are the
    offset.
    """
    factor = VOTE_FACTOR / max(float(views.margins.max(axis=1).mean()), 1e-12)
    parts = [_Part.of(group.columns, group.features) for group in views.groups]
    changes: dict[int, HeadChange] = {}
    for part, (kernel, bias) in zip(parts, _corrections(factor * views.margins, parts, labels, strength), strict=True):
        for place, column in enumerate(part.columns.tolist()):
            changes[column] = HeadChange(1.0, kernel[:, place] / factor, float(bias[place]) / factor)
    return changes


@dataclass(frozen=True, eq=False)
class _Part:
    """Features ``z`` (n, F), standardised by ``mean`` and ``spread`` (F,), which correct the logits in ``columns``."""

    columns: NDArray[np.int64]
    z: Doubles
    mean: Doubles
    spread: Doubles

    @classmethod
    def of(cls, columns: NDArray[np.int64], features: NDArray[np.floating]) -> _Part:
        given = np.asarray(features, np.float64)
        mean, spread = given.mean(axis=0), given.std(axis=0)
        spread[spread < 1e-6] = 1.0
        return cls(columns, (given - mean) / spread, mean, spread)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weights on z, and a last row of constants."""
        return self.z.shape[1] + 1, len(self.columns)


def _corrections(
    offset: Doubles, parts: Sequence[_Part], labels: NDArray[np.integer], strength: float
) -> list[tuple[Doubles, Doubles]]:
    """For each part the kernel (F, columns) and bias (columns,) on its features as they are."""
    rows = np.arange(len(labels))
    ends = np.cumsum([part.shape[0] * part.shape[1] for part in parts])

    def unpacked(flat: Doubles) -> list[Doubles]:
        pieces = np.split(flat, ends[:-1])
        return [piece.reshape(part.shape) for piece, part in zip(pieces, parts, strict=True)]

    def value_and_gradient(flat: Doubles) -> tuple[float, Doubles]:
        logits = offset.copy()
        for part, weights in zip(parts, unpacked(flat), strict=True):
            logits[:, part.columns] += part.z @ weights[:-1] + weights[-1]
        logs = log_softmax(logits)
        by_logit = np.exp(logs)
        by_logit[rows, labels] -= 1
        by_logit /= len(rows)
        gradient = []
        for part in parts:
            own = by_logit[:, part.columns]
            gradient.append(np.vstack([part.z.T @ own, own.sum(axis=0)]).reshape(-1))
        loss = -float(logs[rows, labels].mean()) + 0.5 * strength * float(flat @ flat)
        return loss, np.concatenate(gradient) + strength * flat

    found = minimise(value_and_gradient, np.zeros(int(ends[-1])), tolerance=_TOLERANCE)
    result = []
    for part, weights in zip(parts, unpacked(found), strict=True):
        kernel = weights[:-1] / part.spread[:, None]
        result.append((kernel, np.asarray(weights[-1] - part.mean @ kernel)))
    return result
