"""A smaller architecture with smaller arrays: blocks and channels are gone, what stays has its old weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.blocks import Block
from modhub.compaction.channels import Channels, is_depthwise
from modhub.package.module import Weights
from modhub.spec.architecture import Architecture, Call, shapes_of
from modhub.spec.layer_record import LayerRecord, Shape
from modhub.spec.layers import Conv2D, Dense, Pooling2D, ReLU, Rescaling


@dataclass(frozen=True)
class Structure:
    """What is left of a network: ``dropped`` names the sums of blocks without their branches, ``kept`` gives for each
    thinned group, by name, which of its channels stay, bool (channels,)."""

    dropped: frozenset[str]
    kept: Mapping[str, NDArray[np.bool_]]


def without_blocks(architecture: Architecture, blocks: Iterable[Block]) -> Architecture:
    """The architecture with each block's sum replaced by its skip, and without ReLUs that change nothing then."""
    gone: set[str] = set()
    stands_for: dict[str, str] = {}
    for block in blocks:
        gone |= {block.sum, *block.calls}
        stands_for[block.sum] = block.skip
    bounded: dict[str, float | None] = {}
    calls: list[Call] = []
    for call in architecture.calls:
        if call.id in gone:
            continue
        inputs = tuple(_resolved(source, stands_for) for source in call.inputs)
        layer = architecture.layer_of(call)
        if isinstance(layer, ReLU) and _is_bounded(inputs[0], layer.max_value, bounded) and call.inputs != inputs:
            stands_for[call.id] = inputs[0]
            continue
        if isinstance(layer, ReLU):
            bounded[call.id] = layer.max_value
        elif isinstance(layer, Pooling2D) and inputs[0] in bounded:
            bounded[call.id] = bounded[inputs[0]]
        calls.append(call.model_copy(update={"inputs": inputs}))
    used = {call.layer for call in calls}
    return architecture.model_copy(
        update={
            "layers": {name: layer for name, layer in architecture.layers.items() if name in used},
            "calls": tuple(calls),
            "features": _resolved(architecture.features, stands_for),
        }
    )


def _resolved(name: str, stands_for: Mapping[str, str]) -> str:
    while name in stands_for:
        name = stands_for[name]
    return name


def _is_bounded(name: str, most: float | None, bounded: Mapping[str, float | None]) -> bool:
    """Whether a tensor is within 0 and ``most`` already."""
    if name not in bounded:
        return False
    own = bounded[name]
    return most is None or (own is not None and own <= most)


def cut(
    architecture: Architecture, weights: Weights, channels: Channels, blocks: Iterable[Block], structure: Structure
) -> tuple[Architecture, Weights]:
    """The network that ``structure`` leaves of a folded one, with the weights that stay, as new arrays.

    Its answers are those of the whole network with the removed channels set to 0 wherever they are read and with each
    dropped block's branch giving 0.
    """
    removed = removed_ids(channels, structure)
    smaller = without_blocks(architecture, [block for block in blocks if block.sum in structure.dropped])
    shapes = shapes_of(architecture)
    layers: dict[str, LayerRecord] = {}
    values: dict[str, NDArray[np.float32]] = {}
    for call in smaller.calls:
        if call.layer in layers:
            continue
        # The call in the smaller network may read the skip in place of a sum; both have the same channels.
        entering = ~np.isin(channels.of[call.inputs[0]], removed)
        leaving = ~np.isin(channels.of[call.id], removed)
        layer = smaller.layers[call.layer]
        own = {name.rpartition("/")[2]: weights[name] for name in weights if name.rpartition("/")[0] == call.layer}
        layers[call.layer], arrays = _cut_layer(layer, own, entering, leaving, shapes[call.inputs[0]])
        values |= {f"{call.layer}/{part}": array for part, array in arrays.items()}
    read = ~np.isin(channels.of[smaller.features], removed)
    values["head/kernel"] = np.asarray(weights["head/kernel"])[read]
    values["head/bias"] = np.asarray(weights["head/bias"])
    result = smaller.model_copy(update={"layers": layers})
    shapes_of(result)
    return result, {name: np.ascontiguousarray(value, np.float32) for name, value in values.items()}


def removed_ids(channels: Channels, structure: Structure) -> NDArray[np.int64]:
    """The channel classes that ``structure`` removes."""
    gone = [
        np.asarray(group.ids, np.int64)[~structure.kept[group.name]]
        for group in channels.groups
        if group.name in structure.kept
    ]
    return np.concatenate(gone) if gone else np.zeros(0, np.int64)


def _cut_layer(
    layer: LayerRecord,
    arrays: Mapping[str, NDArray[np.float32]],
    entering: NDArray[np.bool_],
    leaving: NDArray[np.bool_],
    input_shape: Shape,
) -> tuple[LayerRecord, dict[str, NDArray[np.float32]]]:
    """The record and weights of a layer that reads the channels ``entering`` and gives those ``leaving``."""
    count = int(leaving.sum())
    if isinstance(layer, Conv2D) and is_depthwise(layer, input_shape):
        smaller: LayerRecord = layer.model_copy(update={"filters": count, "groups": count})
        return smaller, {name: array[..., leaving] for name, array in arrays.items()}
    if isinstance(layer, Conv2D):
        kept = {"kernel": arrays["kernel"][:, :, entering if layer.groups == 1 else slice(None)][..., leaving]}
        return layer.model_copy(update={"filters": count}), kept | _rest(arrays, leaving)
    if isinstance(layer, Dense):
        return layer.model_copy(update={"units": count}), {
            "kernel": arrays["kernel"][entering][:, leaving],
            **_rest(arrays, leaving),
        }
    if isinstance(layer, Rescaling):
        numbers = {
            name: tuple(np.asarray(value)[entering].tolist()) if len(value) > 1 else value
            for name, value in (("scale", layer.scale), ("offset", layer.offset))
        }
        return layer.model_copy(update=numbers), {}
    return layer, {name: array[leaving] for name, array in arrays.items()}


def _rest(arrays: Mapping[str, NDArray[np.float32]], leaving: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    return {name: array[leaving] for name, array in arrays.items() if name != "kernel"}
