"""Running many variants of one module at once: masks that differ only late share the network's beginning.

A sweep over rules and deltas changes the masks of one class at the last sites only. All variants are run in one
compiled step, on one trunk up to the first site at which any two of them differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from modhub.engine.run.network import Network, preprocess
from modhub.package.module import Masks, Origin


class VariantNetwork(keras.Model):
    """Raw images (N, H, W, C) to features (variants, N, F)."""

    def __init__(self, network: Network, origin: Origin, sites: Sequence[str], first: int, variants: int) -> None:
        super().__init__(name="variants", dtype="float32")
        self.jit_compile = False
        self._network, self._origin = network, origin
        order = {call.id: position for position, call in enumerate(origin.architecture.calls)}
        self._first = min((order[site] for site in sites[first:]), default=len(order))
        self._trunk = {site: self._mask(site, "trunk") for site in sites[:first]}
        self._tails = [{site: self._mask(site, f"tail{k}") for site in sites[first:]} for k in range(variants)]

    def _mask(self, site: str, where: str) -> Any:
        name = f"{where}_{len(self.weights)}"
        return self.add_weight(shape=self._network.shapes[site], initializer="ones", trainable=False, name=name)

    def set_masks(self, variants: Sequence[Masks]) -> None:
        for site, variable in self._trunk.items():
            variable.assign(variants[0][site].astype(np.float32))
        for masks, tail in zip(variants, self._tails, strict=True):
            for site, variable in tail.items():
                variable.assign(masks[site].astype(np.float32))

    def call(self, images: Any) -> Any:
        def visitor(masks: dict[str, Any]) -> Any:
            return lambda call, output: output * masks[call] if call in masks else output

        start = {"input": preprocess(images, self._origin.contract)}
        live = self._network.advance(start, visitor(self._trunk), stop=self._first)
        ends = [self._network.advance(live, visitor(tail), start=self._first) for tail in self._tails]
        return keras.ops.stack([end[self._origin.architecture.features] for end in ends], axis=1)


def first_difference(sites: Sequence[str], variants: Sequence[Sequence[Masks]]) -> int:
    """Index of the first site at which two variants of any class differ; ``variants[k][cls]`` are masks."""
    for number, site in enumerate(sites):
        for cls in range(len(variants[0])):
            base = variants[0][cls][site]
            if any(not np.array_equal(base, variant[cls][site]) for variant in variants[1:]):
                return number
    return len(sites)


def margins(
    origin: Origin, sites: Sequence[str], variants: Sequence[Sequence[Any]], images: Any, batch_size: int = 250
) -> Any:
    """Margins float32 (variants, N, classes) of raw images; ``variants[k]`` are all modules of one variant."""
    first = first_difference(sites, [[module.keep for module in modules] for modules in variants])
    network = VariantNetwork(Network(origin.architecture, origin.weights), origin, sites, first, len(variants))
    result = np.empty((len(variants), len(images), len(variants[0])), np.float32)
    for cls in range(len(variants[0])):
        network.set_masks([modules[cls].keep for modules in variants])
        head = variants[0][cls].head
        for start in range(0, len(images), batch_size):
            features = network.predict_on_batch(images[start : start + batch_size])
            values = head.margins(features)
            result[:, start : start + batch_size, cls] = values.T
    return result
