"""The statistics by which a smaller structure is chosen: what layers read and give, and how much it matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.blocks import blocks_of
from modhub.compaction.channels import Channels, Group, channels_of, is_contraction
from modhub.compaction.costs import CostModel
from modhub.compaction.ordering import LayerStatistics, removal_order
from modhub.compaction.patches import at_positions, channel_rows, drawn_positions, moments, patches_at
from modhub.compaction.selecting import NetworkStatistics
from modhub.engine.compact.branches import branches_gone
from modhub.engine.compact.calibration import calibrated_orders, changed_readers, tried_removals
from modhub.engine.compact.first_order import LayerChange, drawn_directions, first_order_losses
from modhub.engine.compact.observing import batch_size, tensors_of
from modhub.engine.gradients import gradients_at
from modhub.engine.library import ops
from modhub.engine.run.compiled import compiled, to_numpy
from modhub.engine.run.network import Network, preprocess
from modhub.package.module import Weights
from modhub.spec.architecture import HEAD, Architecture
from modhub.spec.input_contract import InputContract
from modhub.spec.layers import Conv2D

#: Positions of each image at which a layer is observed.
POSITIONS: Final = 20
_Doubles = NDArray[np.float64]


def network_statistics(
    network: Network,
    weights: Weights,
    contract: InputContract,
    images: NDArray[Any],
    gradient_images: NDArray[Any],
    *,
    seed: int,
    step: Callable[[], None],
) -> NetworkStatistics:
    """Statistics of a folded network; images are raw (n, H, W, C). ``step`` is called after each part of the work.

    The head's outputs are those of ``weights``, all of which count.
    """
    architecture = network.architecture
    channels, blocks = channels_of(architecture), blocks_of(architecture)
    readers = _readers(architecture, network, channels)
    importance = importances(network, weights, contract, gradient_images, readers, seed)
    step()
    seen_by = _moments(network, weights, contract, images, readers, seed)
    step()
    seen, orders = {}, {}
    for group in channels.groups:
        if len(group) > 1:
            seen[group.name] = {
                name: _seen(architecture, channels, group, name, seen_by[name], importance[name])
                for name in (*group.readers, *([HEAD] if group.in_head else []))
            }
            orders[group.name] = removal_order(list(seen[group.name].values()))
        step()
    branches = branches_gone(network, contract, images[-len(gradient_images) :], blocks, seed)
    step()
    removals = tried_removals(orders, seen)
    changes: dict[str, Sequence[LayerChange]] = {name: [gone] for name, gone in branches.items()}
    changes |= {each.name: changed_readers(architecture, each, orders, seen[each.group]) for each in removals}
    losses = first_order_losses(network, weights, contract, gradient_images, changes, seed)
    step()
    return NetworkStatistics(
        architecture,
        channels,
        blocks,
        calibrated_orders(orders, removals, losses),
        {name: losses[name] for name in branches},
        CostModel(architecture, channels, blocks, _classes(weights)),
    )


def _classes(weights: Weights) -> int:
    return len(weights["head/bias"])


def _readers(architecture: Architecture, network: Network, channels: Channels) -> list[str]:
    wanted = {name for group in channels.groups for name in group.readers}
    return [
        call.id
        for call in architecture.calls
        if call.id in wanted and is_contraction(architecture.layer_of(call), network.shapes[call.inputs[0]])
    ]


def importances(
    network: Network, weights: Weights, contract: InputContract, images: NDArray[Any], calls: Sequence[str], seed: int
) -> dict[str, _Doubles]:
    """lambda of each output channel of each call: the mean over images of the sum over positions of
    ``(d(r.z) / da)^2``, r drawn from N(0, 1) a class and centred, z the logits. ``head``'s own is 1 a class.
    """
    classes = weights["head/kernel"].shape[1]
    directions = drawn_directions(weights, len(images), seed).of_features
    shapes = {call: network.shapes[call] for call in dict.fromkeys(calls)}

    def squares(batch: Any, direction: Any, size: int) -> dict[str, Any]:
        def total(added: Any) -> Any:
            def visit(call: str, output: Any) -> Any:
                return ops.add(output, added[call]) if call in added else output

            return ops.sum(ops.multiply(network.run(preprocess(batch, contract), visit), direction))

        found = gradients_at(total, {call: ops.zeros((size, *shape), "float32") for call, shape in shapes.items()})
        return {
            call: ops.sum(ops.reshape(ops.square(gradient), (-1, gradient.shape[-1])), axis=0)
            for call, gradient in found.items()
        }

    sums = {call: np.zeros(shape[-1]) for call, shape in shapes.items()}
    size = min(batch_size(list(shapes.values())), len(images))
    functions: dict[int, Any] = {}
    for start in range(0, len(images), size):
        part = slice(start, min(start + size, len(images)))
        count = part.stop - part.start
        if count not in functions:
            functions[count] = compiled(lambda batch, direction, count=count: squares(batch, direction, count))
        for call, value in to_numpy(functions[count](images[part], directions[part])).items():
            sums[call] += value
    centred = 1 - 1 / classes
    return {call: value / len(images) for call, value in sums.items()} | {HEAD: np.full(classes, centred)}


def _moments(
    network: Network, weights: Weights, contract: InputContract, images: NDArray[Any], readers: Sequence[str], seed: int
) -> dict[str, tuple[_Doubles, _Doubles]]:
    """For each reading call, and for the head, G and C of ``ordering``."""
    architecture = network.architecture
    calls = {call.id: call for call in architecture.calls}
    sources = {name: calls[name].inputs[0] for name in readers}
    sums: dict[str, tuple[_Doubles, _Doubles]] = {}
    rows = dict.fromkeys([*readers, HEAD], 0)
    positions = {name: drawn_positions(name, network.shapes[name], len(images), POSITIONS, seed) for name in readers}
    fetched = [*dict.fromkeys([*sources.values(), *readers, architecture.features])]
    for part, found in tensors_of(network, contract, images, fetched):
        for name in readers:
            layer, shape = architecture.layer_of(calls[name]), network.shapes[name]
            own = positions[name][part]
            columns = shape[1] if len(shape) == 3 else 1
            inputs = patches_at(layer, found[sources[name]], own, columns)
            _add(sums, rows, name, inputs, at_positions(found[name], own))
        features = found[architecture.features]
        _add(sums, rows, HEAD, features, features @ weights["head/kernel"] + weights["head/bias"])
    return {name: (gram / rows[name], cross / rows[name]) for name, (gram, cross) in sums.items()}


def _add(
    sums: dict[str, tuple[_Doubles, _Doubles]], rows: dict[str, int], name: str, inputs: Any, outputs: Any
) -> None:
    gram, cross = moments(inputs, outputs)
    if name in sums:
        gram, cross = sums[name][0] + gram, sums[name][1] + cross
    sums[name] = gram, cross
    rows[name] += len(inputs)


def _seen(
    architecture: Architecture,
    channels: Channels,
    group: Group,
    name: str,
    seen: tuple[_Doubles, _Doubles],
    importance: _Doubles,
) -> LayerStatistics:
    if name == HEAD:
        rows = channel_rows(channels.of[architecture.features], group.ids, 1)
        return LayerStatistics(*seen, importance, rows)
    call = next(call for call in architecture.calls if call.id == name)
    layer = architecture.layer_of(call)
    window = prod(layer.kernel_size) if isinstance(layer, Conv2D) else 1
    return LayerStatistics(*seen, importance, channel_rows(channels.of[call.inputs[0]], group.ids, window))
