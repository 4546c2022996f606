"""The modules of one network in two ways, and the margins that they give.

``default`` are modules as ``decompose`` makes them, near-full masks on these networks. ``distinct`` keep only what
concern identification finds in few images a class, without the tangled nodes, as many images as leave the mean Jaccard
index below 0.8: no option of decompose gets there on these networks. A network's modules are made once a process, and a
module's margins for equal images are computed once.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from study import Figures, Trained

from modhub.data.images import ImageData
from modhub.decomposition.jaccard import jaccard
from modhub.engine.decompose.pipeline import decompose_origin
from modhub.engine.read.check import logits_of
from modhub.engine.run.isolated import MaskedNetwork, OriginRunner, masked_sites
from modhub.engine.run.network import Network
from modhub.package.module import Module, Origin
from modhub.spec.manifest import DecomposeOptions

WAYS = ("default", "distinct")
#: In a way's place: the network itself, by its own logits.
LOGITS = "logits"
#: Distinct modules have a mean Jaccard index below this, where few images allow it.
BELOW = 0.8
#: Images a class from which concern identification may learn for distinct modules.
RUNGS = (5, 10, 20, 50, 100, 200)
#: Images a class that default modules are made with, at most; decompose's own default.
SAMPLES = 1000
BATCH = 250
#: A shared pass is compiled again for each set of modules, which pays for more than these.
FEW = 2


@dataclass(eq=False)
class Source:
    """One trained network: its modules, and what they and the network itself say of images."""

    network: Trained
    made: dict[str, tuple[list[Module], Figures]] = field(default_factory=dict)
    _compiled: dict[str, MaskedNetwork] = field(default_factory=dict)
    _margins: dict[tuple[str, int, str], Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def test(self) -> ImageData:
        return self.network.data.test

    def modules(self, way: str) -> list[Module]:
        """One module for each class, in order."""
        return self._made(way)[0]

    def about(self, way: str) -> Figures:
        """Mean Jaccard index, share of nodes kept, and images a class."""
        return self._made(way)[1]

    def _made(self, way: str) -> tuple[list[Module], Figures]:
        if way not in self.made:
            make = as_decomposed if way == "default" else concern_alone
            self.made[way] = make(self.network.origin, self.network.data.train)
        return self.made[way]

    def margins(self, way: str, classes: Sequence[int], images: Any) -> Any:
        """Margins float32 (N, classes) by isolated modules, as a composite computes them.

        With ``LOGITS`` in the way's place, the network's own logits of these classes.
        """
        digest = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
        new = [label for label in dict.fromkeys(classes) if (way, label, digest) not in self._margins]
        if new:
            few = self._few if len(new) <= FEW else self._many
            run = self._logits if way == LOGITS else few
            for label, column in zip(new, run(way, new, images).T, strict=True):
                self._margins[way, label, digest] = column
        return np.stack([self._margins[way, label, digest] for label in classes], axis=1)

    def _many(self, way: str, classes: Sequence[int], images: Any) -> Any:
        modules = [self.modules(way)[label] for label in classes]
        return OriginRunner(modules[0].origin, modules).margins(images, BATCH)

    def _few(self, way: str, classes: Sequence[int], images: Any) -> Any:
        """As OriginRunner does, with one compiled network for all calls."""
        modules = self.modules(way)
        if way not in self._compiled:
            origin = modules[0].origin
            trunk = Network(origin.architecture, origin.weights)
            self._compiled[way] = MaskedNetwork(trunk, origin.contract, masked_sites(modules))
        result = np.empty((len(images), len(classes)), np.float32)
        for column, label in enumerate(classes):
            self._compiled[way].set_masks(modules[label].keep)
            head = modules[label].head
            features = self._compiled[way].features(images, BATCH)
            result[:, column] = head.margins(features)
        return result

    def _logits(self, way: str, classes: Sequence[int], images: Any) -> Any:
        origin = self.network.origin
        return logits_of(origin, origin.contract, images, BATCH)[:, classes]


@cache
def source(network: Trained) -> Source:
    """The one Source of a network, so that commands of one process share its modules and margins."""
    return Source(network)


def as_decomposed(origin: Origin, train: ImageData) -> tuple[list[Module], Figures]:
    """Modules by decompose's defaults."""
    modules = decomposed_modules(origin, train, SAMPLES, backtrack="last-conv")
    images = max(module.concerned for module in modules)
    return modules, {"jaccard": mean_jaccard(modules), "kept": kept(modules), "images": images}


def concern_alone(origin: Origin, train: ImageData) -> tuple[list[Module], Figures]:
    """Modules that keep their concern's nodes alone, from the most images a class that leave JI below ``BELOW``."""
    best = None
    for rung in RUNGS:
        if rung > np.bincount(train.y).max():
            break
        modules = untangled(decomposed_modules(origin, train, rung))
        index = mean_jaccard(modules)
        if best is not None and index >= BELOW:
            break
        best = modules, {"jaccard": index, "kept": kept(modules), "images": rung}
    assert best is not None
    return best


def decomposed_modules(origin: Origin, train: ImageData, count: int, **options: Any) -> list[Module]:
    """Modules made with at most ``count`` images a class; without backtracking unless ``options`` say otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = DecomposeOptions(samples_per_class=count, **({"backtrack": "none"} | options))
        return list(
            decompose_origin(origin, [f"c{k}" for k in range(len(origin.classes))], train.x, train.y, chosen).modules
        )


def untangled(modules: Sequence[Module]) -> list[Module]:
    """All modules of an origin without the nodes that tangling identification added."""
    active = {site: np.logical_or.reduce([m.concern[site] for m in modules]) for site in modules[0].concern}
    return [replace(module, keep=module.concern, jaccard=jaccard(module.concern, active)) for module in modules]


def kept(modules: Sequence[Any]) -> float:
    """The mean share of nodes that the modules keep."""
    shares = [[mask.mean() * mask.size for mask in module.keep.values()] for module in modules]
    return float(np.mean([sum(own) for own in shares]) / sum(mask.size for mask in modules[0].keep.values()))


def mean_jaccard(modules: Sequence[Module]) -> float:
    return float(np.mean([module.jaccard for module in modules]))
