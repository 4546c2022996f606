#!/usr/bin/env python3
"""What decomposing costs: against one model.predict, and against a bare compiled forward pass, of the same images.

    python benchmarks/cost.py --data DATA [--runs 5] [--images N] [--only cifar10-r56 cifar100-r20]

All three take the same images at the same batch size. Times: in one process, each runs once to warm up, so all are
compiled; then they take turns ``--runs`` times. The table shows medians, and the median of the ratios of one turn.
``cold`` is the first decompose, which also builds and compiles. Seconds of the clock and of the processors are both
kept: on a machine that does other things only the second compare. Memory: the peak resident size of a process that
does one of them, less that of a process that only loads network and images and runs one batch.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common

BATCH = 256


def predict(model: Any, data: common.Images) -> None:
    model.predict(data.x.astype("float32") / 255, batch_size=BATCH, verbose=0)


def decompose(model: Any, data: common.Images) -> None:
    import modhub

    modhub.decompose(model, data.x, data.y, classes=data.classes, name="bench/net", rescale=1 / 255, batch_size=BATCH)


_compiled: dict[int, Any] = {}


def bare(model: Any, data: common.Images) -> None:
    """The physical limit: one compiled call a batch, nothing kept."""
    import tensorflow as tf

    if id(model) not in _compiled:
        signature = tf.TensorSpec((None, *data.x.shape[1:]), tf.uint8)
        _compiled[id(model)] = tf.function(
            lambda images: model(tf.cast(images, "float32") * (1 / 255), training=False),
            input_signature=[signature],
            jit_compile=False,
            autograph=False,
        )
    for start in range(0, len(data.x), BATCH):
        _compiled[id(model)](data.x[start : start + BATCH]).numpy()


TIMED = {"bare": bare, "predict": predict, "decompose": decompose}
WORK = {**TIMED, "nothing": lambda model, data: None}


def timed(options: Any, name: str) -> dict[str, Any]:
    """All contenders in turn in this process: seconds of the clock and of the processors."""
    model, data = loaded(options, name)
    clock: dict[str, list[float]] = {work: [] for work in TIMED}
    processors: dict[str, list[float]] = {work: [] for work in TIMED}
    cold = 0.0
    for turn in range(options.runs + 1):
        for work, run in TIMED.items():
            started, spent = time.perf_counter(), time.process_time()
            run(model, data)
            seconds = time.perf_counter() - started, time.process_time() - spent
            if turn:
                clock[work].append(seconds[0])
                processors[work].append(seconds[1])
            elif work == "decompose":
                cold = seconds[1]
    return {"images": len(data.y), "seconds": clock, "processor_seconds": processors, "cold_processor_seconds": cold}


def loaded(options: Any, name: str) -> tuple[Any, common.Images]:
    model, data = common.model(options.models, name), common.images(options.data, common.MODELS[name], "train")
    return model, data if options.images is None else spread(data, options.images)


def spread(data: common.Images, count: int) -> common.Images:
    """``count`` images, of all classes alike."""
    import numpy as np

    order = np.argsort(data.y, kind="stable").reshape(len(data.classes), -1).T.reshape(-1)[:count]
    return common.Images(data.x[order], data.y[order], data.classes)


def peak(options: Any, name: str, work: str) -> int:
    """Peak resident bytes of this process doing one thing once."""
    model, data = loaded(options, name)
    model.predict(data.x[:BATCH].astype("float32") / 255, batch_size=BATCH, verbose=0)
    WORK[work](model, data)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """``decompose`` over each of the others, medians of one turn's ratios."""
    return {
        other: statistics.median(own / yardstick for own, yardstick in zip(times["decompose"], seconds, strict=True))
        for other, seconds in times.items()
        if other != "decompose"
    }


def child(options: Any, *arguments: str) -> Any:
    command = [sys.executable, __file__, "--models", str(options.models), "--data", str(options.data)]
    command += [] if options.images is None else ["--images", str(options.images)]
    done = subprocess.run(
        [*command, "--runs", str(options.runs), "--child", *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--images", type=int, help="so many of the images; default: all")
    arguments.add_argument("--only", nargs="*", default=["cifar10-r20", "cifar10-r56", "cifar10-vgg", "cifar100-r20"])
    arguments.add_argument("--child", nargs="+")
    options = arguments.parse_args()
    if options.child:
        name, work = options.child
        print(json.dumps(timed(options, name) if work == "time" else peak(options, name, work)))
        return
    figures = {}
    for name in options.only:
        times = child(options, name, "time")
        peaks = {work: child(options, name, work) for work in WORK}
        against = ratios(times["seconds"])
        figures[name] = {
            **times,
            "ratio": against["predict"],
            "ratios": against,
            "processor_ratios": ratios(times["processor_seconds"]),
            "peak_bytes": peaks,
            "beyond_mib": {work: (peaks[work] - peaks["nothing"]) / 2**20 for work in TIMED},
            "peak_ratio": peaks["decompose"] / peaks["bare"],
        }
    common.keep(options.out, "cost", figures)
    import report

    print(report.cost(figures))


if __name__ == "__main__":
    main()
