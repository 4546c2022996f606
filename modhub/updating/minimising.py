"""Minimising a smooth, strongly convex function of many variables: L-BFGS, two loops and backtracking.

Liu & Nocedal, On the limited memory BFGS method for large scale optimization, 1989. Plain numpy, so that the same
numbers give the same bytes and no further library is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_MEMORY = 10
_ENOUGH = 1e-4


def minimise(
    function: Callable[[Vector], tuple[float, Vector]], start: Vector, *, tolerance: float, iterations: int = 300
) -> Vector:
    """Where ``function``, which gives value and gradient, is least; stops when the gradient's length is ``tolerance``.

    Where the function is curved by c or more, the answer is then at most ``tolerance / c`` away from the true one. Also
    stops when rounding hides any further descent.
    """
    x = start
    value, gradient = function(x)
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=_MEMORY)
    for _ in range(iterations):
        if float(np.linalg.norm(gradient)) <= tolerance:
            break
        direction = _direction(gradient, pairs)
        slope = float(gradient @ direction)
        size = 1.0 if pairs else min(1.0, 1.0 / float(np.linalg.norm(gradient)))
        while True:
            moved = x + size * direction
            new_value, new_gradient = function(moved)
            if new_value <= value + _ENOUGH * size * slope:
                break
            size /= 2
            if size < 1e-10:
                return x
        step, change = moved - x, new_gradient - gradient
        curvature = float(step @ change)
        if curvature > 0:
            pairs.append((step, change, curvature))
        x, value, gradient = moved, new_value, new_gradient
    return x


def _direction(gradient: Vector, pairs: deque[tuple[Vector, Vector, float]]) -> Vector:
    """The quasi-Newton step that the remembered steps and gradient changes suggest."""
    result = -gradient
    weights = []
    for step, change, curvature in reversed(pairs):
        weight = float(step @ result) / curvature
        weights.append(weight)
        result = result - weight * change
    if pairs:
        _, change, curvature = pairs[-1]
        result = result * (curvature / float(change @ change))
    for (step, change, curvature), weight in zip(pairs, reversed(weights), strict=True):
        result = result + step * (weight - float(change @ result) / curvature)
    return result
