"""An architecture in the form that compaction works on: batch normalisation is folded, activations stand apart.

What a convolution or dense layer gives before its activation is what a smaller network is fitted to, so activations
become calls of their own; and a batch normalisation behind such a layer becomes part of its weights, because one
regression then finds both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modhub.package.module import Weights
from modhub.spec.architecture import Architecture, Call
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import BatchNormalization, Conv2D, Dense, ReLU


def folded(architecture: Architecture, weights: Weights) -> tuple[Architecture, Weights]:
    """The same function with linear convolutions and dense layers, each with a bias, and without batch normalisation
    behind them.

    The output of a folded normalisation keeps its name where others read it. Weights are new arrays where they changed.
    Layers that are called more than once stay as they are.
    """
    readers = architecture.consumers()
    used: dict[str, int] = {}
    for call in architecture.calls:
        used[call.layer] = used.get(call.layer, 0) + 1
    layers: dict[str, LayerRecord] = {}
    calls: list[Call] = []
    renamed: dict[str, str] = {}
    values = {name: np.asarray(value) for name, value in weights.items() if name.startswith("head/")}
    skipped: set[str] = set()
    taken = {call.id for call in architecture.calls} | set(architecture.layers)
    for call in architecture.calls:
        if call.id in skipped:
            continue
        layer = architecture.layer_of(call)
        own = {key: weights[key] for key in weights if key.rpartition("/")[0] == call.layer}
        inputs = tuple(renamed.get(source, source) for source in call.inputs)
        if not isinstance(layer, Conv2D | Dense) or used[call.layer] > 1:
            layers[call.layer] = layer
            values |= own
            calls.append(call.model_copy(update={"inputs": inputs}))
            continue
        kernel, bias = _kernel_and_bias(call.layer, layer, weights)
        following = readers[call.id]
        if layer.activation == "linear" and len(following) == 1 and call.id != architecture.features:
            normal = architecture.layer_of(following[0])
            if isinstance(normal, BatchNormalization) and used[following[0].layer] == 1:
                scale, offset = scale_and_offset(normal, following[0].layer, weights)
                kernel, bias = kernel * scale, bias * scale + offset
                skipped.add(following[0].id)
                renamed[following[0].id] = call.id
        values |= {f"{call.layer}/kernel": _single(kernel), f"{call.layer}/bias": _single(bias)}
        layers[call.layer] = layer.model_copy(update={"activation": "linear", "use_bias": True})
        calls.append(call.model_copy(update={"inputs": inputs}))
        if layer.activation != "linear":
            name = _free(f"{call.id}_relu", taken)
            taken.add(name)
            layers[name] = ReLU(max_value=6.0 if layer.activation == "relu6" else None)
            calls.append(Call(id=name, layer=name, inputs=(call.id,)))
            renamed[call.id] = name
    features = renamed.get(architecture.features, architecture.features)
    return (
        architecture.model_copy(update={"layers": layers, "calls": tuple(calls), "features": features}),
        values,
    )


def scale_and_offset(
    layer: BatchNormalization, name: str, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a batch normalisation multiplies by and adds, (channels,) each."""
    mean, variance = (np.asarray(weights[f"{name}/{part}"], np.float64) for part in ("moving_mean", "moving_variance"))
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * weights[f"{name}/gamma"]
    offset = -mean * scale
    return scale, offset + weights[f"{name}/beta"] if layer.center else offset


def _kernel_and_bias(
    name: str, layer: Conv2D | Dense, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kernel = np.asarray(weights[f"{name}/kernel"], np.float64)
    bias = weights[f"{name}/bias"] if layer.use_bias else np.zeros(kernel.shape[-1])
    return kernel, np.asarray(bias, np.float64)


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)


def _free(name: str, taken: set[str]) -> str:
    number = 1
    wanted = name
    while wanted in taken:
        number += 1
        wanted = f"{name}_{number}"
    return wanted
