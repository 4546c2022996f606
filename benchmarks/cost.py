#!/usr/bin/env python3
"""What decomposing costs: against one model.predict, and against a bare compiled forward pass, of the same images.

    python benchmarks/cost.py --data DATA [--runs 5] [--images N] [--batch 256] [--no-memory] [--only cifar10-r56]
    python benchmarks/cost.py --only ResNet50 MobileNetV2 EfficientNetB0 --images 640 --name cost-applications

Names of ``keras.applications`` are networks with random weights on random images of ten classes (``applications.py``),
for which no data is needed; of these the size of the published release is measured as well.

All three take the same images at the same batch size. Times: in one process, each runs once to warm up, so all are
compiled; then they take turns ``--runs`` times. The table shows medians, and the median of the ratios of one turn.
``cold`` is the first decompose, which also builds and compiles. Seconds of the clock and of the processors are both
kept: on a machine that does other things only the second compare. Memory: the peak resident size of a process that
does one of them, and that of a process that only loads network and images and runs one batch; on an accelerator also
the most that it had there. ``KERAS_BACKEND=jax`` or ``torch`` measures these.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common


def predict(model: Any, data: common.Images, batch: int) -> None:
    model.predict(data.scaled, batch_size=batch, verbose=0)


def decompose(model: Any, data: common.Images, batch: int) -> None:
    import modhub

    modhub.decompose(
        model, data.x, data.y, classes=data.classes, name="bench/net", rescale=data.rescale, batch_size=batch
    )


_compiled: dict[int, Any] = {}


def bare(model: Any, data: common.Images, batch: int) -> None:
    """The physical limit: one compiled call a batch, nothing kept."""
    import backends

    if id(model) not in _compiled:
        _compiled[id(model)] = backends.bare_pass(model, data.rescale)
    for start in range(0, len(data.x), batch):
        _compiled[id(model)](data.x[start : start + batch])


TIMED = {"bare": bare, "predict": predict, "decompose": decompose}
WORK = {**TIMED, "nothing": lambda model, data, batch: None}


def timed(options: Any, name: str) -> dict[str, Any]:
    """All contenders in turn in this process: seconds of the clock and of the processors."""
    model, data = loaded(options, name)
    clock: dict[str, list[float]] = {work: [] for work in TIMED}
    processors: dict[str, list[float]] = {work: [] for work in TIMED}
    cold = 0.0
    for turn in range(options.runs + 1):
        for work, run in TIMED.items():
            started, spent = time.perf_counter(), time.process_time()
            run(model, data, options.batch)
            seconds = time.perf_counter() - started, time.process_time() - spent
            if turn:
                clock[work].append(seconds[0])
                processors[work].append(seconds[1])
            elif work == "decompose":
                cold = seconds[1]
    import backends

    return {
        **backends.named(),
        "images": len(data.y),
        "seconds": clock,
        "processor_seconds": processors,
        "cold_processor_seconds": cold,
    }


def loaded(options: Any, name: str) -> tuple[Any, common.Images]:
    if name not in common.MODELS:
        import applications

        return applications.trained(name, options.size, options.images or 640)
    model, data = common.model(options.models, name), common.images(options.data, common.MODELS[name], "train")
    return model, data if options.images is None else spread(data, options.images)


def spread(data: common.Images, count: int) -> common.Images:
    """``count`` images, of all classes alike, some of them several times if there are not so many."""
    import numpy as np

    order = np.argsort(data.y, kind="stable").reshape(len(data.classes), -1).T.reshape(-1)
    order = np.resize(order, count)
    return data.taken(order)


def peak(options: Any, name: str, work: str) -> tuple[int, int]:
    """Peak resident bytes of this process doing one thing once, and its peak on the accelerator."""
    import backends

    model, data = loaded(options, name)
    model.predict(data.first(options.batch).scaled, batch_size=options.batch, verbose=0)
    WORK[work](model, data, options.batch)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, backends.device_peak()


def release_share(options: Any, name: str) -> float:
    """Stored bytes of the published release over those of the weights in float32."""
    import modhub

    model, data = loaded(options, name)
    few = spread(data, 40)
    decomposition = modhub.decompose(model, few.x, few.y, classes=few.classes, name="bench/net", rescale=few.rescale)
    with tempfile.TemporaryDirectory() as folder:
        release = modhub.publish(decomposition, version="1.0.0", registry=folder)
    return float(release.size / (4 * sum(value.size for value in decomposition.origin.weights.values())))


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """``decompose`` over each of the others, medians of one turn's ratios."""
    return {
        other: statistics.median(own / yardstick for own, yardstick in zip(times["decompose"], seconds, strict=True))
        for other, seconds in times.items()
        if other != "decompose"
    }


def child(options: Any, *arguments: str) -> Any:
    command = [sys.executable, __file__, "--models", str(options.models)]
    command += [] if options.data is None else ["--data", str(options.data)]
    command += ["--batch", str(options.batch), "--size", str(options.size)]
    command += [] if options.images is None else ["--images", str(options.images)]
    done = subprocess.run(
        [*command, "--runs", str(options.runs), "--child", *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    arguments = common.parser(__doc__ or "", needs_data=False)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--images", type=int, help="so many of the images; default: all")
    arguments.add_argument("--batch", type=int, default=256, help="images a batch")
    arguments.add_argument("--only", nargs="*", default=["cifar10-r20", "cifar10-r56", "cifar10-vgg", "cifar100-r20"])
    arguments.add_argument("--no-memory", action="store_true", help="times only")
    arguments.add_argument("--size", type=int, default=96, help="rows and columns of images of random networks")
    arguments.add_argument("--name", default="cost", help="of the file that keeps the figures")
    arguments.add_argument("--child", nargs="+")
    options = arguments.parse_args()
    if options.child:
        name, work = options.child
        do = {"time": timed, "share": release_share}.get(work, lambda *given: peak(*given, work))
        print(json.dumps(do(options, name)))
        return
    if options.data is None and any(name in common.MODELS for name in options.only):
        arguments.error("the trained networks need --data")
    figures = {}
    for name in options.only:
        times = child(options, name, "time")
        both = {} if options.no_memory else {work: child(options, name, work) for work in WORK}
        peaks = {work: host for work, (host, _) in both.items()}
        against = ratios(times["seconds"])
        figures[name] = {
            **times,
            "ratio": against["predict"],
            "ratios": against,
            "processor_ratios": ratios(times["processor_seconds"]),
        }
        if peaks:
            figures[name] |= {
                "peak_bytes": peaks,
                "device_peak_bytes": {work: device for work, (_, device) in both.items()},
                "beyond_mib": {work: (peaks[work] - peaks["nothing"]) / 2**20 for work in TIMED},
                "peak_ratio": peaks["decompose"] / peaks["bare"],
                "peak_of_predict": peaks["decompose"] / peaks["predict"],
            }
        if name not in common.MODELS:
            figures[name]["release_share"] = child(options, name, "share")
        common.keep(options.out, options.name, figures)
    import report

    print(report.cost(figures))


if __name__ == "__main__":
    main()
