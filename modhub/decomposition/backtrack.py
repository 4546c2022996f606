"""Backtracking: from head units that speak against the class back to the nodes that only they read.

Walks the tensors from the features to the image. An element of a tensor is *dead* when every consumer says that it
does not read it, or no longer; at a site, what is dead leaves the mask, and what the mask lacks is dead to whatever
came before. Masks change only at sites. ``last-conv`` (MC-BLC) stops at convolutions: what a convolution reads stays
alive. ``input`` (MC-BI) passes them: an input element goes when it is read by at least one output element and all that
read it are dead. Source: docs/algorithm.md, the two sections on backtracking; Pan & Rajan 2022, section 3.5 and
Algorithms 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.windows import ever_read, read_by
from modhub.package.module import Head, Masks, Weights
from modhub.spec.architecture import Architecture, Call, shapes_of
from modhub.spec.layer_record import LayerRecord, Shape
from modhub.spec.layers import Conv2D, Dense, Pooling2D
from modhub.spec.manifest import Delta, Rule
from modhub.spec.rearrangements import Concatenate

Dead = NDArray[np.bool_]


def backtracked(
    architecture: Architecture,
    weights: Weights,
    head: Head,
    keep: Masks,
    *,
    backtrack: Literal["last-conv", "input"],
    rule: Rule,
    delta: Delta,
) -> dict[str, NDArray[np.bool_]]:
    """The masks ``keep`` less what backtracking removes, by site id."""
    walk = _Walk(architecture, weights, through_convolutions=backtrack == "input", rule=rule, delta=delta)
    return walk.run(dead_features(head, rule, delta), keep)[0]


def unread_tensors(architecture: Architecture, weights: Weights, keep: Masks) -> dict[str, Dead]:
    """For every call, the elements of its output that reach the features through no node of ``keep``."""
    walk = _Walk(architecture, weights, through_convolutions=True, rule="text", delta=0.0)
    return walk.run(np.zeros(walk.shapes[architecture.features], bool), keep)[1]


def threshold_of(delta: Delta, weights: NDArray[np.float32]) -> float:
    """``delta`` as a number: itself, or for ``"q95"`` the 0.95 quantile of the absolute weights that are compared."""
    if isinstance(delta, str):
        return float(np.quantile(np.abs(weights), float(delta[1:]) / 100))
    return float(delta)


def dead_features(head: Head, rule: Rule, delta: Delta) -> Dead:
    """Which penultimate features speak against the class, shape (features,).

    ``text``: ``w_uc >= delta and w_c <= -delta``; ``printed`` (Algorithm 2): both signs the other way. A quantile is
    taken for each of the two columns alone, because the unconcerned one, a mean, is smaller by its nature.
    """
    concerned, unconcerned = head.kernel[:, 0], head.kernel[:, 1]
    at_c, at_uc = threshold_of(delta, concerned), threshold_of(delta, unconcerned)
    if rule == "text":
        return np.asarray((unconcerned >= at_uc) & (concerned <= -at_c))
    return np.asarray((unconcerned <= -at_uc) & (concerned >= at_c))


class _Walk:
    def __init__(
        self, architecture: Architecture, weights: Weights, *, through_convolutions: bool, rule: Rule, delta: Delta
    ) -> None:
        self.architecture = architecture
        self.weights = weights
        self.through_convolutions = through_convolutions
        self.rule = rule
        self.delta = delta
        self.shapes = shapes_of(architecture)

    def run(self, features: Dead, keep: Masks) -> tuple[dict[str, NDArray[np.bool_]], dict[str, Dead]]:
        """The masks that are left, and what is dead in every call's output."""
        readers = self.architecture.consumers()
        dead: dict[str, Dead] = {}
        kept = {site: mask.copy() for site, mask in keep.items()}
        for call in reversed(self.architecture.calls):
            verdicts = [features] if call.id == self.architecture.features else []
            for reader in readers[call.id]:
                verdicts += self._unread(reader, call.id, dead[reader.id])
            gone: Dead = np.logical_and.reduce(verdicts)
            if call.id in kept:
                kept[call.id] &= ~gone
                gone = ~kept[call.id]
            dead[call.id] = gone
        return kept, dead

    def _unread(self, reader: Call, tensor: str, dead: Dead) -> list[Dead]:
        """What ``reader`` no longer reads of ``tensor``, one verdict for each time that it stands among its inputs."""
        layer = self.architecture.layer_of(reader)
        shape = self.shapes[tensor]
        if isinstance(layer, Concatenate):
            return self._slices(reader, layer, tensor, dead)
        if layer.reads == "merge":
            return [_dead_for(shape, dead)]
        return [self._unread_by(layer, reader, shape, dead)]

    def _slices(self, reader: Call, layer: Concatenate, tensor: str, dead: Dead) -> list[Dead]:
        result, start = [], 0
        for source in reader.inputs:
            stop = start + self.shapes[source][layer.axis]
            if source == tensor:
                result.append(np.take(dead, range(start, stop), axis=layer.axis))
            start = stop
        return result

    def _unread_by(self, layer: LayerRecord, reader: Call, shape: Shape, dead: Dead) -> Dead:
        if isinstance(layer, Conv2D):
            return self._unread_by_conv(layer, shape, dead)
        if isinstance(layer, Dense):
            return self._unread_by_dense(reader, dead)
        if isinstance(layer, Pooling2D):
            return _all_readers_dead(layer, shape, dead)
        if layer.reads == "reduction":
            return np.broadcast_to(dead.reshape(1, 1, -1), shape)
        if layer.reads == "rearrangement":
            return _unread_before(layer, shape, dead)
        if layer.reads == "elementwise":
            return dead
        return np.full(shape, bool(dead.all()))

    def _unread_by_conv(self, layer: Conv2D, shape: Shape, dead: Dead) -> Dead:
        if not self.through_convolutions:
            return np.zeros(shape, bool)
        rows, columns, filters = dead.shape
        by_group: Dead = np.asarray(dead.reshape(rows, columns, layer.groups, filters // layer.groups).all(axis=3))
        groups = (*shape[:2], layer.groups)
        return np.repeat(_all_readers_dead(layer, groups, by_group), shape[2] // layer.groups, axis=2)

    def _unread_by_dense(self, reader: Call, dead: Dead) -> Dead:
        kernel = self.weights[f"{reader.layer}/kernel"]
        delta = threshold_of(self.delta, kernel)
        if self.rule == "printed":
            gone = (kernel <= -delta).all(axis=1)
            return np.broadcast_to(gone, (*dead.shape[:-1], kernel.shape[0]))
        connected = np.abs(kernel) >= delta
        alive = (~dead).astype(np.int64) @ connected.T.astype(np.int64)
        return np.asarray(connected.any(axis=1) & (alive == 0))


def _all_readers_dead(layer: Conv2D | Pooling2D, shape: Shape, dead: Dead) -> Dead:
    """Positions of ``shape`` that at least one window reads, all windows that read them being dead."""
    return ever_read(layer, shape, dead.shape) & ~read_by(layer, shape, ~dead)


def _dead_for(shape: Shape, dead: Dead) -> Dead:
    """What is dead of an input of ``shape``, whose axes of length 1 are repeated where the output has ``dead``."""
    repeated = tuple(axis for axis, extent in enumerate(shape) if extent == 1 < dead.shape[axis])
    return np.asarray(dead.all(axis=repeated, keepdims=True)) if repeated else dead


def _unread_before(layer: LayerRecord, shape: Shape, dead: Dead) -> Dead:
    """Elements of ``shape`` that the rearranged output has, only at places that are dead."""
    places = layer.arranged(np.arange(prod(shape), dtype=np.int64).reshape(shape)).ravel()
    read, alive = np.zeros((2, prod(shape)), bool)
    own = places >= 0
    read[places[own]] = True
    alive[places[own & ~dead.ravel()]] = True
    return np.asarray((read & ~alive).reshape(shape))


def removed_counts(before: Masks, after: Masks) -> tuple[int, ...]:
    """Nodes that each site lost, in the order of ``before``."""
    return tuple(int(before[site].sum() - after[site].sum()) for site in before)


def total(masks: Mapping[str, NDArray[np.bool_]]) -> int:
    """All nodes that the masks keep."""
    return sum(int(mask.sum()) for mask in masks.values())
