"""Refits on networks of many kinds of layer: what was thinned explains more of the logits than it did unfitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from modhub.compaction.cutting import Structure, cut
from modhub.compaction.selecting import STRATEGIES, Goal
from modhub.engine.compact.compacting import Compactor, whole_of
from modhub.engine.compact.observing import network_logits
from modhub.engine.compact.refit import RefitSettings
from modhub.engine.read.inputs import trained_contract
from modhub.engine.read.reader import read_model
from modhub.engine.run.network import Network
from tests.thinning import spread

L = keras.layers


def normalised(x: Any, filters: int, **options: Any) -> Any:
    x = L.Conv2D(filters, 3, padding="same", use_bias=False, **options)(x)
    return L.ReLU()(L.BatchNormalization()(x))


def inverted(x: Any) -> Any:
    """MobileNet's block, with squeeze and excitation."""
    wide = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(16, 1, use_bias=False)(x)))
    deep = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(wide)))
    gate = L.GlobalAveragePooling2D(keepdims=True)(deep)
    gate = L.Conv2D(16, 1, activation="sigmoid")(L.Conv2D(4, 1, activation="swish")(gate))
    return L.Add()([x, L.BatchNormalization()(L.Conv2D(8, 1, use_bias=False)(L.Multiply()([deep, gate])))])


def projected(x: Any) -> Any:
    """A residual block whose skip is a convolution: both are fitted with their sum."""
    branch = L.Conv2D(12, 3, padding="same")(normalised(x, 12, strides=2))
    return L.ReLU()(L.Add()([L.Conv2D(12, 1, strides=2)(x), branch]))


def joined(x: Any) -> Any:
    return L.Concatenate()([normalised(x, 6), L.MaxPooling2D(3, 1, "same")(x), normalised(normalised(x, 8), 6)])


def before_activation(x: Any) -> Any:
    """The second kind of residual block: normalisation and ReLU come first, and the sum has no ReLU."""
    y = L.Conv2D(8, 3, padding="same")(L.ReLU()(L.BatchNormalization()(x)))
    return L.Add()([x, L.Conv2D(8, 3, padding="same")(L.ReLU()(L.BatchNormalization()(y)))])


BODIES: dict[str, Callable[[Any], Any]] = {
    "depthwise": lambda x: inverted(inverted(x)),
    "projected": lambda x: projected(normalised(x, 10)),
    "concatenated": lambda x: joined(joined(x)),
    "pre-activation": lambda x: L.ReLU()(before_activation(before_activation(x))),
    "chain": lambda x: L.Dense(24, activation="relu")(L.Flatten()(L.MaxPooling2D()(normalised(normalised(x, 12), 10)))),
}


def compactor(body: Callable[[Any], Any]) -> Compactor:
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (480, 8, 8, 3)).astype(np.float32)
    images += 60 * np.random.default_rng(1).normal(size=(480, 1, 1, 3)).astype(np.float32)
    given = keras.Input((8, 8, 3))
    x = body(L.Conv2D(8, 3, padding="same", activation="relu")(given))
    x = L.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    reading = read_model(keras.Model(given, L.Dense(4)(x)))
    contract = trained_contract(images, reading.architecture.input_shape, rescale=1 / 255, mean=None, std=None)
    return Compactor(whole_of(reading.architecture, reading.weights, contract, images[:400], images[400:]))


@pytest.mark.parametrize("name", BODIES)
def test_a_refit_explains_more_than_the_old_weights(name: str) -> None:
    made = compactor(BODIES[name])
    goal = Goal("flops", 0.75)
    for structure in list(STRATEGIES["channels"](made.statistics, goal))[:1] or [Structure(frozenset(), {})]:
        found = made.refitted(structure, RefitSettings(images=400, positions=16, rounds=4))
        whole, statistics = made.whole, made.statistics
        architecture, weights = cut(
            whole.architecture, whole.weights, statistics.channels, statistics.blocks, structure
        )
        assert found.costs.flops < made.costs.flops
        assert found.explained > made.explained(architecture, weights)
        assert found.explained > 0.3


@pytest.mark.parametrize("name", spread(["projected", "pre-activation"], 1))
def test_nothing_is_changed_where_nothing_is_removed(name: str) -> None:
    made = compactor(BODIES[name])
    found = made.refitted(Structure(frozenset(), {}), RefitSettings(images=60))
    whole = made.whole
    assert found.weights.keys() == whole.weights.keys()
    for part, value in whole.weights.items():
        np.testing.assert_array_equal(found.weights[part], value)
    given = network_logits(Network(found.architecture, found.weights), found.weights, whole.contract, whole.held_out)
    np.testing.assert_allclose(given, network_logits(made.network, whole.weights, whole.contract, whole.held_out))
