"""The one pass over the data: activity of every node and the logits of every image, reduced on the device.

A step holds groups of images of one segment each; the compiled network takes every site's maximum over each group, so
what reaches the host is one boolean row a group, never images x nodes (docs/algorithm.md, Concern identification
and Tangling identification).

Every step has the same number of images, filled up by repeating some. So what a network makes of an image depends
neither on the images beside it nor on how the data is divided, and many machines give the bits of one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.activity import Activity
from modhub.decomposition.sampling import Batches, Segment
from modhub.decomposition.sites import Site
from modhub.engine.library import keras, ops
from modhub.engine.run.compiled import Function, compiled, fetched
from modhub.engine.run.devices import has_accelerator
from modhub.engine.run.network import Network, preprocess
from modhub.package.module import Weights
from modhub.spec.input_contract import InputContract

StepProgress = Callable[[int, int], None]

#: Images a step on a processor: so few that a layer's output stays in its cache, so many that kernels run full.
_STEP: Final = 64


def activity_probe(
    network: Network, weights: Weights, contract: InputContract, sites: Sequence[Site], group: int
) -> Function:
    """Compiled: raw images (B, H, W, C), in groups of ``group``, to active nodes (B / group, nodes), logits (B, N)."""
    observed = frozenset(site.id for site in sites)
    kernel, bias = (np.asarray(weights[f"head/{name}"], np.float32) for name in ("kernel", "bias"))

    def run(images: Any) -> dict[str, Any]:
        rows = []

        def visit(call: str, output: Any) -> Any:
            if call in observed:
                rows.append(_highest(output, group) > 0)
            return output

        features = network.run(preprocess(images, contract), visit)
        # A network without a ReLU has no site, and so no node that could be inactive.
        active = ops.concatenate(rows, axis=1) if rows else ops.zeros((images.shape[0] // group, 0), "bool")
        return {"active": active, "logits": ops.add(ops.matmul(features, kernel), bias)}

    return compiled(run)


def _highest(output: Any, group: int) -> Any:
    """Each node's maximum over groups of ``group`` images: of ``output`` (B, ...), (B / group, nodes)."""
    shape = output.shape[1:]
    if keras.backend.backend() == "tensorflow":
        # A maximum over one axis is not vectorised there, but pooling is, and reads memory twice as fast.
        grouped = ops.reshape(output, (-1, group, prod(shape[:-1]), shape[-1]))
        pooled = ops.max_pool(grouped, (group, 1), (group, 1), "valid", "channels_last")
        return ops.reshape(pooled, (-1, prod(shape)))
    return ops.max(ops.reshape(output, (-1, group, prod(shape))), axis=1)


def step_size(batch_size: int) -> int:
    """How many images a compiled step takes where a person allows ``batch_size`` at a time."""
    return min(batch_size, _STEP) if _on_processor() else batch_size


def _on_processor() -> bool:
    return keras.backend.backend() == "tensorflow" and not has_accelerator()


def threads_for(batch_size: int) -> int:
    """Steps at a time: together they hold no more images than one batch, and leave no processor waiting."""
    if not _on_processor():
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, batch_size // step_size(batch_size)))


def observe(
    network: Network,
    weights: Weights,
    contract: InputContract,
    sites: Sequence[Site],
    parts: Sequence[Segment],
    batches: Batches,
    images: Any,
    progress: StepProgress | None = None,
    *,
    threads: int = 1,
) -> tuple[Activity, NDArray[np.float32]]:
    """Run all batches once, ``threads`` of them at a time.

    ``images`` are raw, (inputs, H, W, C), an array or rows that are read as they are needed. Gives the activity of
    every segment, and the origin's logits, float32 (observed inputs, classes), for the inputs in ascending order.
    ``progress`` is called with batches done and in all.
    """
    probe = _probe_of(network, weights, contract, sites, batches.group)
    activity = Activity(sites, parts)
    observed = np.unique(batches.images)
    logits = np.empty((len(observed), len(weights["head/bias"])), np.float32)

    def run(number: int) -> Any:
        return probe(images[batches.images[number].reshape(-1)])

    for number, outputs in enumerate(fetched(_in_order(run, len(batches.images), threads))):
        activity.record(batches.rows[number], outputs["active"])
        logits[np.searchsorted(observed, batches.images[number].reshape(-1))] = outputs["logits"]
        if progress:
            progress(number + 1, len(batches.images))
    return activity, logits


def _in_order(run: Callable[[int], Any], count: int, threads: int) -> Iterator[Any]:
    """``run(0)``, ``run(1)``, ... with at most ``threads`` under way; the first alone, because it compiles."""
    yield run(0)
    if threads == 1:
        yield from map(run, range(1, count))
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Any] = deque()
        try:
            for number in range(1, count):
                waiting.append(pool.submit(run, number))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _probe_of(
    network: Network, weights: Weights, contract: InputContract, sites: Sequence[Site], group: int
) -> Function:
    """The network's probe, compiled once however often the network is observed in the same way."""
    key = ("activity", contract.model_dump_json(), tuple(site.id for site in sites), group)
    if key not in network.compiled:
        network.compiled[key] = activity_probe(network, weights, contract, sites, group)
    return network.compiled[key]
