"""Gradients of a network's answers with respect to tensors inside it, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modhub.engine.library import keras, ops

#: A function of tensors that are added inside a network, by call, to a number (a tensor without axes).
Perturbed = Callable[[Mapping[str, Any]], Any]


def gradients_at(total: Perturbed, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """d total / d a for each tensor a, by name: ``total`` gets zeros of these shapes to add to them."""
    zeros = {name: ops.zeros(tuple(shape), "float32") for name, shape in shapes.items()}
    return _METHODS[keras.backend.backend()](total, zeros)


def _by_tensorflow(total: Perturbed, zeros: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf  # one backend of three is installed, maybe

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(zeros)
        result = total(zeros)
    found: dict[str, Any] = tape.gradient(result, zeros, unconnected_gradients="zero")
    return found


def _by_jax(total: Perturbed, zeros: dict[str, Any]) -> dict[str, Any]:
    import jax

    found: dict[str, Any] = jax.grad(total)(zeros)
    return found


def _by_torch(total: Perturbed, zeros: dict[str, Any]) -> dict[str, Any]:
    import torch

    with torch.enable_grad():
        leaves = {name: value.requires_grad_() for name, value in zeros.items()}
        result = total(leaves)
        found = torch.autograd.grad(result, list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }


_METHODS = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}
