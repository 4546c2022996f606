#!/usr/bin/env python3
"""What decomposing costs: time and memory against one model.predict over the same images at the same batch size.

    python benchmarks/cost.py --data DATA [--runs 5] [--only cifar10-r56 cifar100-r20]

Times: in one process, predict runs once to warm up, then both in turn ``--runs`` times; the table shows medians, and
the median ratio of the pairs. ``decompose`` counts everything, its compilation too, each time anew. Memory: the peak
resident size of a process that does one of the two, less that of a process that only loads network and images.
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
import report

BATCH = 256


def predict(model: Any, data: common.Images) -> None:
    model.predict(data.x.astype("float32") / 255, batch_size=BATCH, verbose=0)


def decompose(model: Any, data: common.Images) -> None:
    import modhub

    modhub.decompose(model, data.x, data.y, classes=data.classes, name="bench/net", rescale=1 / 255, batch_size=BATCH)


WORK = {"predict": predict, "decompose": decompose, "nothing": lambda model, data: None}


def timed(options: Any, name: str) -> dict[str, Any]:
    """Both contenders in turn in this process, seconds."""
    model, data = common.model(options.models, name), common.images(options.data, common.MODELS[name], "train")
    seconds: dict[str, list[float]] = {"predict": [], "decompose": []}
    predict(model, data)
    for _ in range(options.runs):
        for work in seconds:
            started = time.perf_counter()
            WORK[work](model, data)
            seconds[work].append(time.perf_counter() - started)
    return {"images": len(data.y), "seconds": seconds}


def peak(options: Any, name: str, work: str) -> int:
    """Peak resident bytes of this process doing one thing once."""
    model, data = common.model(options.models, name), common.images(options.data, common.MODELS[name], "train")
    model.predict(data.x[:BATCH].astype("float32") / 255, batch_size=BATCH, verbose=0)
    WORK[work](model, data)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(options: Any, *arguments: str) -> Any:
    command = [sys.executable, __file__, "--models", str(options.models), "--data", str(options.data)]
    done = subprocess.run(
        [*command, "--runs", str(options.runs), "--child", *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--runs", type=int, default=5)
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
        pairs = zip(times["seconds"]["decompose"], times["seconds"]["predict"], strict=True)
        beyond = {work: (peaks[work] - peaks["nothing"]) / 2**20 for work in ("predict", "decompose")}
        ratio = statistics.median(own / yardstick for own, yardstick in pairs)
        figures[name] = {**times, "ratio": ratio, "peak_bytes": peaks, "beyond_mib": beyond}
    common.keep(options.out, "cost", figures)
    print(report.cost(figures))


if __name__ == "__main__":
    main()
