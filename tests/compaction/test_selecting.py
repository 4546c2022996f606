"""Structures of random networks keep the budgets that they are made for, and smaller budgets leave less."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modhub.compaction.blocks import blocks_of
from modhub.compaction.channels import channels_of, unthinned
from modhub.compaction.costs import COST_KINDS, CostModel, costs_of
from modhub.compaction.cutting import cut
from modhub.compaction.folding import folded
from modhub.compaction.ordering import RemovalOrder
from modhub.compaction.selecting import STRATEGIES, Goal, NetworkStatistics, thinned
from modhub.spec.layers import Conv2D, Dense
from tests.oracle.fuzzing import fuzz
from tests.oracle.networks import Network, networks


def statistics(network: Network, seed: int) -> tuple[NetworkStatistics, Any]:
    """Of a random network, with losses that were drawn."""
    random = np.random.default_rng(seed)
    architecture, weights = folded(network.architecture, network.weights)
    channels, blocks = channels_of(architecture), blocks_of(architecture)
    orders = {
        group.name: RemovalOrder(
            tuple(random.permutation(len(group)).tolist()), np.cumsum([0.0, *random.exponential(size=len(group))])
        )
        for group in channels.groups
        if len(group) > 1
    }
    losses = {block.sum: float(random.exponential()) for block in blocks}
    costs = CostModel(architecture, channels, blocks, weights["head/bias"].size)
    return NetworkStatistics(architecture, channels, blocks, orders, losses, costs), weights


@fuzz(25)
@given(networks(size=6), st.integers(0, 1000), st.floats(0.2, 1), st.sampled_from(COST_KINDS), st.booleans())
def test_what_a_selection_gives_is_within_the_budget(
    network: Network, seed: int, budget: float, kind: Any, bound_nodes: bool
) -> None:
    seen, weights = statistics(network, seed)
    goal = Goal(kind, budget, 0.8 if bound_nodes else None)
    whole = costs_of(seen.architecture, weights["head/bias"].size)
    for name, strategy in STRATEGIES.items():
        for structure in strategy(seen, goal) if name != "never" else ():
            smaller, _ = cut(seen.architecture, weights, seen.channels, seen.blocks, structure)
            assert goal.met(costs_of(smaller, weights["head/bias"].size), whole)
            assert all(kept.any() for kept in structure.kept.values())


@fuzz(25)
@given(networks(size=6), st.integers(0, 1000), st.floats(0.2, 1), st.floats(0.2, 1), st.sampled_from(COST_KINDS))
def test_a_smaller_budget_leaves_a_part_of_what_a_larger_one_leaves(
    network: Network, seed: int, one: float, other: float, kind: Any
) -> None:
    seen, _ = statistics(network, seed)
    small, large = (thinned(seen, Goal(kind, budget), frozenset()) for budget in sorted((one, other)))
    if small is not None:
        assert large is not None
        for name, kept in small.kept.items():
            assert not (kept & ~large.kept[name]).any()
        assert seen.costs.of(small).of(kind) <= seen.costs.of(large).of(kind)


@fuzz(25)
@given(networks(size=6))
def test_every_layer_is_thinnable_or_named_with_the_reason(network: Network) -> None:
    seen, _ = statistics(network, 0)
    reasons = unthinned(seen.channels)
    thinnable = {name for group in seen.thinnable for name in group.producers}
    assert not thinnable & reasons.keys()
    for call in seen.architecture.calls:
        layer = seen.architecture.layer_of(call)
        if isinstance(layer, Dense) or (isinstance(layer, Conv2D) and layer.groups == 1):
            assert call.id in thinnable | reasons.keys()
