"""One compact network for chosen classes of one or several networks, as a Keras model that can be decomposed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.budgets import Limit, LimitKind, within_limit
from modhub.compaction.costs import Costs
from modhub.compaction.cutting import removed_ids
from modhub.compaction.joining import JoinedPart, joined, margin_head
from modhub.compaction.selecting import Goal, Selection
from modhub.data.images import ImageData
from modhub.decomposition.vote import margins_of_logits
from modhub.engine.compact.compacting import Compactor, CompactProgress, Smaller, whole_of
from modhub.engine.compact.observing import network_logits, tensors_of
from modhub.engine.compact.polish import PolishSettings, polished
from modhub.engine.compact.trunks import Trunk
from modhub.engine.library import keras
from modhub.engine.run.compiled import compiled, to_numpy
from modhub.engine.run.network import Network, preprocess
from modhub.package.weights_blob import weights_blob
from modhub.spec.architecture import INPUT
from modhub.spec.keras_model import KerasModel
from modhub.updating.offset import VOTE_FACTOR, LabelledFeatures, choose_offset_head

#: Images of a timed batch, and batches that are timed.
_BATCH: Final = 256
_TIMED: Final = 7


@dataclass(frozen=True)
class Work:
    """How networks are made smaller: see ``modhub.compact``. ``polish`` None leaves that step out; with ``use_labels``
    a head of several trunks is corrected by the images' labels."""

    strategy: Selection
    polish: PolishSettings | None
    seed: int
    use_labels: bool = False


@dataclass(frozen=True, eq=False)
class CompactNetwork:
    """The compact network: ``costs`` and ``before`` of all trunks together, ``explained`` R2 of each trunk's centred
    logits on held-out images, ``kept_polish`` whether each trunk's polish made that better, ``labels_helped`` whether a
    head that labels corrected answers more of the held-out images right, and is in it."""

    part: JoinedPart
    before: Costs
    costs: Costs
    explained: tuple[float, ...]
    kept_polish: tuple[bool, ...]
    labels_helped: bool


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
        self._compactors = []
        for trunk in trunks:
            columns = trunk.columns if self._alone else None
            whole = whole_of(trunk.architecture, trunk.weights, trunk.contract, fitting.x, held_out.x, columns)
            self._compactors.append(Compactor(whole, seed=work.seed, progress=progress))

    def make(self, goal: Goal, *, finish: bool = True) -> CompactNetwork:
        """Each trunk within the goal. Without ``finish`` the steps that take labels or training are left out."""
        work, parts, after, explained, kept = self._work, [], [], [], []
        for trunk, compactor in zip(self._trunks, self._compactors, strict=True):
            smaller = compactor.smallest(goal, work.strategy)
            weights, better = smaller.weights, False
            if work.polish is not None and finish:
                weights, better = _polished(compactor, smaller, work.polish, self._progress)
            if not self._alone:
                own = self._fitting.x[np.isin(self._fitting.y, trunk.places)]
                weights = {**weights, **margin_head(weights, trunk.columns, _margin_scale(compactor, own))}
            parts.append(JoinedPart(smaller.architecture, weights, trunk.contract))
            after.append(smaller.costs)
            explained.append(smaller.explained)
            kept.append(better)
        part, helped = joined(parts), False
        if work.use_labels and finish and not self._alone:
            part, helped = _corrected(part, self._fitting, self._held_out, self._places)
        before = _total([compactor.costs for compactor in self._compactors])
        return CompactNetwork(part, before, _total(after), tuple(explained), tuple(kept), helped)

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
            limit, lambda share: self.make(Goal("flops", share, jaccard), finish=False), measures[limit.kind]
        )
        is_done = self._work.polish is None and not self._work.use_labels
        return made if is_done else self.make(Goal("flops", share, jaccard))

    def share_right(self, made: CompactNetwork) -> float:
        """The share of the held-out images that a network answers right."""
        part = made.part
        logits = network_logits(Network(part.architecture, part.weights), part.weights, part.contract, self._held_out.x)
        return float(np.mean(self._places[logits.argmax(axis=1)] == self._held_out.y))


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


def _corrected(
    part: JoinedPart, fitting: ImageData, held_out: ImageData, places: NDArray[np.int64]
) -> tuple[JoinedPart, bool]:
    """The network with a head that labels corrected, if held-out images gain, and whether they do."""
    network, column = Network(part.architecture, part.weights), np.argsort(places)
    kernel, bias = part.weights["head/kernel"], part.weights["head/bias"]

    def seen(data: ImageData) -> LabelledFeatures:
        name = part.architecture.features
        features = np.concatenate([found[name] for _, found in tensors_of(network, part.contract, data.x, [name])])
        return LabelledFeatures(features, features @ kernel + bias, column[data.y])

    found = choose_offset_head(seen(fitting), seen(held_out))
    if found is None:
        return part, False
    weights = {
        **part.weights,
        "head/kernel": (VOTE_FACTOR * kernel + found.kernel).astype(np.float32),
        "head/bias": (VOTE_FACTOR * bias + found.bias).astype(np.float32),
    }
    return replace(part, weights=weights), True


def _total(costs: Sequence[Costs]) -> Costs:
    return Costs(*(sum(getattr(each, name) for each in costs) for name in ("flops", "parameters", "nodes")))


def _margin_scale(compactor: Compactor, images: NDArray[Any]) -> float:
    """The mean, over at most 2,000 images, of the largest margin of the whole network."""
    whole = compactor.whole
    logits = network_logits(compactor.network, whole.weights, whole.contract, images[:2000])
    return float(np.mean(margins_of_logits(logits).max(axis=1)))


def _polished(
    compactor: Compactor, smaller: Smaller, settings: PolishSettings, progress: CompactProgress
) -> tuple[dict[str, NDArray[np.float32]], bool]:
    """The weights after training, if they explain more of the held-out logits than before, and whether they do."""
    whole, channels = compactor.whole, compactor.statistics.channels
    removed = removed_ids(channels, smaller.structure)
    weights = polished(
        smaller.architecture,
        smaller.weights,
        whole.architecture,
        whole.weights,
        {name: ~np.isin(ids, removed) for name, ids in channels.of.items()},
        whole.contract,
        whole.images,
        settings,
        lambda done, total: progress("polishing", done, total),
    )
    better = compactor.explained(smaller.architecture, weights) > smaller.explained
    return (weights if better else smaller.weights), better


def keras_of(part: JoinedPart, *, softmax: bool) -> KerasModel:
    """The network with its head as a Keras model of standard layers, taking preprocessed images."""
    network = Network(part.architecture, part.weights)
    images = keras.Input(network.shapes[INPUT], dtype="float32")
    kernel, bias = part.weights["head/kernel"], part.weights["head/bias"]
    head = keras.layers.Dense(len(bias), activation="softmax" if softmax else None, name="head", dtype="float32")
    model: KerasModel = keras.Model(images, head(network.run(images)), name="compact")
    head.set_weights([kernel, bias])
    return model
