"""One compact network for chosen classes of one or several networks, as a Keras model that can be decomposed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.budgets import Limit, LimitKind, within_limit
from modhub.compaction.channels import unthinned
from modhub.compaction.costs import Costs
from modhub.compaction.cutting import removed_ids
from modhub.compaction.joining import JoinedPart, joined, margin_head, part_prefix
from modhub.compaction.selecting import Goal
from modhub.compaction.work import Work
from modhub.data.images import ImageData
from modhub.decomposition.vote import margins_of_logits
from modhub.engine.compact.compacting import Compactor, Smaller, whole_of
from modhub.engine.compact.observing import network_logits, tensors_of
from modhub.engine.compact.polish import POLISH_STEPS, PolishSettings, polished
from modhub.engine.compact.polish_joined import Teacher, polished_joined, steps_for
from modhub.engine.compact.request import CompactProgress
from modhub.engine.compact.training import Bounds
from modhub.engine.compact.trunks import Trunk
from modhub.engine.library import keras
from modhub.engine.run.compiled import compiled, to_numpy
from modhub.engine.run.network import Network, preprocess
from modhub.package.module import Weights
from modhub.package.weights_blob import weights_blob
from modhub.spec.architecture import INPUT
from modhub.spec.keras_model import KerasModel
from modhub.updating.offset import VOTE_FACTOR, LabelledFeatures, choose_offset_head

#: Images of a timed batch, and batches that are timed.
_BATCH: Final = 256
_TIMED: Final = 7


@dataclass(frozen=True, eq=False)
class CompactNetwork:
    """The compact network: ``costs`` and ``before`` of all trunks together, ``explained`` R2 of each trunk's centred
    logits on held-out images before they were joined, ``polish_steps`` of the training that made it better, or 0, and
    ``labels`` whether labels made the network of several trunks better than their vote on held-out images;
    ``unthinned`` says of layers whose channels all stay why."""

    part: JoinedPart
    before: Costs
    costs: Costs
    explained: tuple[float, ...]
    polish_steps: int = 0
    labels: bool = False
    unthinned: Mapping[str, str] = field(default_factory=dict)


class CompactMaker:
    """Makes compact networks of any size of the same trunks, whose statistics are gathered once.

    Several trunks stand side by side and vote by their margins, each divided by the mean of its largest margin on its
    own classes' images.
    """

    def __init__(
        self,
        trunks: Sequence[Trunk],
        fitting: ImageData,
        held_out: ImageData,
        work: Work,
        progress: CompactProgress,
    ) -> None:
        self._trunks, self._fitting, self._held_out = trunks, fitting, held_out
        self._work, self._progress = work, progress
        self._alone = len(trunks) == 1
        self._places = np.concatenate([trunk.places for trunk in trunks])
        self._columns = np.argsort(self._places)
        self._compactors = []
        for trunk in trunks:
            columns = trunk.columns if self._alone else None
            whole = whole_of(trunk.architecture, trunk.weights, trunk.contract, fitting.x, held_out.x, columns)
            self._compactors.append(Compactor(whole, seed=work.seed, progress=progress))

    def make(self, goal: Goal, *, finish: bool = True) -> CompactNetwork:
        """Each trunk within the goal. Without ``finish`` the steps that take labels or training are left out."""
        smaller = [compactor.smallest(goal, self._work.strategy) for compactor in self._compactors]
        before = _total([compactor.costs for compactor in self._compactors])
        after, explained = _total([each.costs for each in smaller]), tuple(each.explained for each in smaller)
        if self._alone:
            only, steps = smaller[0], 0
            if self._work.polish and finish:
                only, steps = self._polished(only)
            part = JoinedPart(only.architecture, only.weights, self._trunks[0].contract)
            stays = _stays(self._compactors[0], only, "")
            return CompactNetwork(part, before, after, (only.explained,), steps, unthinned=stays)
        part = joined(
            [
                JoinedPart(each.architecture, {**each.weights, **self._vote(trunk, compactor, each)}, trunk.contract)
                for trunk, compactor, each in zip(self._trunks, self._compactors, smaller, strict=True)
            ]
        )
        stays = {}
        for number, (compactor, each) in enumerate(zip(self._compactors, smaller, strict=True), 1):
            stays |= _stays(compactor, each, part_prefix(number))
        made = CompactNetwork(part, before, after, explained, unthinned=stays)
        if self._work.use_labels and finish:
            made = self._corrected(made)
        return self._polished_together(made) if self._work.polish and finish else made

    def _vote(self, trunk: Trunk, compactor: Compactor, smaller: Smaller) -> dict[str, NDArray[np.float32]]:
        own = self._fitting.x[np.isin(self._fitting.y, trunk.places)]
        return margin_head(smaller.weights, trunk.columns, _margin_scale(compactor, own))

    def _polished(self, smaller: Smaller) -> tuple[Smaller, int]:
        """The network after training, if it explains more of the held-out logits than before, and the steps it took."""
        compactor, whole = self._compactors[0], self._compactors[0].whole
        channels = compactor.statistics.channels
        removed = removed_ids(channels, smaller.structure)
        settings = PolishSettings(self._work.steps or POLISH_STEPS, self._work.seed)
        weights, steps = polished(
            smaller.architecture,
            smaller.weights,
            whole.architecture,
            whole.weights,
            {name: ~np.isin(ids, removed) for name, ids in channels.of.items()},
            whole.contract,
            whole.images,
            settings,
            self._bounds,
        )
        explained = compactor.explained(smaller.architecture, weights)
        if explained <= smaller.explained:
            return smaller, 0
        return replace(smaller, weights=weights, explained=explained), steps

    @property
    def _bounds(self) -> Bounds:
        def progress(done: int, total: int) -> None:
            self._progress("polishing", done, total)

        return Bounds(progress, self._work.seconds_left, self._work.checkpoints, self._work.minutes)

    def _corrected(self, made: CompactNetwork) -> CompactNetwork:
        """The network with a head that labels corrected, if held-out images gain."""
        part = made.part
        network, (kernel, bias) = Network(part.architecture, part.weights), _head(part.weights)

        def seen(data: ImageData) -> LabelledFeatures:
            name = part.architecture.features
            features = np.concatenate([found[name] for _, found in tensors_of(network, part.contract, data.x, [name])])
            return LabelledFeatures(features, features @ kernel + bias, self._columns[data.y])

        found = choose_offset_head(seen(self._fitting), seen(self._held_out))
        if found is None:
            return made
        head = _scaled_vote(part.weights, found.kernel, found.bias)
        return replace(made, part=replace(part, weights={**part.weights, **head}), labels=True)

    def _polished_together(self, made: CompactNetwork) -> CompactNetwork:
        """The network after training with labels, if held-out images gain, classes counting alike."""
        data = replace(self._fitting, y=self._columns[self._fitting.y])
        steps = self._work.steps or steps_for(len(data), len(self._places))
        if not steps:
            return made
        teachers = []
        for trunk, compactor in zip(self._trunks, self._compactors, strict=True):
            kernel, bias = _head(compactor.whole.weights)
            kernel, bias = kernel[:, trunk.columns], bias[trunk.columns]
            teachers.append(Teacher(compactor.network, kernel, bias, trunk.contract))
        start = made.part
        if not made.labels:
            start = replace(start, weights={**start.weights, **_scaled_vote(start.weights)})
        weights, done = polished_joined(start, teachers, data, steps=steps, seed=self._work.seed, bounds=self._bounds)
        trained = replace(made, part=replace(start, weights=weights), polish_steps=done, labels=True)
        return trained if self._balanced(trained) > self._balanced(made) else made

    def within(self, limit: Limit, jaccard: float | None, right: float) -> CompactNetwork:
        """The network that meets ``limit`` best; ``right`` is the share of held-out images that the whole has right.

        What is measured is measured before ``polish`` and labels, which follow. Raises as ``within_limit`` does.
        """
        measures: dict[LimitKind, Callable[[CompactNetwork], float]] = {
            "points": lambda made: 100 * (right - self.share_right(made)),
            "bytes": lambda made: weights_blob(made.part.weights).record.size,
            "milliseconds": lambda made: milliseconds(made.part, self._held_out.x),
        }
        share, made = within_limit(
            limit,
            lambda share: self.make(Goal("flops", share, jaccard), finish=False),
            measures[limit.kind],
            rounding=100 / len(self._held_out),
        )
        return self.make(Goal("flops", share, jaccard)) if self._work.finishes else made

    def share_right(self, made: CompactNetwork) -> float:
        """The share of the held-out images that a network answers right."""
        return float(np.mean(self.right(made, self._held_out)))

    def _balanced(self, made: CompactNetwork) -> float:
        """The mean over classes of the share of their held-out images that a network answers right."""
        right, y = self.right(made, self._held_out), self._held_out.y
        return float(np.mean([right[y == place].mean() for place in np.unique(y)]))

    def right(self, made: CompactNetwork, data: ImageData) -> NDArray[np.bool_]:
        """Which images (N,) a network answers right; ``data`` has the classifier's labels in its order."""
        part = made.part
        logits = network_logits(Network(part.architecture, part.weights), part.weights, part.contract, data.x)
        return np.asarray(self._places[logits.argmax(axis=1)] == data.y)


