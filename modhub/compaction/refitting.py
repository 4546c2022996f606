"""Weights of a smaller layer in closed form, from what it reads and what the whole network gave in its place.

Ridge towards the old weights; where a ReLU follows, only what passes it must fit: below zero any value below zero will
do, so the targets there follow the prediction (an alternation of two convex steps, which never raises the error of
what the ReLU gives).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Singles = NDArray[np.float32]
_Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Rectified:
    """What follows the layer: a ReLU, which gives no more than ``most``."""

    most: float | None = None

    def wanted(self, targets: _Singles, predicted: _Singles) -> _Singles:
        """``targets``, or where both lie beyond the same bound of the ReLU, the prediction."""
        result = np.where(targets > 0, targets, np.minimum(predicted, 0))
        if self.most is not None:
            result = np.where(targets < self.most, result, np.maximum(predicted, np.float32(self.most)))
        return np.asarray(result, np.float32)

    def error(self, targets: _Singles, predicted: _Singles) -> float:
        """The mean squared distance to ``wanted``: what a refit never raises. It bounds the error behind the ReLU."""
        return float(np.mean((self.wanted(targets, predicted) - predicted) ** 2, dtype=np.float64))


def refitted(
    inputs: _Singles,
    targets: _Singles,
    old: _Doubles,
    *,
    ridge: float,
    rectified: Rectified | None,
    rounds: int,
    shift: _Singles | None = None,
) -> _Doubles:
    """Weights (d + 1, outputs), the bias last, that give ``targets`` (n, outputs) for ``inputs`` (n, d).

    ``ridge`` towards ``old`` (d + 1, outputs) is a share of the mean of the diagonal of ``X'X``. With ``rectified``,
    ``rounds`` regressions on one factorisation. ``shift`` (n, outputs) is added to what the layer gives, as by the
    other side of a sum.
    """
    design = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
    gram = (design.T @ design).astype(np.float64)
    strength = max(ridge * float(np.trace(gram)) / len(gram), 1e-12)
    inverse = np.linalg.inv(gram + strength * np.eye(len(gram)))
    weights = np.asarray(old, np.float64)
    for _ in range(rounds if rectified is not None else 1):
        wanted = _wanted(targets, rectified, shift, lambda: design @ weights.astype(np.float32))  # noqa: B023
        weights = inverse @ ((design.T @ wanted).astype(np.float64) + strength * old)
    return np.asarray(weights)


def refitted_depthwise(
    inputs: _Singles,
    targets: _Singles,
    old: _Doubles,
    *,
    ridge: float,
    rectified: Rectified | None,
    rounds: int,
    shift: _Singles | None = None,
) -> _Doubles:
    """As ``refitted`` for a depthwise convolution: ``inputs`` (n, d, channels), one regression of d + 1 a channel.

    ``targets`` and ``shift`` (n, channels), ``old`` and the result (d + 1, channels).
    """
    design = np.concatenate([inputs, np.ones((len(inputs), 1, inputs.shape[2]), np.float32)], axis=1)
    by_channel = np.ascontiguousarray(design.transpose(2, 0, 1))
    gram = (by_channel.transpose(0, 2, 1) @ by_channel).astype(np.float64)
    size = gram.shape[1]
    strength = np.maximum(ridge * np.trace(gram, axis1=1, axis2=2) / size, 1e-12)
    inverse = np.linalg.inv(gram + strength[:, None, None] * np.eye(size))
    weights = np.asarray(old, np.float64)

    def predicted() -> _Singles:
        found = by_channel @ weights.astype(np.float32).T[:, :, None]
        return np.asarray(found[:, :, 0].T, np.float32)

    for _ in range(rounds if rectified is not None else 1):
        wanted = _wanted(targets, rectified, shift, predicted)
        moment = (by_channel.transpose(0, 2, 1) @ wanted.T[:, :, None])[:, :, 0].T.astype(np.float64) + strength * old
        weights = (inverse @ moment.T[:, :, None])[:, :, 0].T
    return np.asarray(weights)


def _wanted(
    targets: _Singles, rectified: Rectified | None, shift: _Singles | None, predicted: Callable[[], _Singles]
) -> _Singles:
    """What the layer itself is to give, its shift taken off."""
    if rectified is None:
        return targets if shift is None else targets - shift
    if shift is None:
        return rectified.wanted(targets, predicted())
    return np.asarray(rectified.wanted(targets, predicted() + shift) - shift, np.float32)


def explained(wanted: NDArray[np.floating], given: NDArray[np.floating]) -> float:
    """R2 of centred logits, (n, classes) each: the share of their variance that ``given`` explains."""
    a, b = (np.asarray(each, np.float64) - np.mean(each, axis=1, keepdims=True) for each in (wanted, given))
    spread = float(((a - a.mean(axis=0)) ** 2).sum())
    return 1.0 - float(((a - b) ** 2).sum()) / spread if spread else 1.0
