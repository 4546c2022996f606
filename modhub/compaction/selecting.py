"""Which structures a budget may be met with: strategies, by name or one's own.

A strategy reads the statistics of a network and gives candidates, each within the budget; those are refitted quickly
and the one whose logits are closest to the whole network's is taken.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.blocks import Block
from modhub.compaction.channels import Channels, Group
from modhub.compaction.costs import CostKind, CostModel, Costs
from modhub.compaction.cutting import Structure
from modhub.compaction.ordering import RemovalOrder
from modhub.spec.architecture import Architecture

#: At most so many structures are refitted to choose among them.
MAX_CANDIDATES: Final = 6
#: Nested sets of blocks of each order, and no more sets are looked for once so many were thinned.
_NESTED: Final = 8
_MOST_SETS: Final = 200
#: Fewer nodes are faster: for a tenth of the whole network's nodes a structure may lose so much more, as a factor.
_TENTH_OF_NODES: Final = 1.16


@dataclass(frozen=True)
class NetworkStatistics:
    """What strategies decide by. ``orders`` has the removal order of each group that may be thinned, by name;
    ``block_losses`` what leaving out each block's branch costs, by the name of its sum; both in squared distances of
    the logits."""

    architecture: Architecture
    channels: Channels
    blocks: tuple[Block, ...]
    orders: Mapping[str, RemovalOrder]
    block_losses: Mapping[str, float]
    costs: CostModel

    @property
    def thinnable(self) -> tuple[Group, ...]:
        return tuple(group for group in self.channels.groups if group.name in self.orders)


@dataclass(frozen=True)
class Goal:
    """At most the share ``budget`` of the whole network's cost of this kind; of its nodes at most ``jaccard``, if
    given."""

    kind: CostKind
    budget: float
    jaccard: float | None = None

    def met(self, costs: Costs, whole: Costs) -> bool:
        return not self.unmet(costs, whole)

    def unmet(self, costs: Costs, whole: Costs) -> frozenset[str]:
        """Which of the costs, by name, are still above what they may be."""
        bounds = {self.kind: self.budget} | ({} if self.jaccard is None else {"nodes": self.jaccard})
        return frozenset(kind for kind, share in bounds.items() if getattr(costs, kind) > share * getattr(whole, kind))


class Selection(Protocol):
    """Statistics in, structures out: at most ``MAX_CANDIDATES``, all within the goal, the most promising first."""

    def __call__(self, statistics: NetworkStatistics, goal: Goal) -> Iterable[Structure]: ...


def never(statistics: NetworkStatistics, goal: Goal) -> Iterable[Structure]:
    """Nothing is removed, whatever the goal: the paper's modules."""
    return [Structure(frozenset(), {})]


def channels_only(statistics: NetworkStatistics, goal: Goal) -> Iterable[Structure]:
    """Channels go where the loss is least for what they cost; every block stays."""
    found = thinned(statistics, goal, frozenset())
    return [found] if found is not None else []


def blocks_only(statistics: NetworkStatistics, goal: Goal) -> Iterable[Structure]:
    """Whole branches go; of those sets that meet the goal the smallest ones are tried."""
    whole = statistics.costs.of(Structure(frozenset(), {}))
    found = []
    for dropped in block_sets(statistics):
        structure = Structure(dropped, {})
        if goal.met(statistics.costs.of(structure), whole):
            found.append(structure)
    return sorted(found, key=lambda each: len(each.dropped))[:MAX_CANDIDATES]


def blocks_and_channels(statistics: NetworkStatistics, goal: Goal) -> Iterable[Structure]:
    """Some branches go whole, and what is left is thinned down to the goal.

    Sets of blocks are searched by the sum of the losses of all that goes: from the best nested one, a block more, a
    block less, or one in another's place, as long as that lowers the loss.
    """
    seen: dict[frozenset[str], tuple[float, Structure] | None] = {}

    def loss(dropped: frozenset[str]) -> float:
        if dropped not in seen:
            structure = thinned(statistics, goal, dropped)
            seen[dropped] = (_loss(statistics, structure), structure) if structure is not None else None
        found = seen[dropped]
        return float("inf") if found is None else found[0]

    best = min(block_sets(statistics), key=loss)
    while len(seen) < _MOST_SETS:
        better = min(_neighbours(statistics, best), key=loss, default=best)
        if loss(better) >= loss(best):
            break
        best = better
    ranked = sorted((found for found in seen.values() if found is not None), key=lambda found: found[0])
    return [structure for _, structure in ranked[:MAX_CANDIDATES]]


def _neighbours(statistics: NetworkStatistics, dropped: frozenset[str]) -> list[frozenset[str]]:
    """The set with one block more or less, and with one of the two dearest for one of the two cheapest others."""
    ranked = sorted(statistics.block_losses, key=lambda name: (statistics.block_losses[name], name))
    inside, outside = ([name for name in ranked if (name in dropped) == wanted] for wanted in (True, False))
    toggled = [dropped ^ {name} for name in ranked]
    return toggled + [dropped - {out} | {new} for out in inside[-2:] for new in outside[:2]]


def _loss(statistics: NetworkStatistics, structure: Structure) -> float:
    """What all that goes costs, each part by itself, weighed with nodes."""
    blocks = sum(statistics.block_losses[name] for name in sorted(structure.dropped))
    nodes = statistics.costs.of(structure).nodes / max(statistics.costs.of(Structure(frozenset(), {})).nodes, 1)
    return weighed(blocks + _channel_loss(statistics, structure), nodes)


