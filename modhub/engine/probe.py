"""The one pass over the data: activity of every node and the logits of every image, reduced on the device.

A batch holds groups of images of one segment each; the compiled step takes every site's maximum over each group, so
what reaches the host is one boolean row a group, never images x nodes (DESIGN section 3, CI and TI in one pass).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from modhub.decomposition.activity import Activity
from modhub.decomposition.sampling import Batches, Segment
from modhub.decomposition.sites import Site
from modhub.engine.network import Network, preprocess
from modhub.manifest import InputContract
from modhub.module import Weights

Progress = Callable[[int, int], None]


class ActivityProbe(keras.Model):
    """Maps raw images (B, H, W, C), in groups of ``group``, to active nodes (B / group, nodes) and logits (B, N)."""

    def __init__(self, network: Network, weights: Weights, contract: InputContract, sites: Sequence[Site], group: int):
        super().__init__(name="activity_probe", dtype="float32")
        self.jit_compile = False
        self._network = network
        self._contract = contract
        self._sites = frozenset(site.id for site in sites)
        self._group = group
        self._kernel = np.asarray(weights["head/kernel"], np.float32)
        self._bias = np.asarray(weights["head/bias"], np.float32)

    def call(self, images: Any) -> dict[str, Any]:
        rows = []

        def visit(call: str, output: Any) -> Any:
            if call in self._sites:
                grouped = ops.reshape(output, (-1, self._group, int(np.prod(output.shape[1:]))))
                rows.append(ops.max(grouped, axis=1) > 0)
            return output

        features = self._network.run(preprocess(images, self._contract), visit)
        logits = ops.matmul(features, self._kernel) + self._bias
        return {"active": ops.concatenate(rows, axis=1), "logits": logits}


def observe(
    network: Network,
    weights: Weights,
    contract: InputContract,
    sites: Sequence[Site],
    parts: Sequence[Segment],
    batches: Batches,
    images: NDArray[Any],
    progress: Progress | None = None,
) -> tuple[Activity, NDArray[np.float32]]:
    """Run all batches once.

    ``images`` are raw, (inputs, H, W, C). Gives the activity of every segment, and the origin's logits, float32
    (inputs, classes), NaN for inputs that were not observed. ``progress`` is told batches done and in all.
    """
    probe = ActivityProbe(network, weights, contract, sites, batches.group)
    activity = Activity(sites, parts)
    logits = np.full((len(images), len(weights["head/bias"])), np.nan, np.float32)
    for number, (groups, rows) in enumerate(zip(batches.images, batches.rows, strict=True)):
        chosen = groups.reshape(-1)
        outputs = probe.predict_on_batch(images[chosen])
        activity.record(rows, outputs["active"])
        logits[chosen] = outputs["logits"]
        if progress:
            progress(number + 1, len(batches.images))
    return activity, logits
