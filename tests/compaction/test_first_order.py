"""What changes of layers do to the logits, against literal versions, where the logits are linear in what changes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from modhub.compaction.blocks import blocks_of
from modhub.compaction.ordering import LayerStatistics, change_without, removal_order
from modhub.compaction.patches import channel_rows
from modhub.engine.compact.branches import branches_gone
from modhub.engine.compact.calibration import calibrated_orders, changed_readers, tried_removals
from modhub.engine.compact.first_order import drawn_directions, first_order_losses
from modhub.engine.compact.observing import tensors_of
from modhub.engine.run.network import Network
from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.input_contract import ArrayContract, ImageContract, InputContract
from modhub.spec.layers import Conv2D, Dense, GlobalPooling2D, Layer, ReLU
from modhub.spec.rearrangements import Add

#: Few enough that every position is observed, not a draw of them.
SIDE = 4


def residual(shape: tuple[int, ...], *, linear: bool = False) -> Architecture:
    """A stem, a block without a ReLU behind it, and the mean over positions."""

    def layer(units: int) -> Layer:
        return Dense(units=units) if len(shape) == 1 else Conv2D(filters=units, kernel_size=(3, 3), padding="same")

    steps: list[tuple[str, Layer, tuple[str, ...]]] = [("stem", layer(4), (INPUT,)), ("first", layer(5), ("stem",))]
    if not linear:
        steps += [("relu", ReLU(), ("first",)), ("second", layer(4), ("relu",))]
    else:
        steps[1] = ("second", layer(4), ("stem",))
    steps.append(("sum", Add(), ("stem", "second")))
    if len(shape) > 1:
        steps.append(("mean", GlobalPooling2D(kind="global_average_pooling2d"), ("sum",)))
    return Architecture(
        input_shape=shape,
        layers={name: layer for name, layer, _ in steps},
        calls=tuple(Call(id=name, layer=name, inputs=inputs) for name, _, inputs in steps),
        features=steps[-1][0],
        head="softmax",
    )


def contract_of(shape: tuple[int, ...]) -> InputContract:
    if len(shape) == 1:
        return ArrayContract(shape=shape, dtype="float32", value_range=(-9, 9))
    return ImageContract(
        height=shape[0], width=shape[1], channels=shape[2], colour="rgb", dtype="float32", value_range=(-9, 9)
    )


def drawn(architecture: Architecture, seed: int) -> tuple[Network, dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    widths = {"stem": architecture.input_shape[-1], "first": 4, "second": 5 if "first" in architecture.layers else 4}
    weights = {
        f"{name}/{part}": random.normal(size=shape).astype(np.float32)
        for name, width in widths.items()
        if name in architecture.layers
        for part, shape in architecture.layers[name].weight_shapes((*architecture.input_shape[:-1], width)).items()
    }
    weights |= {"head/kernel": random.normal(size=(4, 3)).astype(np.float32), "head/bias": np.zeros(3, np.float32)}
    return (
        Network(architecture, weights),
        weights,
        random.normal(size=(60, *architecture.input_shape)).astype("float32"),
    )


def neighbourhood(tensor: NDArray[np.float32], place: tuple[int, ...]) -> list[float]:
    """What one position's branch is predicted from: 3 x 3 places with zeros around, or the place alone; and a one."""
    if not place:
        return [*tensor.tolist(), 1.0]
    found: list[float] = []
    for down, across in product((-1, 0, 1), repeat=2):
        row, column = place[0] + down, place[1] + across
        inside = 0 <= row < SIDE and 0 <= column < SIDE
        found += tensor[row, column].tolist() if inside else [0.0] * tensor.shape[-1]
    return [*found, 1.0]