def milliseconds(part: JoinedPart, images: NDArray[Any]) -> float:
    """The median time of a batch of 256 images through a network, of seven, compiled before."""
    batch = np.resize(images, (_BATCH, *images.shape[1:]))
    network = Network(part.architecture, part.weights)
    run = compiled(lambda x: network.run(preprocess(x, part.contract)))
    times = []
    for _ in range(_TIMED + 1):
        start = time.perf_counter()
        to_numpy(run(batch))
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def _stays(compactor: Compactor, smaller: Smaller, prefix: str) -> dict[str, str]:
    """Why channels of layers in the smaller network all stay, by the layers' names with a prefix."""
    reasons = unthinned(compactor.statistics.channels)
    calls = smaller.architecture.calls
    return {prefix + call.layer: reasons[call.id] for call in calls if call.id in reasons}


def _head(weights: Weights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.asarray(weights["head/kernel"]), np.asarray(weights["head/bias"])


def _scaled_vote(
    weights: Weights, kernel: NDArray[np.float64] | float = 0.0, bias: NDArray[np.float64] | float = 0.0
) -> dict[str, NDArray[np.float32]]:
    """A head that votes on one scale as logits, with what is added to it."""
    votes, offsets = _head(weights)
    return {
        "head/kernel": (VOTE_FACTOR * votes + kernel).astype(np.float32),
        "head/bias": (VOTE_FACTOR * offsets + bias).astype(np.float32),
    }


def _total(costs: Sequence[Costs]) -> Costs:
    return Costs(*(sum(getattr(each, name) for each in costs) for name in ("flops", "parameters", "nodes")))


def _margin_scale(compactor: Compactor, images: NDArray[Any]) -> float:
    """The mean, over at most 2,000 images, of the largest margin of the whole network."""
    whole = compactor.whole
    logits = network_logits(compactor.network, whole.weights, whole.contract, images[:2000])
    return float(np.mean(margins_of_logits(logits).max(axis=1)))


def keras_of(part: JoinedPart, *, softmax: bool) -> KerasModel:
    """The network with its head as a Keras model of standard layers, taking preprocessed images."""
    network = Network(part.architecture, part.weights)
    images = keras.Input(network.shapes[INPUT], dtype="float32")
    kernel, bias = part.weights["head/kernel"], part.weights["head/bias"]
    head = keras.layers.Dense(len(bias), activation="softmax" if softmax else None, name="head", dtype="float32")
    model: KerasModel = keras.Model(images, head(network.run(images)), name="compact")
    head.set_weights([kernel, bias])
    return model
