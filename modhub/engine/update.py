"""Running networks for an update: what modules see of the examples, activity, and modules with new masks or heads.

Which way of updating is better is decided in ``modhub.updating``; this file feeds it. Every example that fits or
chooses is run once through every module, and for ``tangle`` and ``remove`` a sample of them once
through every changed mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.votes import check_margins
from modhub.decomposition.activity import Activity, Bits
from modhub.decomposition.backtrack import backtracked
from modhub.decomposition.calibration import fit_platt
from modhub.decomposition.jaccard import UsedWeights
from modhub.decomposition.sampling import Sample, Segment, pack, unconcerned_share
from modhub.decomposition.sites import Site
from modhub.engine.decompose.probe import observe
from modhub.engine.run.isolated import MaskedNetwork, equal_masks, masked_sites
from modhub.engine.run.network import Network
from modhub.engine.run.trunks import trunk_of
from modhub.evaluation.metrics import Labels
from modhub.package.module import MarginHead, Masks, Module, PackedMasks
from modhub.spec.manifest import DecomposeOptions
from modhub.updating.fitting import Doubles, FeatureGroup, Views
from modhub.updating.masks import Backtracked, jaccard_after, tangled, without_unseen
from modhub.updating.splitting import shuffled_by_class


@dataclass(frozen=True, eq=False)
class Examples:
    """Raw checked images (n, H, W, C) and the column of each one's class in the joint composite, int64 (n,)."""

    images: NDArray[Any]
    labels: Labels

    def take(self, rows: NDArray[Any]) -> Examples:
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Half:
    """Bits of what each of two halves of some inputs activates, and of how many inputs it consists."""

    activity: Activity
    bits: tuple[Bits, Bits]
    counts: tuple[int, int]

    @classmethod
    def of(cls, activity: Activity, rows: Sequence[tuple[int, int] | None]) -> Half:
        """``rows`` say of which half each row of ``activity`` is, and of how many inputs; None leaves it out."""
        bits = [np.zeros(activity.rows.shape[1], np.uint8) for _ in (0, 1)]
        counts = [0, 0]
        for row, entry in enumerate(rows):
            if entry is not None:
                bits[entry[0]] |= activity.rows[row]
                counts[entry[0]] += entry[1]
        return cls(activity, (bits[0], bits[1]), (counts[0], counts[1]))

    def masks(self, part: int | None) -> tuple[Masks, int]:
        """What one half activates, or with None both, and the number of inputs."""
        if part is None:
            return self.activity.unpack(self.bits[0] | self.bits[1]), sum(self.counts)
        return self.activity.unpack(self.bits[part]), self.counts[part]


@dataclass(frozen=True, eq=False)
class Unseen:
    """By origin and by share of each unseen class's examples: what these activate."""

    origins: Mapping[int, Mapping[int, Half]]


class JointNetworks:
    """The trunks of a joint composite. ``changing`` says of its modules, (k,), which may be updated.

    Margins are seen as they vote: divided by ``units`` (k,). With ``any_masks`` they run modules with other masks too,
    which takes a little longer.
    """

    def __init__(
        self,
        modules: Sequence[Module],
        changing: Sequence[bool],
        units: Doubles,
        batch_size: int,
        *,
        any_masks: bool,
    ) -> None:
        self.modules = tuple(modules)
        self.changing = tuple(changing)
        self.units = units
        self.origins = list(dict.fromkeys(module.origin.fingerprint for module in modules))
        self._batch_size = batch_size
        self._any_masks = any_masks
        self.trunks: dict[str, tuple[Network, MaskedNetwork]] = {}

    def origin_of(self, column: int) -> int:
        """The number of a module's origin, in order of first appearance."""
        return self.origins.index(self.modules[column].origin.fingerprint)

    def columns(self, origin: int) -> list[int]:
        """The modules of one origin."""
        return [column for column in range(len(self.modules)) if self.origin_of(column) == origin]

    def views(self, modules: Sequence[Module], images: NDArray[Any], *, only_changing: bool = False) -> Views:
        """What ``modules``, used in place of the composite's own, make of raw images.

        With ``only_changing`` the margins of the others are left out, as NaN.
        """
        margins: Doubles = np.full((len(images), len(modules)), np.nan)
        groups = []
        for origin in range(len(self.origins)):
            columns = [c for c in self.columns(origin) if self.changing[c] or not only_changing]
            for places in equal_masks([modules[column] for column in columns]):
                own = np.array([columns[place] for place in places])
                features = self.features(modules[own[0]], images)
                said = MarginHead.of([modules[column].head for column in own]).margins(features)
                margins[:, own] = said / self.units[own]
                if (may := own[[self.changing[column] for column in own]]).size:
                    groups.append(FeatureGroup(origin, may, features))
        return Views(margins, tuple(groups))

    def features(self, module: Module, images: NDArray[Any]) -> NDArray[np.float32]:
        """The features (n, F) of raw images under a module's masks."""
        network = self._trunk(module)[1]
        network.set_masks(module.keep)
        return network.features(images, self._batch_size)

    def _trunk(self, module: Module) -> tuple[Network, MaskedNetwork]:
        origin = module.origin
        if origin.fingerprint not in self.trunks:
            network = trunk_of(origin)
            own = [other for other in self.modules if other.origin.fingerprint == origin.fingerprint]
            sites = list(module.keep) if self._any_masks else masked_sites(own)
            self.trunks[origin.fingerprint] = network, MaskedNetwork(network, origin.contract, sites)
        return self.trunks[origin.fingerprint]

    def unseen_activity(self, examples: Examples, half: Labels, seed: int) -> Unseen:
        """What ``examples`` activate in the origins that never saw their classes; one run of each origin.

        ``half`` (n,), 0 or 1, says to which half an example belongs; either half's activity can be had alone.
        """
        found: dict[int, dict[int, Half]] = {}
        order = shuffled_by_class(examples.labels, len(self.modules), seed)
        for origin in range(len(self.origins)):
            mine = self.columns(origin)
            changing = [column for column in mine if self.changing[column]]
            if changing and len(mine) < len(self.modules):
                unseen = [own for column, own in enumerate(order) if column not in mine]
                shares = {unconcerned_share(self.modules[column].concerned, len(unseen)) for column in changing}
                found[origin] = self._observed(changing[0], examples.images, unseen, half, sorted(shares))
        return Unseen(found)

    def _observed(
        self, column: int, images: NDArray[Any], unseen: Sequence[Labels], half: Labels, shares: Sequence[int]
    ) -> dict[int, Half]:
        """For each share: the activity of the first so many examples of every class, by halves."""
        module = self.modules[column]
        bounds = [0, *shares]
        pieces = [
            (share, part, own[start:share][half[own[start:share]] == part])
            for own in unseen
            for start, share in pairwise(bounds)
            for part in (0, 1)
        ]
        pieces = [piece for piece in pieces if len(piece[2])]
        sample = Sample(tuple(own for _, _, own in pieces))
        parts = [Segment(number, 0, len(own)) for number, own in enumerate(sample.indices)]
        sites = [Site(site, shape) for site, shape in module.keep.shapes.items()]
        batches = pack(sample, parts, self._batch_size)
        origin = module.origin
        network = self._trunk(module)[0]
        activity, _ = observe(network, origin.weights, origin.contract, sites, parts, batches, images)
        return {
            share: Half.of(activity, [(part, len(own)) if upto <= share else None for upto, part, own in pieces])
            for share in shares
        }

    def remasked(
        self, strategy: str, unseen: Unseen, part: int | None, join: bool, options: Mapping[str, DecomposeOptions]
    ) -> tuple[Module, ...]:
        """The composite's modules, those that may change with masks by ``strategy``.

        ``part`` is the half of the examples that makes the masks, None for all. ``options`` say, by fingerprint, how an
        origin was decomposed, as far as it is known.
        """
        result = list(self.modules)
        for origin, by_share in unseen.origins.items():
            mine = self.columns(origin)
            known = _known_active([self.modules[column] for column in mine])
            others = len(self.modules) - len(mine)
            for column in mine:
                if self.changing[column]:
                    module = self.modules[column]
                    seen, count = by_share[unconcerned_share(module.concerned, others)].masks(part)
                    how = options.get(self.origins[origin])
                    result[column] = _remasked(module, strategy, seen, count, known, join, how)
        return tuple(result)


