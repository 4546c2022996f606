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
    """Runs any modules of one origin, behind an adapter where one is given. Modules with equal masks share a run."""

    def __init__(self, origin: Origin, modules: Sequence[Module], adapter: Adapter | None = None) -> None:
        self.origin = origin
        self._network = MaskedNetwork(
            Network(origin.architecture, origin.weights), origin.contract, masked_sites(modules), adapter
        )
        self._groups = equal_masks(modules)
        self._modules = list(modules)

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """``(w_c - w_uc) . h + (b_c - b_uc)`` of raw images (N, H, W, C); float32 (N, modules)."""
        result = np.empty((len(images), len(self._modules)), np.float32)
        for members in self._groups:
            self._network.set_masks(self._modules[members[0]].keep)
            features = self._network.features(images, batch_size)
            heads = [self._modules[member].head for member in members]
            kernel = np.stack([head.margin_kernel for head in heads], axis=1)
            result[:, members] = features @ kernel + np.array([head.margin_bias for head in heads], np.float32)
        return result


def equal_masks(modules: Sequence[Module]) -> list[list[int]]:
    """Positions of the modules, those with equal masks together, in order of first appearance."""
    groups: dict[bytes, list[int]] = {}
    for position, module in enumerate(modules):
        groups.setdefault(module.keep.key(), []).append(position)
    return list(groups.values())
