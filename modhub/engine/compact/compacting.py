"""A smaller network from a whole one, in closed form: statistics, structures, the choice among them, the refit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.costs import Costs, costs_of
from modhub.compaction.cutting import Structure, cut, removed_ids
from modhub.compaction.folding import folded
from modhub.compaction.refitting import explained
from modhub.compaction.selecting import MAX_CANDIDATES, Goal, NetworkStatistics, Selection, never, weighed
from modhub.engine.compact.observing import network_logits
from modhub.engine.compact.refit import QUICK, RefitSettings, Targets, refit, targets_of
from modhub.engine.compact.request import CompactProgress
from modhub.engine.compact.statistics import network_statistics
from modhub.engine.run.network import Network
from modhub.errors import UsageError, shown
from modhub.package.module import Weights
from modhub.spec.architecture import Architecture
from modhub.spec.input_contract import InputContract

_GRADIENT_IMAGES: Final = 500
_STATISTICS_IMAGES: Final = 1500


@dataclass(frozen=True)
class Whole:
    """A network to be made smaller, folded, with its head, and images (n, H, W, C) to fit on and to choose by."""

    architecture: Architecture
    weights: Weights
    contract: InputContract
    images: NDArray[Any]
    held_out: NDArray[Any]


@dataclass(frozen=True)
class Smaller:
    """What became of it: ``explained`` is R2 of its centred logits on the held-out images."""

    architecture: Architecture
    weights: dict[str, NDArray[np.float32]]
    structure: Structure
    costs: Costs
    explained: float


class Compactor:
    """One network's statistics and targets, from which structures of any size are made.

    Images and everything drawn follow from ``seed``.
    """

    def __init__(self, whole: Whole, *, seed: int = 0, progress: CompactProgress | None = None) -> None:
        self.whole, self._seed = whole, seed
        self._progress = progress or (lambda what, done, total: None)
        self.network = Network(whole.architecture, whole.weights)
        done = iter(range(1, 10**9))
        self.statistics: NetworkStatistics = network_statistics(
            self.network,
            whole.weights,
            whole.contract,
            whole.images[:_STATISTICS_IMAGES],
            whole.images[:_GRADIENT_IMAGES],
            seed=seed,
            step=lambda: self._progress("observing", next(done), 0),
        )
        self._held_logits = network_logits(self.network, whole.weights, whole.contract, whole.held_out)
        self._targets: dict[RefitSettings, Targets] = {}

    @property
    def costs(self) -> Costs:
        """What the whole network costs."""
        return costs_of(self.whole.architecture, len(self.whole.weights["head/bias"]))

    def smallest(self, goal: Goal, strategy: Selection, settings: RefitSettings | None = None) -> Smaller:
        """The best structure that ``strategy`` offers for ``goal``, refitted. Raises UsageError when there is none."""
        candidates = list(islice(strategy(self.statistics, goal), MAX_CANDIDATES))
        if not candidates:
            raise UsageError(
                f"no structure of this network keeps {goal.kind} at {goal.budget:.0%} of the whole"
                + (f" and nodes at {goal.jaccard:.0%}." if goal.jaccard is not None else "."),
                kind="budget-too-small",
                hint="allow more, or another selection (see modhub compact --help).",
            )
        for candidate in candidates:
            self._check(candidate, goal, strategy)
        chosen = candidates[0]
        if len(candidates) > 1:
            tried = []
            for number, structure in enumerate(candidates, 1):
                tried.append(self.refitted(structure, QUICK))
                self._progress("choosing", number, len(candidates))
            chosen = min(tried, key=self._shortfall).structure
        return self.refitted(chosen, settings or RefitSettings())

    def _shortfall(self, smaller: Smaller) -> float:
        return weighed(1 - smaller.explained, smaller.costs.nodes / max(self.costs.nodes, 1))

    def _check(self, structure: Structure, goal: Goal, strategy: Selection) -> None:
        """Raises UsageError for what a selection may not give."""
        groups = {group.name: len(group) for group in self.statistics.channels.groups}
        blocks = {block.sum for block in self.statistics.blocks}
        unknown = sorted({*structure.dropped} - blocks | {*structure.kept} - groups.keys())
        wrong = [name for name, kept in structure.kept.items() if name in groups and _is_wrong(kept, groups[name])]
        reason = ""
        if unknown:
            reason = f"names {shown(unknown[0])}, which is no block or group of channels of this network"
        elif wrong:
            reason = f"says of {shown(wrong[0])} something else than which of its {groups[wrong[0]]} channels stay"
        elif strategy is not never and not goal.met(self.statistics.costs.of(structure), self.costs):
            reason = f"is beyond the budget ({goal.kind} {goal.budget:.1%})"
        if reason:
            name = getattr(strategy, "__name__", type(strategy).__name__)
            raise UsageError(
                f"what the selection {shown(name)} gave {reason}.",
                kind="bad-selection",
                hint="give structures within the goal (docs/compacting.md, a selection of your own).",
            )

    def refitted(self, structure: Structure, settings: RefitSettings) -> Smaller:
        """The network of ``structure`` with its weights fitted."""
        whole, statistics = self.whole, self.statistics
        architecture, weights = cut(
            whole.architecture, whole.weights, statistics.channels, statistics.blocks, structure
        )
        if settings not in self._targets:
            self._targets[settings] = targets_of(
                self.network, whole.weights, whole.contract, whole.images, settings, self._seed
            )
        removed = removed_ids(statistics.channels, structure)
        kept = {name: ~np.isin(ids, removed) for name, ids in statistics.channels.of.items()}
        fitted = refit(architecture, weights, whole.architecture, kept, self._targets[settings], settings.rounds)
        return Smaller(
            architecture,
            fitted,
            structure,
            costs_of(architecture, len(fitted["head/bias"])),
            self.explained(architecture, fitted),
        )

    def explained(self, architecture: Architecture, weights: Weights) -> float:
        """R2 of the centred logits that a smaller network gives for the held-out images."""
        given = network_logits(Network(architecture, weights), weights, self.whole.contract, self.whole.held_out)
        return explained(self._held_logits, given)


def _is_wrong(kept: Any, channels: int) -> bool:
    return not (isinstance(kept, np.ndarray) and kept.dtype == bool and kept.shape == (channels,) and kept.any())


def whole_of(
    architecture: Architecture,
    weights: Weights,
    contract: InputContract,
    images: NDArray[Any],
    held_out: NDArray[Any],
    columns: NDArray[np.int64] | None = None,
) -> Whole:
    """A network ready to be made smaller, with the classes ``columns`` of its head; all of them without."""
    architecture, weights = folded(architecture, weights)
    whole = Whole(architecture, weights, contract, images, held_out)
    if columns is None:
        return whole
    chosen = {"head/kernel": weights["head/kernel"][:, columns], "head/bias": weights["head/bias"][columns]}
    return replace(whole, weights={**weights, **chosen})
