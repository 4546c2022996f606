"""Gradients of a number with respect to tensors, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras, ops

#: A function of tensors by name to a number (a tensor without axes).
ToNumber = Callable[[Mapping[str, Any]], Any]


def gradients_at(function: ToNumber, points: Mapping[str, Any]) -> dict[str, Any]:
    """``d function / d point`` at each of ``points``, tensors by name; zeros for one that the number does not need."""
    return _BY_BACKEND[keras.backend.backend()](function, dict(points))


def gradient(function: Callable[[Any], Any], at: NDArray[np.float32]) -> NDArray[np.float32]:
    """``d function(x) / d x`` at the array ``at``, of its shape; ``function`` takes a tensor and gives a scalar one."""
    found = gradients_at(lambda points: function(points["x"]), {"x": ops.convert_to_tensor(at)})
    return np.asarray(ops.convert_to_numpy(found["x"]), np.float32)


def _by_tensorflow(function: ToNumber, points: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf  # one backend of three is installed, maybe

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(points)
        result = function(points)
    found: dict[str, Any] = tape.gradient(result, points, unconnected_gradients="zero")
    return found


def _by_jax(function: ToNumber, points: dict[str, Any]) -> dict[str, Any]:
    import jax

    found: dict[str, Any] = jax.grad(function)(points)
    return found


def _by_torch(function: ToNumber, points: dict[str, Any]) -> dict[str, Any]:
    import torch

    with torch.enable_grad():
        leaves = {name: value.requires_grad_() for name, value in points.items()}
        result = function(leaves)
        found = torch.autograd.grad(result, list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if each is None else each
        for (name, leaf), each in zip(leaves.items(), found, strict=True)
    }


_BY_BACKEND = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}
