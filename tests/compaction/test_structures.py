"""Which structures are tried: within the goal, the most promising first, found among all sets of blocks."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest

from modhub.compaction.blocks import blocks_of
from modhub.compaction.channels import channels_of
from modhub.compaction.costs import CostModel, Costs
from modhub.compaction.cutting import Structure
from modhub.compaction.ordering import RemovalOrder
from modhub.compaction.selecting import (
    MAX_CANDIDATES,
    Goal,
    NetworkStatistics,
    block_sets,
    blocks_and_channels,
    blocks_only,
    thinned,
    weighed,
)
from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.layers import Conv2D, GlobalPooling2D, Layer, ReLU
from modhub.spec.rearrangements import Add

#: Channels and strides of the stages, and blocks of each.
STAGES = ((4, 1, 3), (8, 2, 2))
CHANNEL_LOSSES = (0.0, 0.1, 0.3, 0.7, 1.5, 3.0, 6.0, 12.0, 25.0)


def conv(filters: int, strides: int = 1) -> Conv2D:
    return Conv2D(filters=filters, kernel_size=(3, 3), strides=(strides, strides), padding="same", use_bias=True)


def residual_network() -> Architecture:
    layers: dict[str, Layer] = {}
    calls: list[Call] = []

    def then(name: str, layer: Layer, *inputs: str) -> str:
        layers[name] = layer
        calls.append(Call(id=name, layer=name, inputs=inputs))
        return name

    now = INPUT
    for stage, (channels, strides, blocks) in enumerate(STAGES):
        now = then(f"relu{stage}", ReLU(), then(f"stem{stage}", conv(channels, strides), now))
        for block in range(blocks):
            name = f"{stage}{block}"
            inner = then(f"inner{name}_relu", ReLU(), then(f"inner{name}", conv(channels), now))
            total = then(f"add{name}", Add(), then(f"outer{name}", conv(channels), inner), now)
            now = then(f"relu{name}", ReLU(), total)
    features = then("mean", GlobalPooling2D(kind="global_average_pooling2d"), now)
    return Architecture(input_shape=(8, 8, 3), layers=layers, calls=tuple(calls), features=features, head="softmax")


def statistics(block_losses: dict[str, float]) -> NetworkStatistics:
    """Of a network all of whose inner channels cost the same, in their order; its streams stay."""
    architecture = residual_network()
    channels, blocks = channels_of(architecture), blocks_of(architecture)
    orders = {
        group.name: RemovalOrder(tuple(range(len(group))), np.array(CHANNEL_LOSSES[: len(group) + 1]))
        for group in channels.groups
        if len(group.producers) == 1
    }
    assert {block.sum for block in blocks} == set(block_losses)
    return NetworkStatistics(
        architecture, channels, blocks, orders, block_losses, CostModel(architecture, channels, blocks, 5)
    )


EQUAL = {"add00": 0.5, "add01": 0.5, "add02": 0.5, "add10": 0.5, "add11": 0.5}
MIXED = {"add00": 1.3, "add01": 1.7, "add02": 0.9, "add10": 0.8, "add11": 0.7}


def whole(of: NetworkStatistics) -> Costs:
    return of.costs.of(Structure(frozenset(), {}))


@pytest.mark.parametrize("losses", [EQUAL, MIXED])
@pytest.mark.parametrize("goal", [Goal("flops", 0.6), Goal("parameters", 0.4), Goal("flops", 0.9, 0.6)])
def test_candidates_are_different_and_within_the_goal(losses: dict[str, float], goal: Goal) -> None:
    given = statistics(losses)
    for strategy in (blocks_and_channels, blocks_only):
        found = list(strategy(given, goal))
        assert 1 <= len(found) <= MAX_CANDIDATES
        assert len({structure.dropped for structure in found}) == len(found)
        assert all(goal.met(given.costs.of(structure), whole(given)) for structure in found)


@pytest.mark.parametrize(
    ("losses", "goal"),
    [
        (MIXED, Goal("flops", 0.6)),
        (MIXED, Goal("flops", 0.7, 0.55)),
        ({**EQUAL, "add01": 2.0, "add10": 0.25}, Goal("flops", 0.5, 0.6)),
    ],
)
def test_the_first_candidate_is_the_best_of_all_sets_of_blocks(losses: dict[str, float], goal: Goal) -> None:
    given = statistics(losses)

    def loss(dropped: frozenset[str]) -> float:
        structure = thinned(given, goal, dropped)
        if structure is None:
            return float("inf")
        gone = (given.orders[name].losses[(~kept).sum()] for name, kept in structure.kept.items())
        nodes = given.costs.of(structure).nodes / whole(given).nodes
        return weighed(sum(losses[name] for name in sorted(dropped)) + sum(gone), nodes)

    found = [structure.dropped for structure in blocks_and_channels(given, goal)]
    every = chain.from_iterable(combinations(losses, size) for size in range(len(losses) + 1))
    assert loss(found[0]) == min(loss(frozenset(dropped)) for dropped in every)
    assert [loss(dropped) for dropped in found] == sorted(map(loss, found))


def test_sets_that_are_not_nested_are_found() -> None:
    given = statistics(MIXED)
    assert next(iter(blocks_and_channels(given, Goal("flops", 0.6)))).dropped not in block_sets(given)


def with_streams(seed: int) -> NetworkStatistics:
    """The same network with losses that were drawn, streams too."""
    random = np.random.default_rng(seed)
    given = statistics(EQUAL)
    orders = {
        group.name: RemovalOrder(
            tuple(range(len(group))), np.cumsum([0.0, *np.sort(random.exponential(size=len(group)))])
        )
        for group in given.channels.groups
    }
    return replace(given, orders=orders)


def lost(given: NetworkStatistics, structure: Structure | None) -> float:
    assert structure is not None
    return float(sum(given.orders[name].losses[(~kept).sum()] for name, kept in structure.kept.items()))


@pytest.mark.parametrize("seed", range(6))
def test_channels_go_one_by_one_by_what_they_save_now(seed: int) -> None:
    """Losses are convex, so that a literal version looks at every group's next channel each time."""
    given, goal = with_streams(seed), Goal("flops", 0.4)
    left = {group.name: len(group) for group in given.channels.groups}

    def flops(kept: dict[str, int]) -> int:
        return given.costs.without(frozenset()).costs(kept).flops

    def price(name: str) -> float:
        losses, gone = given.orders[name].losses, len(given.orders[name].order) - left[name]
        saved = (flops(left) - flops({**left, name: left[name] - 1})) / whole(given).flops
        return float(losses[gone + 1] - losses[gone]) / saved

    while flops(left) > 0.4 * whole(given).flops:
        left[min((name for name in left if left[name] > 1), key=price)] -= 1
    found = thinned(given, goal, frozenset())
    assert found is not None
    assert {name: int(kept.sum()) for name, kept in found.kept.items()} == left