def _known_active(modules: Sequence[Module]) -> dict[str, NDArray[np.bool_]]:
    """The nodes of an origin that its available modules show to have been active for some observed input."""
    known = {site: np.zeros(shape, bool) for site, shape in modules[0].keep.shapes.items()}
    for module in modules:
        for site in known:
            known[site] |= module.keep[site] | module.concern[site]
    return known


def _remasked(
    module: Module, strategy: str, unseen: Masks, count: int, known: Masks, join: bool, how: DecomposeOptions | None
) -> Module:
    keep, concern = dict(module.keep), dict(module.concern)
    if strategy == "tangle":
        backtracking = None if how is None else _backtracking(module, how)
        masks, stages = tangled(concern, keep, unseen, module.stages, backtracking, join=join)
        unconcerned = count + (module.unconcerned if join else 0)
    else:
        masks, stages = without_unseen(concern, keep, unseen, module.stages)
        unconcerned = module.unconcerned
    everything = {site: known[site] | unseen[site] for site in known}
    return replace(
        module,
        keep=PackedMasks.of(masks),
        stages=stages,
        unconcerned=unconcerned,
        jaccard=jaccard_after(masks, everything, keep, module.jaccard),
        jaccard_weights=UsedWeights(module.origin.architecture, module.origin.weights).share(masks),
    )


def _backtracking(module: Module, options: DecomposeOptions) -> Backtracked:
    def run(masks: Masks, backtrack: Any) -> Masks:
        origin = module.origin
        return backtracked(
            origin.architecture,
            origin.weights,
            module.head,
            masks,
            backtrack=backtrack,
            rule=options.rule,
            delta=options.delta,
        )

    return run


def with_thresholds(
    modules: Sequence[Module], changing: Sequence[bool], margins: NDArray[np.floating], labels: Labels, seed: int
) -> tuple[Module, ...]:
    """The changing modules with threshold and scale fitted to their own margins (n, k) on the update's examples.

    Each class's own examples are fitted against equally many of all others, as in a decomposition.
    """
    order = shuffled_by_class(labels, len(modules), seed)
    result = []
    for column, module in enumerate(modules):
        if changing[column]:
            share = unconcerned_share(len(order[column]), max(1, len(modules) - 1))
            others = np.concatenate([own[:share] for other, own in enumerate(order) if other != column])
            mine = margins[:, column]
            threshold, scale = fit_platt(mine[order[column]], mine[others], what=module.ref)
            module = replace(module, threshold=threshold, scale=scale)
        result.append(module)
    return tuple(result)


def margins_of(modules: Sequence[Module], views: Views, units: Doubles) -> NDArray[np.float32]:
    """The margins float32 (n, k) that ``modules`` have by their heads, divided by ``units`` (k,).

    Others than those in ``views`` keep theirs.
    """
    margins = views.margins.astype(np.float32)
    for group in views.groups:
        head = MarginHead.of([modules[column].head for column in group.columns])
        margins[:, group.columns] = head.margins(group.features) / units[group.columns]
    check_margins(margins, modules)
    return margins
