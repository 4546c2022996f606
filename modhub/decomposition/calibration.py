"""Threshold and scale of a module: when is its margin a yes, and how sure is it?

``m > 0`` only says that a class is above the mean of the others, which 4 of 10 modules say of every image. So a
logistic curve ``sigmoid(scale * (m - threshold))`` is fitted to the margins of the observed inputs.
Source: Platt, Probabilistic outputs for support vector machines, 1999, with his smoothed targets.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

Margins = NDArray[np.floating]


def fit_platt(concerned: Margins, unconcerned: Margins, *, what: str = "a module") -> tuple[float, float]:
    """Threshold and scale that fit margins of concerned and unconcerned inputs, each of shape (inputs,).

    Targets are smoothed as Platt does, so separable data stay finite. A module whose margins do not rise with its class
    gets the threshold midway between the means and scale 1, and a warning that names ``what``.
    """
    m = np.concatenate([concerned, unconcerned]).astype(np.float64)
    yes, no = len(concerned), len(unconcerned)
    target = np.concatenate([np.full(yes, (yes + 1) / (yes + 2)), np.full(no, 1 / (no + 2))])
    centre, spread = float(m.mean()), float(m.std())
    slope, offset = _newton((m - centre) / spread, target) if spread > 0 else (0.0, 0.0)
    if not np.isfinite(slope) or slope <= 1e-6:
        warnings.warn(
            f"the margins of {what} do not rise with its class; its threshold is midway between the two means.",
            stacklevel=2,
        )
        return float((np.mean(concerned) + np.mean(unconcerned)) / 2), 1.0
    return float(centre - offset / slope * spread), float(slope / spread)


def _newton(x: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset minimising the cross-entropy of ``sigmoid(slope * x + offset)``; damped Newton steps."""
    beta = np.array([1.0, 0.0])
    design = np.stack([x, np.ones_like(x)], axis=1)
    loss = _loss(design @ beta, target)
    for _ in range(100):
        # tanh, because exp overflows for margins far outside.
        p = 0.5 * (1 + np.tanh(design @ beta / 2))
        gradient = design.T @ (p - target)
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10 and _loss(design @ (beta - size * step), target) > loss:
            size /= 2
        beta = beta - size * step
        previous, loss = loss, _loss(design @ beta, target)
        if np.abs(size * step).max() < 1e-10 or previous - loss < 1e-14 * max(1.0, abs(loss)):
            break
    return float(beta[0]), float(beta[1])


def _loss(z: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    return float(np.sum(np.logaddexp(0.0, z) - target * z))
