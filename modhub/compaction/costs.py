"""What a network costs: multiply-adds of one image, parameters, and the nodes at its sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.blocks import Block
from modhub.compaction.channels import Channels, is_depthwise
from modhub.compaction.cutting import Structure, without_blocks
from modhub.decomposition.sites import find_sites
from modhub.spec.architecture import INPUT, Architecture, shapes_of
from modhub.spec.layer_record import Shape
from modhub.spec.layers import Conv2D, Dense

#: What a budget may count.
CostKind = Literal["flops", "parameters"]
COST_KINDS: tuple[CostKind, ...] = get_args(CostKind)


@dataclass(frozen=True)
class Costs:
    """Of one network: ``flops`` multiply-adds of convolutions, dense layers and head for one image, ``parameters`` of
    all layers and the head, ``nodes`` at the ReLUs' sites."""

    flops: int
    parameters: int
    nodes: int

    def of(self, kind: CostKind) -> int:
        return self.flops if kind == "flops" else self.parameters


def costs_of(architecture: Architecture, classes: int) -> Costs:
    """The costs of an architecture whose head has ``classes`` outputs."""
    shapes = shapes_of(architecture)
    flops = parameters = 0
    counted: set[str] = set()
    for call in architecture.calls:
        layer = architecture.layer_of(call)
        weights = layer.weight_shapes(shapes[call.inputs[0]])
        if isinstance(layer, Conv2D | Dense):
            flops += prod(weights["kernel"]) * prod(shapes[call.id][:-1])
        if call.layer not in counted:
            counted.add(call.layer)
            parameters += sum(prod(shape) for shape in weights.values())
    features = shapes[architecture.features][0]
    head = features * classes
    nodes = sum(site.nodes for site in find_sites(architecture, "relu"))
    return Costs(flops + head, parameters + head + classes, nodes)


class CostModel:
    """Costs of what structures leave of a network, without building it."""

    def __init__(self, architecture: Architecture, channels: Channels, blocks: tuple[Block, ...], classes: int) -> None:
        self._architecture, self._channels, self._blocks, self._classes = architecture, channels, blocks, classes
        self._remaining: dict[frozenset[str], Remaining] = {}

    def without(self, dropped: frozenset[str]) -> Remaining:
        """The network without these blocks, whose costs follow from how many channels each group keeps."""
        if dropped not in self._remaining:
            architecture = without_blocks(self._architecture, [b for b in self._blocks if b.sum in dropped])
            self._remaining[dropped] = Remaining(
                architecture, shapes_of(self._architecture), self._channels, self._classes
            )
        return self._remaining[dropped]

    def of(self, structure: Structure) -> Costs:
        """Multiply-adds, parameters and nodes that ``structure`` leaves."""
        return self.without(structure.dropped).costs({name: int(kept.sum()) for name, kept in structure.kept.items()})


class Remaining:
    """A network without some blocks. ``shapes`` are those of the whole one."""

    def __init__(
        self, architecture: Architecture, shapes: Mapping[str, Shape], channels: Channels, classes: int
    ) -> None:
        self._names = {group.name: number for number, group in enumerate(channels.groups)}
        self._full = np.array([len(group) for group in channels.groups], np.int64)
        tensors = [INPUT, *(call.id for call in architecture.calls)]
        row = {name: number for number, name in enumerate(tensors)}
        self._multiples = np.zeros((len(tensors), len(self._full)), np.int64)
        self._rest = np.zeros(len(tensors), np.int64)
        for name in tensors:
            ids = channels.of[name]
            for number, group in enumerate(channels.groups):
                self._multiples[row[name], number] = np.isin(ids, group.ids).sum() // len(group)
            self._rest[row[name]] = len(ids) - self._multiples[row[name]] @ self._full
        # Each weight is one term: how often it is used, what it has per channel, and the tensors whose widths count.
        flops: list[tuple[int, int, int]] = []
        parameters: list[tuple[int, int, int]] = []
        one = len(tensors)
        counted: set[str] = set()
        for call in architecture.calls:
            layer, entering = architecture.layer_of(call), shapes[call.inputs[0]]
            terms = []
            for name, shape in layer.weight_shapes(entering).items():
                if name == "kernel":
                    grouped = is_depthwise(layer, entering) or (isinstance(layer, Conv2D) and layer.groups > 1)
                    each = prod(shape[:-2]) * (shape[-2] if grouped else 1)
                    terms.append((each, one if grouped else row[call.inputs[0]], row[call.id]))
                    flops.append((each * prod(shapes[call.id][:-1]), *terms[-1][1:]))
                else:
                    terms.append((1, one, row[call.id]))
            if call.layer not in counted:
                counted.add(call.layer)
                parameters += terms
        head = (classes, one, row[architecture.features])
        self._flops, self._parameters = np.array([*flops, head]), np.array([*parameters, head])
        self._biases = classes
        sites = find_sites(architecture, "relu")
        self._sites = np.array([row[site.id] for site in sites], np.int64)
        self._positions = np.array([prod(site.shape[:-1]) for site in sites], np.int64)

    def costs(self, kept: Mapping[str, int]) -> Costs:
        """With so many channels kept of each group that is named, all of the others."""
        counts = self._full.copy()
        for name, count in kept.items():
            counts[self._names[name]] = count
        widths = np.append(self._rest + self._multiples @ counts, 1)

        def total(terms: NDArray[np.int64]) -> int:
            return int((terms[:, 0] * widths[terms[:, 1]] * widths[terms[:, 2]]).sum())

        nodes = int((widths[self._sites] * self._positions).sum())
        return Costs(total(self._flops), total(self._parameters) + self._biases, nodes)