def test_of_two_bounds_the_order_that_loses_least_is_taken() -> None:
    """Which bound is best met first differs; what meets one and so the other as well never loses less."""
    better = 0
    for seed in range(20):
        given, goal = with_streams(seed), Goal("flops", 0.5, 0.5)
        found = thinned(given, goal, frozenset())
        for alone in (Goal("flops", 0.5), Goal("flops", 1.0, 0.5)):
            other = thinned(given, alone, frozenset())
            assert other is not None
            if goal.met(given.costs.of(other), whole(given)):
                assert lost(given, found) <= lost(given, other)
                better += 1
    assert better > 5


def test_where_only_nodes_are_above_the_goal_channels_with_many_go() -> None:
    """All channels cost alike, but one of the first stage has four times the nodes of one of the second, and fewer
    weights: weights stay where they are not asked for."""
    given = statistics(EQUAL)
    for_nodes = thinned(given, Goal("flops", 1.0, 0.85), frozenset())
    assert for_nodes is not None
    weights = given.costs.of(for_nodes).parameters / whole(given).parameters
    for_weights = thinned(given, Goal("parameters", weights), frozenset())
    assert for_weights is not None
    assert given.costs.of(for_weights).nodes > 0.85 * whole(given).nodes
    kept = {name: int(channels.sum()) for name, channels in for_nodes.kept.items()}
    assert all(kept[f"inner1{block}"] == 8 for block in range(2))
    assert all(kept[f"inner0{block}"] < 4 for block in range(3))
