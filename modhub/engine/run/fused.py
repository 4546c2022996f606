"""All modules of one origin at once: one trunk under the union of their masks, one matrix product for all heads.

One forward pass however many modules. An approximation wherever masks differ: a module then sees nodes that it lacks
and another one keeps. What equals the isolated answer is a composite of modules with equal masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter
from modhub.composition.recipe import Dtype
from modhub.engine.library import ops
from modhub.engine.run.adapters import prepared
from modhub.engine.run.batches import batch_that_fits, in_batches, live_bytes
from modhub.engine.run.compiled import Function, compiled
from modhub.engine.run.masks import mask_tensors, masking, on_all_sites, union_of
from modhub.engine.run.network import Network
from modhub.engine.run.trunks import trunk_of
from modhub.package.module import Head, MarginHead, Masks, Module, Origin
from modhub.spec.input_contract import InputContract


def fused_network(
    network: Network, contract: InputContract, masks: Masks, heads: Sequence[Head], adapter: Adapter | None = None
) -> Function:
    """Compiled: raw images (N, H, W, C) to the margins (N, heads) float32, every image through the trunk once."""
    lacking = mask_tensors(masks, [site for site, mask in masks.items() if not mask.all()])
    head = MarginHead.of(heads)
    kernel, bias = ops.convert_to_tensor(head.kernel), ops.convert_to_tensor(head.bias)

    def run(images: Any) -> Any:
        features = network.run(prepared(images, contract, adapter), masking(lacking))
        return ops.matmul(features, kernel) + bias

    return compiled(run)


class FusedRunner:
    """Runs modules of one origin together, behind an adapter where one is given."""

    def __init__(
        self, origin: Origin, modules: Sequence[Module], adapter: Adapter | None = None, dtype: Dtype = "float32"
    ) -> None:
        self.origin = origin
        self._width = len(modules)
        self._live = live_bytes(origin.architecture)
        heads, union = [module.head for module in modules], union_of(on_all_sites(modules))
        self._run = fused_network(trunk_of(origin, dtype), origin.contract, union, heads, adapter)

    def margins(
        self, images: NDArray[Any], batch_size: int, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Margins of raw images (N, H, W, C); float32 (N, modules). ``progress`` is called with the images done."""
        result = np.empty((len(images), self._width), np.float32)
        start = 0
        for part in in_batches(self._run, images, batch_that_fits(self._live, batch_size)):
            result[start : start + len(part)] = part
            start += len(part)
            if progress is not None:
                progress(start)
        return result
