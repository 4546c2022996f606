#!/usr/bin/env python3
"""Where a network's time goes, by kind of operation, as TensorFlow's profiler sees it.

    python benchmarks/profile_ops.py --data DATA [--images 512] [--only isolated fused decompose ...]

Each way of asking the ten modules of cifar10/r20 in the starter registry, its decomposition, and the network's own
``predict`` run once to compile and once under the profiler. The table has milliseconds of all threads together, so on
two processors up to twice the time of the clock, and the time that no operation accounts for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import cost
import modes

#: Operations by what they are for; whatever else there is counts as other.
KINDS = {
    "convolution": ("Conv2D",),
    "matrix product": ("MatMul",),
    "masks": ("Mul",),
    "addition, ReLU": ("Add", "Relu", "BiasAdd"),
    "pooling": ("Pool",),
    "casts, comparisons": ("Cast", "Greater", "NotEqual"),
}


def kind_of(operation: str) -> str:
    return next((kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), "other")


def profiled(work: Callable[[], Any]) -> tuple[dict[str, float], float]:
    """Milliseconds of each kind of operation, and of the clock, while ``work`` runs once."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        tf.profiler.experimental.stop()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        return operations(trace.read_bytes()), 1000 * seconds


def operations(trace: bytes) -> dict[str, float]:
    """Milliseconds by kind in a trace. An operation's event is named ``name:Type``; those around it have no type."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(trace)
    found: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                operation = name.rpartition(":")[2]
                if ":" in name and "::" not in name and operation.isidentifier() and "Call" not in operation:
                    found[kind_of(operation)] += event.duration_ps / 1e9
    return dict(found)


def contenders(options: Any) -> dict[str, Callable[[], Any]]:
    import modhub

    model, test = common.model(options.models, "cifar10-r20"), common.images(options.data, "cifar10", "test")
    images = cost.spread(test, options.images)

    def decompose() -> Any:
        return modhub.decompose(model, images.x, images.y, classes=test.classes, name="a/b", rescale=1 / 255)

    return {
        "predict": modes.origins(model, images.x)["origin, not XLA"],
        "decompose": decompose,
        **modes.composites("cifar10/r20", images.x),
    }


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--images", type=int, default=512)
    arguments.add_argument("--only", nargs="*")
    options = arguments.parse_args()
    figures = {}
    for name, work in contenders(options).items():
        if options.only and name not in options.only:
            continue
        work()
        by_kind, clock = profiled(work)
        figures[name] = {"images": options.images, "clock": clock, "operations": by_kind}
    common.keep(options.out, "profile-ops", figures)
    import report

    print(report.profile_ops(figures))


if __name__ == "__main__":
    main()
