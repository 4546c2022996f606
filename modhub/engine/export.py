"""A plan as one keras.Model made of standard layers only, so that it loads in an interpreter without modhub.

Masks are frozen EinsumDense layers that multiply by a constant: a Lambda or a custom layer would need code to load.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from modhub.composition.plan import Plan
from modhub.engine.masked import equal_masks
from modhub.engine.network import Network
from modhub.manifest import InputContract
from modhub.module import Masks, Module

_AXES = "hwcd"


def to_keras(plan: Plan, *, name: str = "composite") -> keras.Model:
    """Raw images (N, H, W, C) to margins float32 (N, k), columns in the plan's order."""
    contract = plan.modules[0].origin.contract
    images = keras.Input(contract.shape, dtype="float32", name="images")
    columns: list[Any] = [None] * len(plan.members)
    for number, members in enumerate(plan.groups()):
        _add_origin(images, f"o{number}_", [plan.modules[column] for column in members], members, columns)
    margins = columns[0] if len(columns) == 1 else keras.layers.Concatenate(name="margins")(columns)
    return keras.Model(images, margins, name=name)


def _add_origin(images: Any, prefix: str, modules: list[Module], columns: list[int], outputs: list[Any]) -> None:
    origin = modules[0].origin
    network = Network(origin.architecture, origin.weights, prefix=prefix)
    x = _preprocessed(images, origin.contract, prefix)
    for number, group in enumerate(equal_masks(modules)):
        features = _masked(network, x, modules[group[0]].keep, f"{prefix}m{number}_")
        for position in group:
            head = modules[position].head
            dense = keras.layers.Dense(1, trainable=False, dtype="float32", name=f"margin_{columns[position]}")
            outputs[columns[position]] = dense(features)
            dense.set_weights([head.margin_kernel[:, None], np.array([head.margin_bias])])


def _preprocessed(images: Any, contract: InputContract, prefix: str) -> Any:
    """``(x * rescale - mean) / std`` as Rescaling layers."""
    x = images
    if contract.rescale != 1.0:
        x = keras.layers.Rescaling(contract.rescale, dtype="float32", name=f"{prefix}rescale")(x)
    if contract.mean is not None:
        offset = [-value for value in contract.mean]
        x = keras.layers.Rescaling(1.0, _plain(offset), dtype="float32", name=f"{prefix}mean")(x)
    if contract.std is not None:
        scale = [1.0 / value for value in contract.std]
        x = keras.layers.Rescaling(_plain(scale), dtype="float32", name=f"{prefix}std")(x)
    return x


def _plain(numbers: list[float]) -> Any:
    return numbers[0] if len(numbers) == 1 else numbers


def _masked(network: Network, images: Any, masks: Masks, prefix: str) -> Any:
    number = 0

    def visit(call: str, output: Any) -> Any:
        nonlocal number
        if call not in masks or (mask := masks[call]).all():
            return output
        number += 1
        return _mask_layer(mask, f"{prefix}mask{number}")(output)

    return network.run(images, visit)


def _mask_layer(mask: NDArray[np.bool_], name: str) -> keras.Layer:
    axes = _AXES[: mask.ndim]
    layer = keras.layers.EinsumDense(
        f"b{axes},{axes}->b{axes}", output_shape=mask.shape, trainable=False, dtype="float32", name=name
    )
    layer.build((None, *mask.shape))
    layer.set_weights([mask.astype(np.float32)])
    return layer
