"""How distinct a module is from its origin: two Jaccard indices, lower is more distinct.

Over nodes (docs/algorithm.md, Jaccard index): A, kept by the module; B, active in the origin for any observed input;
all elements of all sites together. Over weights (the 2020 work of Pan & Rajan): the share of the origin's non-zero
weights that the module still uses, a weight being used when it joins a channel that still carries something to one that
is still read.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.backtrack import unread_tensors
from modhub.package.module import Masks, Weights
from modhub.spec.architecture import INPUT, Architecture, shapes_of
from modhub.spec.layer_record import LayerRecord, Shape
from modhub.spec.layers import Conv2D, Dense, Pooling2D
from modhub.spec.rearrangements import Concatenate


def jaccard(kept: Masks, active: Masks) -> float:
    """``|A and B| / |A or B|`` over the elements of all sites; 1.0 when both are empty."""
    both = sum(int((kept[site] & active[site]).sum()) for site in active)
    either = sum(int((kept[site] | active[site]).sum()) for site in active)
    return both / either if either else 1.0


class UsedWeights:
    """How many of an origin's weights a module uses. Of the kernels only counts are needed, made once for all modules.

    ``weights`` are the origin's, kernels float32 (..., inputs, outputs).
    """

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        self._architecture, self._weights = architecture, weights
        names = {call.layer for call in architecture.calls if isinstance(architecture.layer_of(call), (Conv2D, Dense))}
        # Kernel entries that are not zero, by channel read and channel written: (inputs of a group, outputs).
        self._counts = {name: _nonzero(weights[f"{name}/kernel"]) for name in names}
        self._all = sum(int(counts.sum()) for counts in self._counts.values())

    def share(self, kept: Masks) -> float:
        """Non-zero weights that the module uses over the origin's non-zero weights, kernels only; 1.0 without any."""
        architecture = self._architecture
        carries = _carrying_channels(architecture, kept)
        unread = unread_tensors(architecture, self._weights, kept)
        used: dict[str, NDArray[np.bool_]] = {}
        for call in architecture.calls:
            if call.layer not in self._counts:
                continue
            layer, dead = architecture.layer_of(call), unread[call.id]
            sources, targets = carries[call.inputs[0]], ~np.asarray(dead.reshape(-1, dead.shape[-1]).all(axis=0))
            if isinstance(layer, Conv2D) and layer.groups > 1:
                per_group = sources.reshape(layer.groups, -1).repeat(len(targets) // layer.groups, axis=0)
                joined = per_group.T & targets
            else:
                joined = sources[:, None] & targets[None, :]
            used[call.layer] = used[call.layer] | joined if call.layer in used else joined
        after = sum(int(self._counts[name][joined].sum()) for name, joined in used.items())
        return after / self._all if self._all else 1.0


def _nonzero(kernel: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(np.count_nonzero(kernel.reshape(-1, *kernel.shape[-2:]), axis=0))


def _carrying_channels(architecture: Architecture, kept: Masks) -> dict[str, NDArray[np.bool_]]:
    """For every tensor, which entries of its last axis still carry something at any position."""
    shapes = shapes_of(architecture)
    # A flattened tensor mixes positions into its channels, so whole tensors are followed and channels read off last.
    carries: dict[str, NDArray[np.bool_]] = {INPUT: np.ones(shapes[INPUT], bool)}
    for call in architecture.calls:
        layer, shape = architecture.layer_of(call), shapes[call.id]
        inputs = [carries[source] for source in call.inputs]
        tensor = _carried(layer, inputs, shape)
        carries[call.id] = tensor & kept[call.id] if call.id in kept else tensor
    return {name: np.asarray(tensor.reshape(-1, tensor.shape[-1]).any(axis=0)) for name, tensor in carries.items()}


def _carried(layer: LayerRecord, inputs: list[NDArray[np.bool_]], shape: Shape) -> NDArray[np.bool_]:
    """Which elements of the output, of ``shape``, carry something when those of ``inputs`` do."""
    first = inputs[0]
    if isinstance(layer, Concatenate):
        return np.concatenate(inputs, axis=layer.axis)
    if layer.reads == "merge":
        # A product with nothing is nothing; of all other merges one input is enough.
        combine = np.logical_and if getattr(layer, "kind", "") == "multiply" else np.logical_or
        return np.broadcast_to(reduce(combine, inputs), shape)
    if layer.reads == "elementwise":
        return first
    if layer.reads == "rearrangement":
        places = layer.arranged(np.arange(first.size, dtype=np.int64).reshape(first.shape))
        return np.asarray((places >= 0) & first.ravel()[places])
    if layer.reads == "reduction" or isinstance(layer, Pooling2D):
        return first if first.shape == shape else np.broadcast_to(first.any(axis=(0, 1)), shape)
    return np.full(shape, isinstance(layer, Conv2D | Dense) or bool(first.any()))
