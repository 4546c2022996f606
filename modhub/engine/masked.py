"""Running modules: the origin's trunk with a module's masks, compiled once for all modules of an origin.

Masks are variables of the compiled network, so that another module is another assignment and never another trace.
Sites where no module of the group lacks a node carry no mask at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from modhub.adapters import Adapter
from modhub.engine.adapting import adapted
from modhub.engine.network import Network, preprocess
from modhub.engine.watched import WatchedNetwork, is_worth_watching
from modhub.manifest import InputContract
from modhub.module import Masks, Module, Origin


class MaskedNetwork(keras.Model):
    """Raw images (N, H, W, C) to the features (N, F) of the module whose masks were set last."""

    def __init__(
        self, network: Network, contract: InputContract, sites: Iterable[str], adapter: Adapter | None = None
    ) -> None:
        super().__init__(name="masked_network", dtype="float32")
        self.jit_compile = False
        self._network = network
        self._contract = contract
        self._adapter = adapter
        self._masks = {
            site: self.add_weight(
                shape=network.shapes[site], initializer="ones", trainable=False, name=f"mask_{number}"
            )
            for number, site in enumerate(sites)
        }

    def set_masks(self, masks: Masks) -> None:
        """Use ``masks`` from the next batch on; sites that carry no mask here must be full."""
        for site, variable in self._masks.items():
            variable.assign(masks[site].astype(np.float32))

    def call(self, images: Any) -> Any:
        def visit(call: str, output: Any) -> Any:
            return output * self._masks[call] if call in self._masks else output

        if self._adapter is not None:
            images = adapted(images, self._adapter)
        return self._network.run(preprocess(images, self._contract), visit)

    def features(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """The features of all images, float32 (N, F), in batches of ``batch_size``."""
        parts = [
            self.predict_on_batch(images[start : start + batch_size]) for start in range(0, len(images), batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self._features()), np.float32)

    def _features(self) -> int:
        return self._network.shapes[self._network.architecture.features][0]


def masked_sites(modules: Sequence[Module]) -> list[str]:
    """The sites at which at least one of the modules lacks a node."""
    return [site for site in modules[0].keep if not all(module.keep[site].all() for module in modules)]


class OriginRunner:
    """Runs any modules of one origin, behind an adapter where one is given.

    Modules with equal masks share a run. Modules with other masks share one pass of the whole network for all images on
    which their masks change nothing, and run by themselves on the others only.
    """

    def __init__(self, origin: Origin, modules: Sequence[Module], adapter: Adapter | None = None) -> None:
        self.origin = origin
        self._modules = list(modules)
        self._groups = equal_masks(modules)
        trunk = Network(origin.architecture, origin.weights)
        masks = [modules[members[0]].keep for members in self._groups]
        self._network = MaskedNetwork(trunk, origin.contract, masked_sites(modules), adapter)
        worth = is_worth_watching(masks)
        self._watched = WatchedNetwork(trunk, origin.contract, masks, adapter) if worth else None

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """``(w_c - w_uc) . h + (b_c - b_uc)`` of raw images (N, H, W, C); float32 (N, modules)."""
        result = np.empty((len(images), len(self._modules)), np.float32)
        shared = self._watched.watch(images, batch_size) if self._watched and len(images) else None
        for number, members in enumerate(self._groups):
            masks = self._modules[members[0]].keep
            if shared is None:
                self._network.set_masks(masks)
                features = self._network.features(images, batch_size)
            else:
                features = self._only_hits(masks, images, batch_size, shared[0], shared[1][:, number])
            heads = [self._modules[member].head for member in members]
            kernel = np.stack([head.margin_kernel for head in heads], axis=1)
            result[:, members] = features @ kernel + np.array([head.margin_bias for head in heads], np.float32)
        return result

    def _only_hits(
        self,
        masks: Masks,
        images: NDArray[Any],
        batch_size: int,
        whole: NDArray[np.float32],
        hits: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """The features under ``masks``: those of the ``whole`` network but for the images that are ``hits``."""
        rows = np.flatnonzero(hits)
        if not len(rows):
            return whole
        self._network.set_masks(masks)
        features = whole.copy()
        # Filled up to few different numbers of images, because each one is traced and compiled.
        filled = np.resize(rows, _filled(len(rows), batch_size))
        features[rows] = self._network.features(images[filled], batch_size)[: len(rows)]
        return features


def _filled(count: int, batch_size: int) -> int:
    """``count`` with its last batch filled up to a power of two, or to a whole batch."""
    whole, rest = divmod(count, batch_size)
    return whole * batch_size + (min(batch_size, 1 << (rest - 1).bit_length()) if rest else 0)


def equal_masks(modules: Sequence[Module]) -> list[list[int]]:
    """Positions of the modules, those with equal masks together, in order of first appearance."""
    groups: dict[bytes, list[int]] = {}
    for position, module in enumerate(modules):
        groups.setdefault(module.keep.key(), []).append(position)
    return list(groups.values())
