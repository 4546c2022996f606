"""Sites, concern identification, tangling identification, heads and the Jaccard index, literally.

An observation holds, for every class and every observed input of it, which nodes of every tensor were above zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modhub.spec.architecture import Architecture
from tests.oracle.forward import Values, forward

Masks = dict[str, np.ndarray]


def sites(architecture: Architecture, observe: str) -> list[str]:
    """The calls whose outputs carry masks, in execution order."""
    return [call.id for call in architecture.calls if _is_site(architecture, call.id, observe)]


def _is_site(architecture: Architecture, tensor: str, observe: str) -> bool:
    producer = {call.id: call for call in architecture.calls}
    layer = architecture.layers[producer[tensor].layer]
    relu = layer.kind == "relu" or (layer.kind in ("conv2d", "dense") and layer.activation != "linear")
    if observe == "relu":
        return relu
    if layer.kind == "conv2d":
        return layer.activation != "linear" or _only_batch_normalization(architecture, tensor) is None
    if layer.kind == "batch_normalization":
        source = producer.get(producer[tensor].inputs[0])
        if source is None or architecture.layers[source.layer].kind != "conv2d":
            return False
        linear = architecture.layers[source.layer].activation == "linear"
        return linear and _only_batch_normalization(architecture, source.id) == tensor
    return relu and (layer.kind == "dense" or _fed_by_dense(architecture, tensor))


def _only_batch_normalization(architecture: Architecture, tensor: str) -> str | None:
    """The batch normalisation that alone reads ``tensor``, or None."""
    readers = [call for call in architecture.calls if tensor in call.inputs]
    if len(readers) == 1 and architecture.layers[readers[0].layer].kind == "batch_normalization":
        return readers[0].id
    return None


def _fed_by_dense(architecture: Architecture, tensor: str) -> bool:
    producer = {call.id: call for call in architecture.calls}
    source = producer.get(producer[tensor].inputs[0])
    while source is not None and architecture.layers[source.layer].kind in ("batch_normalization", "identity"):
        source = producer.get(source.inputs[0])
    return source is not None and architecture.layers[source.layer].kind == "dense"


@dataclass(frozen=True)
class Observation:
    """``inputs[k]``: the values of every tensor for each observed input of class k, in the order they were taken."""

    inputs: list[list[Values]]

    @property
    def counts(self) -> list[int]:
        return [len(values) for values in self.inputs]


def observe_inputs(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    orders: Sequence[Sequence[int]],
    samples_per_class: int,
) -> Observation:
    """Run the first ``samples_per_class`` inputs of every class, in the order ``orders[k]`` of its examples."""
    inputs = []
    for k, order in enumerate(orders):
        of_class = [n for n in range(len(labels)) if labels[n] == k]
        taken = [of_class[place] for place in order][:samples_per_class]
        inputs.append([forward(architecture, weights, images[n]) for n in taken])
    return Observation(inputs)


def active_in(observation: Observation, k: int, first: int, site: str) -> np.ndarray:
    """Per node of ``site``: was it above zero for one of the first ``first`` observed inputs of class ``k``?"""
    active = np.zeros(observation.inputs[0][0][site].shape, dtype=bool)
    for values in observation.inputs[k][:first]:
        for position in np.ndindex(active.shape):
            if values[site][position] > 0:
                active[position] = True
    return active


def concern(observation: Observation, c: int, sites: Sequence[str]) -> Masks:
    """Algorithm 1: the nodes active for any observed input of class ``c``."""
    return {site: active_in(observation, c, observation.counts[c], site) for site in sites}


def unconcerned_count(observation: Observation, c: int) -> int:
    """How many inputs of each other class stand against the inputs of ``c``, so that both sides weigh the same."""
    return max(1, observation.counts[c] // (len(observation.counts) - 1))


def tangle(observation: Observation, c: int, concern: Masks) -> Masks:
    """Algorithm 1, second half: the nodes of ``concern`` and those active for the unconcerned inputs."""
    first = unconcerned_count(observation, c)
    keep = {site: mask.copy() for site, mask in concern.items()}
    for k in range(len(observation.counts)):
        if k == c:
            continue
        for site, mask in keep.items():
            active = active_in(observation, k, first, site)
            for position in np.ndindex(mask.shape):
                if active[position]:
                    mask[position] = True
    return keep


def unconcerned_taken(observation: Observation, c: int) -> int:
    """The unconcerned inputs that tangling really found; classes with too few give what they have."""
    first = unconcerned_count(observation, c)
    return sum(min(first, count) for k, count in enumerate(observation.counts) if k != c)


def two_outputs(kernel: np.ndarray, bias: np.ndarray | None, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Modularising concerns: the head of class ``c``, columns concerned and unconcerned.

    ``kernel`` is (features, classes). A single column is a sigmoid's: the logit pair (0, z).
    """
    features, outputs = kernel.shape
    columns = [[float(kernel[i, j]) for i in range(features)] for j in range(outputs)]
    biases = [0.0 if bias is None else float(bias[j]) for j in range(outputs)]
    if outputs == 1:
        columns, biases = [[0.0] * features, columns[0]], [0.0, biases[0]]
    others = [j for j in range(len(columns)) if j != c]
    head = np.empty((features, 2))
    for i in range(features):
        head[i, 0] = columns[c][i]
        head[i, 1] = sum(columns[j][i] for j in others) / len(others)
    return head, np.array([biases[c], sum(biases[j] for j in others) / len(others)])


def jaccard(observation: Observation, keep: Masks) -> float | None:
    """|A and B| / |A or B| over the elements of all sites; A is kept, B active for any observed input.

    None when both are empty, where the index is not defined.
    """
    kept, active = set(), set()
    for site, mask in keep.items():
        for k, count in enumerate(observation.counts):
            found = active_in(observation, k, count, site)
            active |= {(site, position) for position in np.ndindex(mask.shape) if found[position]}
        kept |= {(site, position) for position in np.ndindex(mask.shape) if mask[position]}
    return len(kept & active) / len(kept | active) if kept | active else None
