"""The head of N classes becomes one of two outputs for each class (docs/algorithm.md, Modularising concerns)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modhub.package.module import Head

Floats = NDArray[np.float32]


def modular_head(kernel: Floats, bias: Floats, cls: int) -> Head:
    """The head of class ``cls``: concerned ``w_c, b_c``; unconcerned the mean of the other classes' columns.

    ``kernel`` (features, N), ``bias`` (N,). The mean is taken in float64, so that the order of classes does not matter.
    """
    others = np.arange(kernel.shape[1]) != cls
    columns = np.stack([kernel[:, cls], kernel[:, others].mean(axis=1, dtype=np.float64)], axis=1)
    biases = np.array([bias[cls], bias[others].mean(dtype=np.float64)])
    return Head(columns.astype(np.float32), biases.astype(np.float32))


def margins_from_logits(logits: Floats, cls: int) -> NDArray[np.float64]:
    """``m_c = z_c - mean of the others``, shape (inputs,), of logits (inputs, N): the modular head by linearity."""
    own = logits[:, cls].astype(np.float64)
    return np.asarray(own - (logits.sum(axis=1, dtype=np.float64) - own) / (logits.shape[1] - 1))
