"""Which weights a module uses, beside a network of ones: what carries is positive, what is read has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from modhub.decomposition.jaccard import UsedWeights
from modhub.engine.run.network import Network
from modhub.package.module import Masks, Module
from modhub.spec.architecture import INPUT
from modhub.spec.layers import Conv2D, Dense
from tests.small_origins import quadrant_modules


def random_masks(module: Module, seed: int) -> dict[str, Any]:
    """Any nodes of a site, but whole channels where a pooling follows: what it lets through is per channel."""
    random, pooled = np.random.default_rng(seed), {"stem:0"}
    keep = {}
    for site, shape in module.keep.shapes.items():
        drawn = random.random(shape[-1:] if site in pooled else shape) < 0.5
        keep[site] = np.broadcast_to(drawn, shape).copy()
    return keep


def used_by_gradients(module: Module, masks: Masks, weights: dict[str, Any]) -> float:
    architecture = module.origin.architecture
    ones = {name: np.zeros_like(v) if name.endswith("/moving_mean") else np.ones_like(v) for name, v in weights.items()}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {INPUT: tf.ones((1, *architecture.input_shape))}

    with tf.GradientTape() as tape:

        def visit(call: str, output: Any) -> Any:
            before[call] = tf.identity(output)
            tape.watch(before[call])
            after[call] = before[call] * masks[call].astype(np.float32) if call in masks else before[call]
            return after[call]

        features = Network(architecture, ones).run(after[INPUT], visit)
        reached = tf.reduce_sum(features)
    gradients = tape.gradient(reached, before)
    used = total = 0
    for call in architecture.calls:
        if isinstance(architecture.layer_of(call), (Conv2D, Dense)):
            kernel = weights[f"{call.layer}/kernel"]
            carries = _by_channel(after[call.inputs[0]])
            read = _by_channel(0.0 if gradients[call.id] is None else gradients[call.id])
            for place in zip(*np.nonzero(kernel), strict=True):
                total += 1
                used += bool(carries[place[-2]] and read[place[-1]])
    return used / total


def _by_channel(tensor: Any) -> Any:
    values = np.asarray(tensor)
    return (values != 0).reshape(-1, values.shape[-1]).any(axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_as_by_gradients(seed):
    module = quadrant_modules().modules[seed % 4]
    masks, random = random_masks(module, seed), np.random.default_rng(seed)
    weights = {
        name: np.where(random.random(value.shape) < 0.2, 0, value).astype(np.float32) if "kernel" in name else value
        for name, value in module.origin.weights.items()
    }
    if seed > 2:
        # So that whole channels are neither fed nor read.
        masks = {site: mask & (random.random(mask.shape[-1]) < 0.4) for site, mask in masks.items()}
    share = UsedWeights(module.origin.architecture, weights).share(masks)
    assert share == used_by_gradients(module, masks, weights)
    assert 0 < share < 1


def test_a_whole_module_uses_all():
    module = quadrant_modules().modules[0]
    whole = {site: np.ones(shape, bool) for site, shape in module.keep.shapes.items()}
    assert UsedWeights(module.origin.architecture, module.origin.weights).share(whole) == 1.0
