"""Where a module sees its class: parts that add up to its margin, or its gradient, held to finite differences."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest

import modhub
from modhub.engine.run.masks import mask_tensors, masking
from modhub.engine.run.network import Network, preprocess
from modhub.engine.seen import map_place
from modhub.package.decomposition import Decomposition
from modhub.package.module import Module
from tests.oracle.forward import forward
from tests.small_origins import bar_modules, bars, decomposed, fitted_model, with_random_masks


def averaged_features(image: Any) -> Any:
    """Two convolutions with a shortcut, averaged over all positions, as a residual network ends."""
    layers = keras.layers
    x = layers.Conv2D(7, 3, padding="same", activation="relu", name="stem")(image)
    y = layers.Conv2D(7, 3, padding="same", name="conv")(x)
    x = layers.ReLU(name="last")(layers.Add(name="add")([x, y]))
    return layers.Flatten(name="flatten")(layers.AveragePooling2D(4, name="pool")(x))


@cache
def averaged() -> Decomposition:
    return decomposed(fitted_model(bars(), averaged_features, seed=3), bars(), "lines/averaged")


@pytest.mark.parametrize("row", [0, 7, 31])
@pytest.mark.parametrize("is_masked", [False, True])
def test_where_averages_lead_to_the_head_the_parts_add_up_to_the_margin(row: int, is_masked: bool) -> None:
    """And each is what the class activation map is by definition: the last map times the head's weights."""
    modules = averaged().modules
    if is_masked:
        modules = tuple(with_random_masks(each, seed) for seed, each in enumerate(modules))
    image = bars().x[row]
    explanation = modhub.explain(modhub.compose(list(modules)), image)
    for said, module in zip(explanation.modules, modules, strict=True):
        seen = said.seen
        assert seen is not None
        assert (seen.layer, seen.is_exact, seen.parts.shape) == ("last", True, (8, 8))
        assert float(seen.parts.sum()) + seen.bias == pytest.approx(said.module_margin, abs=1e-4)
        pixels = image.astype(np.float32) * np.float32(module.origin.contract.rescale)
        outputs = forward(module.origin.architecture, module.origin.weights, pixels, module.keep)
        # Averages of 4 x 4 positions, flattened in C order: each feature belongs to one quarter and channel.
        weights = module.head.margin_kernel.reshape(2, 2, 7).repeat(4, axis=0).repeat(4, axis=1) / 16
        expected = (outputs["last:0" if "last:0" in outputs else "last"] * weights).sum(axis=2)
        np.testing.assert_allclose(seen.parts, expected, atol=1e-4)


def parts_by_differences(module: Module, image: np.ndarray, step: float = 1e-2) -> np.ndarray:
    """How the margin changes when one position of the last map grows and shrinks by a share of itself."""
    origin = module.origin
    network, place = Network(origin.architecture, origin.weights), map_place(origin.architecture)
    assert place is not None
    keep = masking(mask_tensors(module.keep, module.keep))
    found: dict[str, np.ndarray] = {}

    def visit(call: str, output: Any) -> Any:
        output = keep(call, output)
        found[call] = keras.ops.convert_to_numpy(output)
        return output

    network.run(preprocess(image[None], origin.contract), visit)
    values = found[place.call]

    def margins(maps: np.ndarray) -> np.ndarray:
        after = network.advance({place.call: maps}, keep, start=place.position + 1)
        return module.head.margins(keras.ops.convert_to_numpy(after[origin.architecture.features]))

    rows, columns = values.shape[1:3]
    changed = np.repeat(values, 2 * rows * columns, axis=0).reshape(2, rows, columns, *values.shape[1:])
    for row in range(rows):
        for column in range(columns):
            changed[0, row, column, row, column] *= 1 + step
            changed[1, row, column, row, column] *= 1 - step
    above, below = margins(changed.reshape(-1, *values.shape[1:])).reshape(2, rows, columns)
    return (above - below) / (2 * step)


@pytest.mark.parametrize("row", [1, 12, 40])
def test_elsewhere_the_parts_are_the_gradient_times_the_map(row: int) -> None:
    modules = [with_random_masks(each, seed) for seed, each in enumerate(bar_modules().modules)]
    explanation = modhub.explain(modhub.compose(modules), bars().x[row])
    for said, module in zip(explanation.modules, modules, strict=True):
        assert said.seen is not None
        assert (said.seen.layer, said.seen.is_exact) == ("stem", False)
        # The step may turn a hidden unit on or off, which the gradient does not know of.
        expected = parts_by_differences(module, bars().x[row])
        far = np.abs(said.seen.parts - expected) > 2e-2 * max(1.0, float(np.abs(expected).max()))
        assert far.mean() < 0.1


def test_a_network_without_a_map_says_nothing_of_where() -> None:
    features = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(24, activation="relu", name="hidden")])
    flat = decomposed(fitted_model(bars(), features, seed=5), bars(), "lines/flat")
    explanation = modhub.explain(flat.modules, bars().x[0])
    assert [said.seen for said in explanation.modules] == [None] * 3
    assert explanation.to_dict()["modules"][0]["seen"] is None
