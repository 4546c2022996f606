"""Running a compiled function over many images without holding more than fits."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Final

from numpy.typing import NDArray

from modhub.engine.run import memory
from modhub.engine.run.compiled import Function, fetched
from modhub.engine.run.devices import has_accelerator
from modhub.engine.run.memory import images_in_batch
from modhub.limits import MIB
from modhub.spec.architecture import INPUT, Architecture, shapes_of

#: Kernels need scratch space, and runtimes free late: bytes taken for each byte of tensors that are live at once.
_SLACK: Final = 3
#: Bytes of live tensors that a batch has on a processor: more images at once are no faster there and take more memory.
_MOST_ON_PROCESSORS: Final = 12 * MIB


def in_batches(run: Function, images: NDArray[Any], batch_size: int) -> Iterator[Any]:
    """What a compiled function gives for each ``batch_size`` of raw images, as numpy arrays."""
    return fetched(run(images[start : start + batch_size]) for start in range(0, len(images), batch_size))


def batch_that_fits(live: int, batch_size: int) -> int:
    """``batch_size``, or fewer images of ``live`` bytes each: what fits into free memory and what processors need."""
    if not has_accelerator():
        batch_size = min(batch_size, max(1, _MOST_ON_PROCESSORS // live))
    return images_in_batch(memory.free(), _SLACK * live, batch_size)


def live_bytes(architecture: Architecture) -> int:
    """Bytes of one image's float32 tensors when most of them are needed at once."""
    shapes = shapes_of(architecture)
    last = {source: position for position, call in enumerate(architecture.calls) for source in call.inputs}
    live = {INPUT: prod(shapes[INPUT])}
    most = live[INPUT]
    for position, call in enumerate(architecture.calls):
        live[call.id] = prod(shapes[call.id])
        most = max(most, sum(live.values()))
        for source in {*call.inputs}:
            if last[source] == position:
                live.pop(source, None)
    return 4 * most
