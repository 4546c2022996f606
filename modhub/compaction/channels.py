"""Which channels of a network stand and fall together, and which of them may go.

A channel of a convolution's output is followed through everything that keeps channels apart. Two that meet in a sum or
a product are one: a *channel class*. Classes made by the same layers form a *group*, out of which any may be removed,
together with all weights that write or read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from modhub.spec.architecture import INPUT, Architecture, shapes_of
from modhub.spec.layer_record import LayerRecord, Shape
from modhub.spec.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Elementwise,
    GlobalPooling2D,
    Identity,
    Normalization,
    Pooling2D,
    ReLU,
    Rescaling,
)
from modhub.spec.rearrangements import (
    Add,
    Concatenate,
    Cropping2D,
    Flatten,
    Merge,
    Permute,
    UpSampling2D,
    ZeroPadding2D,
)

_Ids = NDArray[np.int64]

#: Kinds whose output has the channels of their input, each made of that one alone.
_KEEPS_CHANNELS = (
    BatchNormalization,
    ReLU,
    Pooling2D,
    GlobalPooling2D,
    Identity,
    Elementwise,
    Normalization,
    Rescaling,
    ZeroPadding2D,
    Cropping2D,
    UpSampling2D,
)


@dataclass(frozen=True)
class Group:
    """Channel classes, int64 ids in the order of the first producer's outputs, made by the same ``producers``.

    ``readers`` are the calls of convolutions and dense layers that read them; ``in_head`` says whether the head does.
    Several producers' outputs are added up in them, as in the stream of a residual network.
    """

    name: str
    ids: tuple[int, ...]
    producers: tuple[str, ...]
    readers: tuple[str, ...]
    in_head: bool

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Channels:
    """``of`` gives for every tensor the class of each entry of its last axis; ``groups`` are those that may be thinned.

    ``fixed`` says for each convolution or dense call outside the groups why its outputs stay.
    """

    of: dict[str, _Ids]
    groups: tuple[Group, ...]
    fixed: dict[str, str]


def unthinned(channels: Channels) -> dict[str, str]:
    """The convolutions and dense calls whose outputs all stay, and why."""
    found = dict(channels.fixed)
    for group in channels.groups:
        if len(group) == 1:
            found |= dict.fromkeys(group.producers, "has one channel")
    return found


def is_depthwise(layer: LayerRecord, input_shape: Shape) -> bool:
    """Whether a convolution makes each output channel of the one input channel of the same number."""
    return isinstance(layer, Conv2D) and layer.groups == input_shape[-1] == layer.filters and layer.groups > 1


def is_contraction(layer: LayerRecord, input_shape: Shape) -> bool:
    """Whether each output reads all channels: a dense layer, or a convolution in one group."""
    return isinstance(layer, Dense) or (
        isinstance(layer, Conv2D) and layer.groups == 1 and not is_depthwise(layer, input_shape)
    )


class _Classes:
    """_Ids of channels, those that were joined having one representative; some are fixed, each with a reason."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self.reasons: dict[int, str] = {}

    def new(self, count: int) -> _Ids:
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def find(self, element: int) -> int:
        root = element
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[element] != root:
            self._parent[element], element = root, self._parent[element]
        return root

    def join(self, first: _Ids, second: _Ids) -> None:
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            a, b = self.find(a), self.find(b)
            self._parent[max(a, b)] = min(a, b)

    def fix(self, ids: _Ids, reason: str) -> None:
        for element in np.unique(ids).tolist():
            self.reasons.setdefault(element, reason)

    def roots(self, ids: _Ids) -> _Ids:
        return np.array([self.find(element) for element in ids.tolist()], np.int64)


def channels_of(architecture: Architecture) -> Channels:
    """Channel classes and groups of a folded architecture (``folding.folded``)."""
    shapes = shapes_of(architecture)
    classes = _Classes()
    of: dict[str, _Ids] = {INPUT: classes.new(shapes[INPUT][-1])}
    classes.fix(of[INPUT], "is the image itself")
    made: dict[str, _Ids] = {}
    times: dict[str, int] = {}
    for call in architecture.calls:
        times[call.layer] = times.get(call.layer, 0) + 1
    for call in architecture.calls:
        inputs = [of[source] for source in call.inputs]
        layer = architecture.layer_of(call)
        of[call.id] = _output_ids(classes, layer, inputs, [shapes[s] for s in call.inputs], shapes[call.id])
        if isinstance(layer, Conv2D | Dense):
            if not is_depthwise(layer, shapes[call.inputs[0]]):
                made[call.id] = of[call.id]
            if times[call.layer] > 1:
                for ids in (*inputs, of[call.id]):
                    classes.fix(ids, "belongs to a layer that is called more than once")
    reasons = {classes.find(element): reason for element, reason in classes.reasons.items()}
    of = {name: classes.roots(ids) for name, ids in of.items()}
    made = {name: of[name] for name in made}
    return _grouped(architecture, shapes, of, made, reasons)


def _output_ids(
    classes: _Classes, layer: LayerRecord, inputs: Sequence[_Ids], given: Sequence[Shape], shape: Shape
) -> _Ids:
    first = inputs[0]
    if is_depthwise(layer, given[0]) or isinstance(layer, _KEEPS_CHANNELS):
        return first
    if is_contraction(layer, given[0]):
        return classes.new(shape[-1])
    if isinstance(layer, Add | Merge):
        whole = next(ids for ids in inputs if len(ids) == shape[-1])
        for ids in inputs:
            if len(ids) == shape[-1]:
                classes.join(whole, ids)
            else:
                classes.fix(ids, "is spread over all channels")
        return whole
    if isinstance(layer, Concatenate):
        if layer.axis == len(shape) - 1:
            return np.concatenate(inputs)
        for ids in inputs[1:]:
            classes.join(first, ids)
        return first
    if isinstance(layer, Flatten):
        return np.tile(first, prod(given[0][:-1]))
    if isinstance(layer, Permute) and layer.dims[-1] == len(layer.dims) - 1:
        return first
    for ids in inputs:
        classes.fix(ids, f"is read by a {layer.kind}, which mixes channels")
    fresh = classes.new(shape[-1])
    classes.fix(fresh, f"is made by a {layer.kind}, which mixes channels")
    return fresh


def _grouped(
    architecture: Architecture,
    shapes: dict[str, Shape],
    of: dict[str, _Ids],
    made: dict[str, _Ids],
    reasons: dict[int, str],
) -> Channels:
    producers: dict[int, list[str]] = {}
    for name, ids in made.items():
        for element in np.unique(ids).tolist():
            producers.setdefault(element, []).append(name)
    readers = [
        call for call in architecture.calls if is_contraction(architecture.layer_of(call), shapes[call.inputs[0]])
    ]
    by_makers: dict[tuple[str, ...], list[int]] = {}
    fixed: dict[str, str] = {}
    for element, names in producers.items():
        if element in reasons:
            fixed |= dict.fromkeys(names, reasons[element])
        else:
            by_makers.setdefault(tuple(names), []).append(element)
    groups = []
    for makers, members in by_makers.items():
        reason = next((fixed[name] for name in makers if name in fixed), None)
        if reason is not None:
            fixed |= dict.fromkeys(makers, reason)
            continue
        reading = tuple(call.id for call in readers if np.isin(of[call.inputs[0]], members).any())
        in_head = bool(np.isin(of[architecture.features], members).any())
        groups.append(Group(makers[0], tuple(members), makers, reading, in_head))
    return Channels(of, tuple(groups), fixed)
