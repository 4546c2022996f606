"""What a network's tensors are for given images: all of some calls' outputs at once, or one call after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import ops
from modhub.engine.run.compiled import compiled, to_numpy
from modhub.engine.run.network import Network, preprocess
from modhub.limits import MIB
from modhub.package.module import Weights
from modhub.spec.architecture import INPUT
from modhub.spec.input_contract import InputContract

_Singles = NDArray[np.float32]

#: A batch is made so small that the tensors which are fetched of it take at most this much.
_BATCH_BYTES: Final = 192 * MIB
_MOST_IMAGES: Final = 250


def tensors_of(
    network: Network, contract: InputContract, images: NDArray[Any], calls: Sequence[str]
) -> Iterator[tuple[slice, dict[str, _Singles]]]:
    """The outputs (n, ...) of ``calls``, ``input`` being the images as preprocessed, by batches, with their slice."""
    wanted = frozenset(calls)

    def run(batch: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def visit(call: str, output: Any) -> Any:
            if call in wanted:
                found[call] = output
            return output

        prepared = preprocess(batch, contract)
        network.run(prepared, visit)
        return found | ({INPUT: prepared} if INPUT in wanted else {})

    function = compiled(run)
    size = batch_size([network.shapes[call] for call in wanted])
    for start in range(0, len(images), size):
        part = slice(start, min(start + size, len(images)))
        yield part, to_numpy(function(images[part]))


def batch_size(shapes: Sequence[tuple[int, ...]]) -> int:
    """How many images to run at a time where tensors of these shapes are fetched of each."""
    each = 4 * max(1, sum(prod(shape) for shape in shapes))
    return int(np.clip(_BATCH_BYTES // each, 1, _MOST_IMAGES))


def network_logits(network: Network, weights: Weights, contract: InputContract, images: NDArray[Any]) -> _Singles:
    """The logits (n, classes) of raw images by the network and the head among ``weights``."""
    features = np.concatenate(
        [
            found[network.architecture.features]
            for _, found in tensors_of(network, contract, images, [network.architecture.features])
        ]
    )
    return np.asarray(features @ weights["head/kernel"] + weights["head/bias"], np.float32)


def prepared_images(images: NDArray[Any], contract: InputContract) -> _Singles:
    """Raw images as the network takes them, on the host."""
    return np.asarray(ops.convert_to_numpy(preprocess(images, contract)), np.float32)


def run_call(network: Network, layer: str, takes_many: bool, inputs: Sequence[_Singles]) -> _Singles:
    """One call of a layer on the host's arrays (n, ...), in batches."""
    size = batch_size([inputs[0].shape[1:]])
    parts = []
    for start in range(0, len(inputs[0]), size):
        batch = [each[start : start + size] for each in inputs]
        parts.append(ops.convert_to_numpy(network.layers[layer].call(batch if takes_many else batch[0])))
    return np.concatenate(parts)


def weights_of(network_weights: Mapping[str, _Singles], layer: str) -> dict[str, _Singles]:
    """One layer's weights by their own names."""
    return {
        name.rpartition("/")[2]: value for name, value in network_weights.items() if name.rpartition("/")[0] == layer
    }
