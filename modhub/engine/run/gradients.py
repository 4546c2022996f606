"""The gradient of a number by an array, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras, ops


def gradient(function: Callable[[Any], Any], at: NDArray[np.float32]) -> NDArray[np.float32]:
    """``d function(x) / d x`` at the array ``at``, of its shape; ``function`` takes a tensor and gives a scalar one."""
    found = _BY_BACKEND[keras.backend.backend()](function, at)
    return np.asarray(ops.convert_to_numpy(found), np.float32)


def _by_tensorflow(function: Callable[[Any], Any], at: NDArray[np.float32]) -> Any:
    import tensorflow as tf  # one backend of three is installed, maybe

    point = tf.convert_to_tensor(at)
    with tf.GradientTape() as tape:
        tape.watch(point)
        value = function(point)
    return tape.gradient(value, point, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _by_jax(function: Callable[[Any], Any], at: NDArray[np.float32]) -> Any:
    import jax  # one backend of three is installed, maybe

    return jax.grad(function)(jax.numpy.asarray(at))


def _by_torch(function: Callable[[Any], Any], at: NDArray[np.float32]) -> Any:
    import torch  # one backend of three is installed, maybe

    with torch.enable_grad():
        point = ops.convert_to_tensor(at).requires_grad_(True)
        (found,) = torch.autograd.grad(function(point), point, allow_unused=True)
    return torch.zeros_like(point) if found is None else found.detach()


_BY_BACKEND = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}
