"""Modules for benchmarks/update.py: with full masks, and with sparse ones by how often nodes are active."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import keras
import numpy as np

from modhub.data.classes import slugs_of
from modhub.decomposition.head import modular_head
from modhub.decomposition.jaccard import jaccard
from modhub.decomposition.sites import find_sites
from modhub.engine.read.reader import read_model
from modhub.engine.run.network import Network, preprocess
from modhub.package.decomposition import trunk_fingerprint, with_digests
from modhub.package.module import Module, Origin, PackedMasks
from modhub.package.weights_blob import weights_digest
from modhub.spec.contract import contract_of
from modhub.spec.manifest import Stages

#: A sparse module keeps nodes that are active for more than this share of concerned or of unconcerned inputs.
RATE = {"cifar10": 0.065, "cifar100": 0.02}
OBSERVED = 200


class Rates(keras.Model):
    """How often each node of each site is active in a batch of raw images: (nodes,) float32."""

    def __init__(self, network: Network, origin: Origin, sites: Any) -> None:
        super().__init__(name="rates", dtype="float32")
        self.jit_compile = False
        self._network, self._origin = network, origin
        self._sites = {site.id for site in sites}

    def call(self, images: Any) -> Any:
        rows = []

        def visit(call: str, output: Any) -> Any:
            if call in self._sites:
                rows.append(keras.ops.reshape(keras.ops.mean(keras.ops.cast(output > 0, "float32"), axis=0), (1, -1)))
            return output

        features = self._network.run(preprocess(images, self._origin.contract), visit)
        return keras.ops.concatenate([*rows, keras.ops.mean(features, axis=0, keepdims=True) * 0], axis=1)


def origin_of(models: Path, data: Path, name: str) -> tuple[Origin, common.Images]:
    train = common.images(data, name, "train")
    reading = read_model(common.model(models, f"{name}-r20"))
    architecture, weights = reading.architecture, reading.weights
    contract = contract_of(train.x, rescale=1 / 255, mean=None, std=None)
    fingerprint = trunk_fingerprint(architecture, weights_digest(weights), contract)
    return Origin(name, "r20", train.classes, architecture, weights, contract, fingerprint), train


def activity_rates(origin: Origin, train: common.Images, sites: Any) -> Any:
    """The share of each class's observed images for which each node is active: (classes, nodes)."""
    network = Rates(Network(origin.architecture, origin.weights), origin, sites)
    nodes = sum(site.nodes for site in sites)
    return np.stack(
        [
            network.predict_on_batch(train.x[np.flatnonzero(train.y == cls)[:OBSERVED]])[0, :nodes]
            for cls in range(len(origin.classes))
        ]
    )


def full_modules(models: Path, data: Path, hundreds: list[int]) -> tuple[list[Module], list[Module]]:
    """All modules of both origins, their masks full."""
    made = []
    for name, classes in (("cifar10", list(range(10))), ("cifar100", hundreds)):
        origin, train = origin_of(models, data, name)
        rates = activity_rates(origin, train, find_sites(origin.architecture, "relu"))
        made.append(_modules(origin, classes, rates, "relu", None))
    return made[0], made[1]


def sparse_modules(models: Path, data: Path, hundreds: list[int]) -> tuple[list[Module], list[Module]]:
    """Modules that keep the nodes, the convolutions' own, that are active often enough."""
    made = []
    for name, classes in (("cifar10", list(range(10))), ("cifar100", hundreds)):
        origin, train = origin_of(models, data, name)
        rates = activity_rates(origin, train, find_sites(origin.architecture, "conv"))
        made.append(_modules(origin, classes, rates, "conv", RATE[name]))
    return made[0], made[1]


def _modules(origin: Origin, classes: list[int], rates: Any, observe: Any, least: float | None) -> list[Module]:
    sites = find_sites(origin.architecture, observe)
    active = _unpacked(sites, rates.max(axis=0) > 0)
    slugs, result = slugs_of(origin.classes), []
    for cls in classes:
        others = np.delete(rates, cls, axis=0).mean(axis=0)
        concern = rates[cls] > (0 if least is None else least)
        keep = np.ones_like(concern) if least is None else concern | (others > least)
        masks, own = _unpacked(sites, keep), _unpacked(sites, concern)
        counts = [tuple(int(mask.sum()) for mask in part.values()) for part in (own, masks)]
        none = (0,) * len(sites)
        tangled = tuple(kept - less for less, kept in zip(*counts, strict=True))
        result.append(
            Module(
                origin=origin,
                index=cls,
                name=origin.classes[cls],
                slug=slugs[cls],
                keep=PackedMasks.of(masks),
                concern=PackedMasks.of(own),
                head=modular_head(origin.weights["head/kernel"], origin.weights["head/bias"], cls),
                threshold=0.0,
                scale=1.0,
                concerned=OBSERVED,
                unconcerned=OBSERVED,
                stages=Stages(concern=counts[0], tangled=tangled, last_conv=none, input=none, kept=counts[1]),
                jaccard=jaccard(masks, active),
                jaccard_weights=1.0,
            )
        )
    return list(with_digests(result))


def _unpacked(sites: Any, flat: Any) -> dict[str, Any]:
    ends = np.cumsum([site.nodes for site in sites])
    return {site.id: flat[end - site.nodes : end].reshape(site.shape) for site, end in zip(sites, ends, strict=True)}
