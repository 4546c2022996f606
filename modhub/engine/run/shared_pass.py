"""One pass with every node kept, which also says for which images a module's masks matter at all.

An image that makes none of a module's removed nodes differ from zero runs through the module exactly as through the
whole network. So modules with masks of their own share that one pass, and only other pairs of image and module need a
run with masks. Nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter
from modhub.engine.library import ops
from modhub.engine.run.adapters import prepared
from modhub.engine.run.batches import in_batches
from modhub.engine.run.compiled import FEW, compiled
from modhub.engine.run.network import Network
from modhub.limits import MIB
from modhub.package.module import Masks
from modhub.spec.input_contract import InputContract

#: Bytes that the removed nodes of all masks may take; beyond it every module runs by itself.
MOST_WATCHED: Final = 16 * MIB


class WatchedNetwork:
    """Maps raw images (B, H, W, C) to the whole network's features (B, F) and to hits (B, masks).

    A hit is an image that makes a node which that mask removes differ from zero.
    """

    def __init__(
        self, network: Network, contract: InputContract, masks: Sequence[Masks], adapter: Adapter | None = None
    ) -> None:
        sites = {site: ops.convert_to_tensor(removed) for site, removed in _removed(masks)}

        def run(images: Any) -> dict[str, Any]:
            hits = []

            def visit(call: str, output: Any) -> Any:
                if call in sites:
                    differs = ops.cast(ops.not_equal(output, 0.0), "float32")
                    flat = ops.reshape(differs, (-1, int(np.prod(output.shape[1:]))))
                    hits.append(ops.matmul(flat, ops.cast(sites[call], "float32")) > 0)
                return output

            features = network.run(prepared(images, contract, adapter), visit)
            return {"features": features, "hits": ops.any(ops.stack(hits), axis=0)}

        self._run = compiled(run, after=FEW)

    def watch(self, images: NDArray[Any], batch_size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Features float32 (N, F) and hits bool (N, masks) of all images, N >= 1."""
        parts = list(in_batches(self._run, images, batch_size))
        return np.concatenate([part["features"] for part in parts]), np.concatenate([part["hits"] for part in parts])


def is_worth_watching(masks: Sequence[Masks]) -> bool:
    """Whether several masks, of which one at least removes something, can share a pass within ``MOST_WATCHED``."""
    if len(masks) < 2:
        return False
    nodes = sum(masks[0][site].size for site in masks[0] if not all(each[site].all() for each in masks))
    return 0 < nodes * len(masks) <= MOST_WATCHED


def _removed(masks: Sequence[Masks]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """For each site where a mask removes a node: True where it does, (nodes, masks)."""
    for site in masks[0]:
        removed = np.stack([~mask[site].ravel() for mask in masks], axis=1)
        if removed.any():
            yield site, removed
