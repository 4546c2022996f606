"""What a network's logits change by, to first order, when some of its layers give something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from modhub.engine.compact.observing import batch_size
from modhub.engine.gradients import gradients_at
from modhub.engine.library import ops
from modhub.engine.run.compiled import compiled, to_numpy
from modhub.engine.run.network import Network, preprocess
from modhub.package.module import Weights
from modhub.spec.architecture import HEAD, INPUT
from modhub.spec.input_contract import InputContract

_Singles = NDArray[np.float32]

#: Tensors of the size of an output that are held for each output whose gradient is taken.
_HELD: Final = 4


class LayerChange(Protocol):
    """What is added to the output of the call ``at``, or to the logits where that is ``HEAD``."""

    @property
    def at(self) -> str: ...

    def added(self, tensors: Mapping[str, Any]) -> Any:
        """(n, ...), of the network's tensors by call for n images, and ``input``."""


@dataclass(frozen=True, eq=False)
class Directions:
    """For each image numbers r (images, classes), drawn from N(0, 1) and centred over the classes: the mean square of
    r.d is the mean squared length of a change d of centred logits."""

    of_logits: _Singles
    of_features: _Singles

    def taken(self, part: slice) -> Directions:
        return Directions(self.of_logits[part], self.of_features[part])


def drawn_directions(weights: Weights, images: int, seed: int) -> Directions:
    """Directions, and the gradient (images, features) of r.z by the features, z being the logits."""
    kernel = np.asarray(weights["head/kernel"], np.float32)
    drawn = np.random.default_rng([seed, 1]).standard_normal((images, kernel.shape[1])).astype(np.float32)
    drawn -= drawn.mean(axis=1, keepdims=True)
    return Directions(drawn, np.asarray(drawn @ kernel.T))


def first_order_losses(
    network: Network,
    weights: Weights,
    contract: InputContract,
    images: NDArray[Any],
    changes: Mapping[str, Sequence[LayerChange]],
    seed: int,
) -> dict[str, float]:
    """For each name the mean over images of ``(sum over its changes of d(r.z)/da . e)^2``: ``a`` what a call gives,
    ``e`` what is added to it, r and z as in ``drawn_directions``.

    It is the mean squared distance that the logits move, to first order. Errors of one image's positions, and of
    several layers, are added up with their signs: mostly they are alike, and squares by themselves are too low.
    """
    if not changes:
        return {}
    places = dict.fromkeys(change.at for own in changes.values() for change in own if change.at != HEAD)
    shapes = {at: network.shapes[at] for at in places}

    def squares(batch: Any, of_logits: Any, of_features: Any, size: int) -> dict[str, Any]:
        prepared = preprocess(batch, contract)
        tensors: dict[str, Any] = {INPUT: prepared}

        def keep(call: str, output: Any) -> Any:
            tensors[call] = output
            return output

        network.run(prepared, keep)

        def total(added: Mapping[str, Any]) -> Any:
            def visit(call: str, output: Any) -> Any:
                return ops.add(output, added[call]) if call in added else output

            return ops.sum(ops.multiply(network.run(prepared, visit), of_features))

        gradients = gradients_at(total, {at: ops.zeros((size, *shape), "float32") for at, shape in shapes.items()})
        gradients[HEAD] = of_logits

        def moved(change: LayerChange) -> Any:
            product = ops.multiply(gradients[change.at], change.added(tensors))
            return ops.sum(ops.reshape(product, (size, -1)), axis=-1)

        return {name: ops.sum(ops.square(sum(map(moved, own)))) for name, own in changes.items()}

    directions = drawn_directions(weights, len(images), seed)
    sums = dict.fromkeys(changes, 0.0)
    size = min(batch_size([*shapes.values()] * _HELD), len(images))
    functions: dict[int, Any] = {}
    for start in range(0, len(images), size):
        part = slice(start, min(start + size, len(images)))
        count, own = part.stop - part.start, directions.taken(part)
        if count not in functions:
            functions[count] = compiled(lambda x, z, f, count=count: squares(x, z, f, count))
        for name, value in to_numpy(functions[count](images[part], own.of_logits, own.of_features)).items():
            sums[name] += float(value)
    return {name: value / len(images) for name, value in sums.items()}