def weighed(loss: float, nodes: float) -> float:
    """By what structures are compared: what is lost, and more for a larger share of the whole network's nodes."""
    return loss * float(_TENTH_OF_NODES ** (10 * nodes))


def _channel_loss(statistics: NetworkStatistics, structure: Structure) -> float:
    return float(sum(statistics.orders[name].losses[int((~kept).sum())] for name, kept in structure.kept.items()))


STRATEGIES: Final[Mapping[str, Selection]] = {
    "never": never,
    "blocks": blocks_only,
    "channels": channels_only,
    "blocks+channels": blocks_and_channels,
}


def block_sets(statistics: NetworkStatistics) -> list[frozenset[str]]:
    """Nested sets of blocks, from none to all; spread evenly when there are too many.

    Three orders are followed: by loss alone, by loss over multiply-adds and by loss over nodes.
    """
    whole = statistics.costs.of(Structure(frozenset(), {}))
    losses = statistics.block_losses
    left = {block.sum: statistics.costs.of(Structure(frozenset({block.sum}), {})) for block in statistics.blocks}
    names = [block.sum for block in statistics.blocks if block.sum in losses]
    orders: list[Callable[[str], float]] = [
        losses.__getitem__,
        lambda name: losses[name] / max(whole.flops - left[name].flops, 1),
        lambda name: losses[name] / max(whole.nodes - left[name].nodes, 1),
    ]
    sets: list[frozenset[str]] = []
    for key in orders:
        ranked = sorted(names, key=key)
        lengths = np.unique(np.linspace(0, len(ranked), min(len(ranked) + 1, _NESTED)).round().astype(int))
        sets += [frozenset(ranked[:length]) for length in lengths.tolist()]
    return list(dict.fromkeys(sets))


def thinned(statistics: NetworkStatistics, goal: Goal, dropped: frozenset[str]) -> Structure | None:
    """The structure without ``dropped`` whose channels go by loss over cost until the goal is met.

    What counts as cost is what is still above the goal: multiply-adds or parameters, nodes, or the shares of both
    together; where both are bounded, one before the other as well, and the way that loses least is taken. One channel
    of each group stays; None when the goal cannot be met so.
    """
    first: list[str | None] = [None] if goal.jaccard is None else [None, goal.kind, "nodes"]
    found = [each for kind in first if (each := _thinned(statistics, goal, dropped, kind)) is not None]
    return min(found, key=lambda each: _channel_loss(statistics, each), default=None)


def _thinned(statistics: NetworkStatistics, goal: Goal, dropped: frozenset[str], first: str | None) -> Structure | None:
    whole = statistics.costs.of(Structure(frozenset(), {}))
    remaining = statistics.costs.without(dropped)
    gone = {call for block in statistics.blocks if block.sum in dropped for call in block.calls}
    groups = {group.name: group for group in statistics.thinnable if not set(group.producers) <= gone}
    left = {name: len(group) for name, group in groups.items()}
    steps = {name: _steps(statistics.orders[name]) for name in groups}

    def still_unmet() -> frozenset[str]:
        found = goal.unmet(remaining.costs(left), whole)
        return found & {first} or found

    unmet = still_unmet()
    while unmet:

        def price(name: str) -> float:
            order, removed = statistics.orders[name], len(groups[name]) - left[name]
            target = int(steps[name][removed])
            saved = _shares(unmet, remaining.costs(left), whole)  # noqa: B023
            saved -= _shares(unmet, remaining.costs({**left, name: len(groups[name]) - target}), whole)  # noqa: B023
            return float(order.losses[target] - order.losses[removed]) / max(saved, 1e-12)

        queue = [(price(name), number, name) for number, name in enumerate(groups) if left[name] > 1]
        heapq.heapify(queue)
        now = unmet
        while now == unmet:
            if not queue:
                return None
            _, number, name = heapq.heappop(queue)
            # What a channel saves gets less as others go from the layers that read or write it.
            current = price(name)
            if queue and (current, number) > queue[0][:2]:
                heapq.heappush(queue, (current, number, name))
                continue
            target = int(steps[name][len(groups[name]) - left[name]])
            while len(groups[name]) - left[name] < target and now == unmet:
                left[name] -= 1
                now = still_unmet()
            if left[name] > 1:
                heapq.heappush(queue, (price(name), number, name))
        unmet = now
    return Structure(dropped, {name: _kept(statistics.orders[name], count) for name, count in left.items()})


def _shares(kinds: frozenset[str], costs: Costs, whole: Costs) -> float:
    return float(sum(getattr(costs, kind) / max(getattr(whole, kind), 1) for kind in sorted(kinds)))


def _kept(order: RemovalOrder, count: int) -> NDArray[np.bool_]:
    """Which channels are left when all but ``count`` have gone."""
    kept = np.ones(len(order.order), bool)
    kept[list(order.order[: len(order.order) - count])] = False
    return kept


def _steps(order: RemovalOrder) -> NDArray[np.int64]:
    """For each number of channels gone, up to how many to go next: to the corner of the lower hull of the losses.

    Where losses are concave for a while, channels are cheaper together than one by one.
    """
    losses = order.losses[:-1]
    hull: list[int] = []
    for count in range(len(losses)):
        while len(hull) > 1 and _above(losses, hull[-2], hull[-1], count):
            hull.pop()
        hull.append(count)
    steps = np.zeros(max(len(losses) - 1, 1), np.int64)
    for start, end in pairwise(hull):
        steps[start:end] = end
    return steps


def _above(losses: NDArray[np.float64], first: int, middle: int, last: int) -> bool:
    share = (middle - first) / (last - first)
    return bool(losses[middle] >= losses[first] + share * (losses[last] - losses[first]))