@pytest.mark.parametrize("shape", [(SIDE, SIDE, 3), (3,)])
def test_the_loss_of_a_block_is_the_literal_one(shape: tuple[int, ...]) -> None:
    architecture = residual(shape)
    network, weights, images = drawn(architecture, 0)
    contract = contract_of(shape)
    gone = branches_gone(network, contract, images, blocks_of(architecture), seed=5)
    changes = {name: [each] for name, each in gone.items()}
    found = first_order_losses(network, weights, contract, images[:33], changes, seed=5)

    tensors = np.concatenate([each["stem"] for _, each in tensors_of(network, contract, images, ["stem"])])
    sums = np.concatenate([each["sum"] for _, each in tensors_of(network, contract, images, ["sum"])])
    places = list(product(range(SIDE), repeat=len(shape) - 1))
    rows = np.array([neighbourhood(tensor, place) for tensor in tensors for place in places])
    branch = np.array([(sums[n] - tensors[n])[place] for n in range(len(images)) for place in places], np.float64)
    ridge = 3e-4 * np.trace(rows.T @ rows) / rows.shape[1]
    solved = np.linalg.solve(rows.T @ rows + ridge * np.eye(rows.shape[1]), rows.T @ branch)
    missed = (branch - rows @ solved).reshape(len(images), len(places), 4).mean(axis=1)
    directions = drawn_directions(weights, 33, 5).of_features
    expected = np.mean([(missed[n] @ directions[n]) ** 2 for n in range(33)])
    assert found == {"sum": pytest.approx(expected, rel=1e-3)}
    assert expected > 0.01


def test_a_branch_that_is_linear_in_its_neighbourhood_costs_next_to_nothing() -> None:
    shape = (SIDE, SIDE, 3)
    contract = contract_of(shape)
    losses = []
    for linear in (False, True):
        architecture = residual(shape, linear=linear)
        network, weights, images = drawn(architecture, 0)
        gone = branches_gone(network, contract, images, blocks_of(architecture), seed=5)
        changes = {name: [each] for name, each in gone.items()}
        losses += first_order_losses(network, weights, contract, images, changes, seed=5).values()
    assert losses[1] < 1e-3 * losses[0]


@pytest.mark.parametrize("shape", [(SIDE, SIDE, 3), (3,)])
def test_losses_of_channels_are_what_the_changed_layers_move(shape: tuple[int, ...]) -> None:
    """``relu`` is read by ``second`` alone, whose outputs the logits are linear in."""
    architecture = residual(shape)
    network, weights, images = drawn(architecture, 0)
    contract = contract_of(shape)
    seen = layer_statistics(network, contract, images, architecture)
    orders = {"first": removal_order([seen])}
    removals = tried_removals(orders, {"first": {"second": seen}})
    assert [each.count for each in removals] == [1, 2, 4]
    changes = {each.name: changed_readers(architecture, each, orders, {"second": seen}) for each in removals}
    found = first_order_losses(network, weights, contract, images[:30], changes, seed=5)

    directions = drawn_directions(weights, 30, 5).of_features
    for removal in removals:
        change = change_without(seen, orders["first"].order[: removal.count])
        smaller = dict(weights)
        kernel = np.asarray(weights["second/kernel"])
        smaller["second/kernel"] = (kernel + change[:-1].reshape(kernel.shape)).astype(np.float32)
        smaller["second/bias"] = (weights["second/bias"] + change[-1]).astype(np.float32)
        features = [
            np.concatenate([each[architecture.features] for _, each in tensors_of(one, contract, images[:30], called)])
            for one in (network, Network(architecture, smaller))
            for called in [[architecture.features]]
        ]
        expected = np.mean(((features[1] - features[0]) * directions).sum(axis=1) ** 2)
        assert found[removal.name] == pytest.approx(expected, rel=1e-3)
    measured = {each.name: 3 * orders["first"].losses[each.count] for each in removals}
    (order,) = calibrated_orders(orders, removals, measured).values()
    assert order.losses == pytest.approx(3 * orders["first"].losses)


def layer_statistics(
    network: Network, contract: InputContract, images: NDArray[np.float32], architecture: Architecture
) -> LayerStatistics:
    """Of ``second``, which reads five channels."""
    ((_, found),) = tensors_of(network, contract, images, ["relu", "second"])
    places = list(product(range(SIDE), repeat=found["relu"].ndim - 2))
    rows = np.array([neighbourhood(tensor, place) for tensor in found["relu"] for place in places])
    given = np.array([tensor[place] for tensor in found["second"] for place in places], np.float64)
    own = channel_rows(np.arange(5), tuple(range(5)), (rows.shape[1] - 1) // 5)
    return LayerStatistics(rows.T @ rows / len(rows), rows.T @ given / len(rows), np.full(4, 0.1), own)


def test_no_changes_cost_nothing() -> None:
    network, weights, images = drawn(residual((3,)), 0)
    assert branches_gone(network, contract_of((3,)), images, (), seed=0) == {}
    assert first_order_losses(network, weights, contract_of((3,)), images, {}, seed=0) == {}
