"""All modules of one origin at once: one trunk under the union of their masks, one matrix product for all heads.

One forward pass however many modules. An approximation wherever masks differ: a module then sees nodes that it lacks
and another one keeps. What equals the isolated answer is a composite of modules with equal masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from modhub.adapters import Adapter
from modhub.composition.modes import Dtype
from modhub.engine.adapting import adapted
from modhub.engine.batches import batch_that_fits, in_batches, live_bytes
from modhub.engine.masks import margin_head, on_all_sites, union_of
from modhub.engine.network import JIT_COMPILE, Network, preprocess
from modhub.engine.reduced import trunk_of
from modhub.manifest import InputContract
from modhub.module import Head, Masks, Module, Origin


class FusedNetwork(keras.Model):
    """Raw images (N, H, W, C) to the margins (N, heads) float32, every image through the trunk once."""

    def __init__(
        self,
        network: Network,
        contract: InputContract,
        masks: Masks,
        heads: Sequence[Head],
        adapter: Adapter | None = None,
    ) -> None:
        super().__init__(name="fused_network", dtype="float32")
        self.jit_compile = JIT_COMPILE
        self._network = network
        self._contract = contract
        self._adapter = adapter
        lacking = {site: mask for site, mask in masks.items() if not mask.all()}
        self._masks = {site: self._constant(f"mask_{n}", mask) for n, (site, mask) in enumerate(lacking.items())}
        kernel, bias = margin_head(heads)
        self._kernel, self._bias = self._constant("kernel", kernel), self._constant("bias", bias)

    def call(self, images: Any) -> Any:
        def visit(call: str, output: Any) -> Any:
            return output * ops.cast(self._masks[call], output.dtype) if call in self._masks else output

        if self._adapter is not None:
            images = adapted(images, self._adapter)
        features = self._network.run(preprocess(images, self._contract), visit)
        return ops.matmul(features, self._kernel) + self._bias

    def _constant(self, name: str, values: NDArray[Any]) -> Any:
        weight = self.add_weight(shape=values.shape, initializer="zeros", trainable=False, name=name)
        weight.assign(values.astype(np.float32))
        return weight


class FusedRunner:
    """Runs modules of one origin together, behind an adapter where one is given."""

    def __init__(
        self, origin: Origin, modules: Sequence[Module], adapter: Adapter | None = None, dtype: Dtype = "float32"
    ) -> None:
        self.origin = origin
        self._width = len(modules)
        self._live = live_bytes(origin.architecture)
        heads, union = [module.head for module in modules], union_of(on_all_sites(modules))
        self._network = FusedNetwork(trunk_of(origin, dtype), origin.contract, union, heads, adapter)

    def margins(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """Margins of raw images (N, H, W, C); float32 (N, modules)."""
        result = np.empty((len(images), self._width), np.float32)
        start = 0
        for part in in_batches(self._network, images, batch_that_fits(self._live, batch_size)):
            result[start : start + len(part)] = part
            start += len(part)
        return result
