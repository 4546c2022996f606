"""The origins whose classes benchmarks/reuse.py reuses: modules, test images, and what they say of them.

Modules stand in two ways. ``usual`` are decompose's defaults, near-full masks on these networks. ``distinct`` keep only
what concern identification finds in few images a class, without the tangled nodes, as many images as leave the mean
Jaccard index below 0.8: no option of decompose gets there on these networks (``reuse.distinctness`` measures it).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import accuracy
import common
import numpy as np

from modhub import compose
from modhub.decomposition.jaccard import jaccard
from modhub.engine.check import logits_of
from modhub.engine.masked import MaskedNetwork, masked_sites
from modhub.engine.network import Network
from modhub.engine.pipeline import cut
from modhub.manifest import DecomposeOptions
from modhub.module import Module, Origin

WAYS = ("usual", "distinct")
BELOW = 0.8
#: Images a class from which concern identification may learn for distinct modules.
RUNGS = (5, 10, 20, 50, 100, 200)


@dataclass(eq=False)
class Source:
    """One trained network: ``usual`` gives its modules; ``folder`` keeps margins between runs, where one is given."""

    name: str
    dataset: str
    origin: Origin
    train: common.Images
    test: common.Images
    usual: Callable[[], Sequence[Module]]
    folder: Path | None = None
    _cut: dict[str, tuple[list[Module], dict[str, Any]]] = field(default_factory=dict)
    _networks: dict[str, MaskedNetwork] = field(default_factory=dict)

    def modules(self, way: str) -> list[Module]:
        return self._made(way)[0]

    def about(self, way: str) -> dict[str, Any]:
        """Mean Jaccard index, share of nodes kept, and images a class."""
        return self._made(way)[1]

    def _made(self, way: str) -> tuple[list[Module], dict[str, Any]]:
        if way not in self._cut:
            if way == "usual":
                modules = list(self.usual())
                about = {"jaccard": mean_jaccard(modules), "kept": kept(modules)}
                self._cut[way] = modules, about | {"images": max(module.concerned for module in modules)}
            else:
                self._cut[way] = concern_alone(self.origin, self.train)
        return self._cut[way]

    def margins(self, way: str, classes: Sequence[int], images: Any, what: str) -> Any:
        """Margins float32 (N, classes) by isolated modules, as a composite computes them; ``what`` names the images."""
        modules = [self.modules(way)[label] for label in classes]
        marks = (part for module in modules for part in (module.keep.key(), module.head.kernel.tobytes()))
        return self._remembered(f"{what}-{way}", marks, images, partial(self._run, way, classes, images))

    def _run(self, way: str, classes: Sequence[int], images: Any) -> Any:
        """As OriginRunner does, with one compiled network for all calls."""
        modules = self.modules(way)
        if way not in self._networks:
            origin = modules[0].origin
            trunk = Network(origin.architecture, origin.weights)
            self._networks[way] = MaskedNetwork(trunk, origin.contract, masked_sites(modules))
        result = np.empty((len(images), len(classes)), np.float32)
        for column, label in enumerate(classes):
            self._networks[way].set_masks(modules[label].keep)
            head = modules[label].head
            features = self._networks[way].features(images, 250)
            result[:, column] = features @ head.margin_kernel + head.margin_bias
        return result

    def logits(self, images: Any, what: str) -> Any:
        """The network's own logits (N, all classes)."""
        origin = self.origin
        made = partial(logits_of, origin, origin.contract, images, 250)
        return self._remembered(f"{what}-logits", (), images, made)

    def _remembered(self, what: str, marks: Iterable[bytes], images: Any, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, or gave in an earlier run for equal images and ``marks``."""
        if self.folder is None:
            return make()
        digest = hashlib.sha256(np.ascontiguousarray(images).tobytes())
        for mark in marks:
            digest.update(mark)
        file = self.folder / f"{self.name}-{what}-{digest.hexdigest()[:16]}.npy"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            np.save(file, make())
        return np.load(file)


def kept(modules: Sequence[Any]) -> float:
    """The mean share of nodes that the modules keep."""
    shares = [[mask.mean() * mask.size for mask in module.keep.values()] for module in modules]
    return float(np.mean([sum(own) for own in shares]) / sum(mask.size for mask in modules[0].keep.values()))


def concern_alone(origin: Origin, train: common.Images) -> tuple[list[Module], dict[str, Any]]:
    """Modules that keep their concern's nodes alone, from the most images a class that leave JI below ``BELOW``."""
    best = None
    for rung in RUNGS:
        if rung > np.bincount(train.y).max():
            break
        modules = untangled(few_images(origin, train, rung))
        index = mean_jaccard(modules)
        if best is not None and index >= BELOW:
            break
        best = modules, {"jaccard": index, "kept": kept(modules), "images": rung}
    assert best is not None
    return best


def few_images(origin: Origin, train: common.Images, count: int, **options: Any) -> list[Module]:
    """Modules cut with at most ``count`` images a class; without backtracking unless ``options`` say otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = DecomposeOptions(samples_per_class=count, **({"backtrack": "none"} | options))
        return list(cut(origin, [f"c{k}" for k in range(len(origin.classes))], train.x, train.y, chosen).modules)


def untangled(modules: Sequence[Module]) -> list[Module]:
    """All modules of an origin without the nodes that tangling identification added."""
    active = {site: np.logical_or.reduce([m.concern[site] for m in modules]) for site in modules[0].concern}
    return [replace(module, keep=module.concern, jaccard=jaccard(module.concern, active)) for module in modules]


def mean_jaccard(modules: Sequence[Module]) -> float:
    return float(np.mean([module.jaccard for module in modules]))


def shared(options: Any, name: str) -> Source:
    """A network of the models folder. Its modules come from the starter registry, where it has them, else are cut."""
    dataset = common.MODELS[name]
    train, test = (common.images(options.data, dataset, split) for split in ("train", "test"))
    origin = accuracy.origin_of(common.model(options.models, name), name, train)
    starter = {"cifar10-r20", "cifar10-r56", "cifar10-vgg", "cifar100-r20"}
    make = partial(_installed, name.replace("-", "/")) if name in starter else partial(_cut_all, origin, train)
    return Source(name, dataset, origin, train, test, make, options.margins)


def _installed(name: str) -> list[Module]:
    import tempfile

    with tempfile.TemporaryDirectory() as cache:
        return sorted(compose([name], cache=cache).modules, key=lambda module: module.index)


def _cut_all(origin: Origin, train: common.Images) -> list[Module]:
    return few_images(origin, train, 1000, backtrack="last-conv")


def digits(name: str, folder: Path | None, *, few: str | None = None, letters: bool = False) -> Source:
    """A small network trained on the spot, for a quick run: digits, digits with four images of one class, letters."""
    from modhub.demo.digits import load_digits
    from modhub.demo.letters import load_letters
    from modhub.engine.training import train_small_cnn

    data = (load_letters if letters else load_digits)()
    train = data.train
    if few is not None:
        own = np.flatnonzero(train.labels == few)
        train = train.take(np.setdiff1d(np.arange(len(train)), own[4:]))
    own_train, own_test = (common.Images(part.x, part.y, tuple(part.classes)) for part in (data.train, data.test))
    origin = accuracy.origin_of(train_small_cnn(train, seed=len(name), epochs=4), name, own_train)
    cut_all = partial(_cut_all, origin, own_train)
    return Source(name, "letters" if letters else "digits", origin, own_train, own_test, cut_all, folder)
