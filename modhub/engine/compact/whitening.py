"""Adam in coordinates in which what a layer reads is white: fewer steps to the same error.

A layer that reads x with the second moments ``G = E[xx']`` moves its outputs most along the few directions in which x
is large. With ``G / mean(diag(G)) + damping = LL'`` and ``w = inverse(L') u`` the steps are taken in u, where all
directions count alike: the input's side of a Kronecker-factored curvature (Martens and Grosse, 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.channels import is_contraction
from modhub.compaction.patches import drawn_positions, patches_at
from modhub.engine.compact.observing import tensors_of
from modhub.engine.library import keras, ops
from modhub.engine.run.network import Network
from modhub.spec.architecture import HEAD, Call
from modhub.spec.input_contract import InputContract

_Singles = NDArray[np.float32]

_POSITIONS: Final = 20
_DAMPING: Final = 0.01
#: Layers that read more numbers than these keep their coordinates: the factor of a layer takes the third power of it.
_MOST_INPUTS: Final = 2048


def input_factors(
    network: Network, contract: InputContract, images: NDArray[Any], *, seed: int = 0
) -> dict[str, _Singles]:
    """``inverse(L')`` (d, d) by layer, and of the head, from what they read of raw ``images`` (n, ...)."""
    architecture = network.architecture
    calls = [
        call
        for call in architecture.calls
        if is_contraction(architecture.layer_of(call), network.shapes[call.inputs[0]])
        and _inputs(network, call) <= _MOST_INPUTS
    ]
    positions = {
        call.id: drawn_positions(call.id, network.shapes[call.id], len(images), _POSITIONS, seed) for call in calls
    }
    moments: dict[str, Any] = {}
    fetched = [*dict.fromkeys([*(call.inputs[0] for call in calls), architecture.features])]
    for part, found in tensors_of(network, contract, images, fetched):
        read = [(HEAD, found[architecture.features])]
        for call in calls:
            shape = network.shapes[call.id]
            columns = shape[1] if len(shape) == 3 else 1
            own = positions[call.id][part]
            read.append((call.layer, patches_at(architecture.layer_of(call), found[call.inputs[0]], own, columns)))
        for name, rows in read:
            moments[name] = moments.get(name, 0) + rows.T @ rows
    return {name: _factor(moment.astype(np.float64)) for name, moment in moments.items() if len(moment) <= _MOST_INPUTS}


def _inputs(network: Network, call: Call) -> int:
    source = network.shapes[call.inputs[0]]
    return prod(network.architecture.layer_of(call).weight_shapes(source)["kernel"][:-1])


def _factor(moment: NDArray[np.float64]) -> _Singles:
    relative = moment / max(float(np.trace(moment)) / len(moment), 1e-12)
    lower = np.linalg.cholesky(relative + _DAMPING * np.eye(len(moment)))
    return np.asarray(np.linalg.inv(lower).T, np.float32)


class WhitenedAdam(keras.optimizers.Adam):
    """Adam whose steps of each variable (d..., outputs) are taken in the coordinates of its factor (d, d), or as they
    are where it has None; ``factors`` are in the order of the variables."""

    def __init__(self, factors: Sequence[_Singles | None]) -> None:
        super().__init__(0.0)
        self._factors = tuple(factors)

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """Take one step; as of the base class."""
        variables = list(self._trainable_variables if trainable_variables is None else trainable_variables)
        before = [None if factor is None else ops.copy(each.value) for each, factor in self._paired(variables)]
        turned = [
            grad if factor is None else _times(factor.T, grad)
            for grad, factor in zip(grads, self._factors, strict=True)
        ]
        iteration = super().apply(turned, variables)
        for (variable, factor), old in zip(self._paired(variables), before, strict=True):
            if factor is not None:
                variable.assign(old + _times(factor, variable.value - old))
        return iteration

    def _paired(self, variables: Sequence[Any]) -> list[tuple[Any, _Singles | None]]:
        return list(zip(variables, self._factors, strict=True))


def _times(factor: _Singles, tensor: Any) -> Any:
    return ops.reshape(ops.matmul(factor, ops.reshape(tensor, (factor.shape[0], -1))), tensor.shape)
