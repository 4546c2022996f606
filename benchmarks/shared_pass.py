#!/usr/bin/env python3
"""What it saves that modules of one network share a pass wherever their masks change nothing.

    python benchmarks/shared_pass.py --data DATA

All modules of a starter release answer the same test images, once sharing a pass (``engine/watched.py``) and once each
by itself, warm, in turns, medians of several. The answers have to be equal bit for bit; "run again" is the share of
pairs of image and module that the shared pass could not answer.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import report

from modhub.engine.run import shared_pass
from modhub.engine.run.isolated import OriginRunner
from modhub.installation.backend import InstalledBackend

RELEASES = {"cifar10/r20": "cifar10", "cifar10/vgg": "cifar10", "cifar10/r56": "cifar10"}
IMAGES = 1024
ROUNDS = 5


def main() -> None:
    options = common.parser(__doc__ or "").parse_args()
    rows = []
    for name, dataset in RELEASES.items():
        data = common.images(options.data, dataset, "test")
        images = data.x[np.random.default_rng(0).permutation(len(data.x))[:IMAGES]]
        rows.append({"release": name, **measured(InstalledBackend(None, None).find([name])[0], images, ROUNDS)})
    common.keep(options.out, "shared-pass", rows)
    print(report.shared_pass(rows))


def measured(modules: list[Any], images: Any, rounds: int) -> dict[str, Any]:
    """Seconds of both ways, medians of ``rounds``, and the share of pairs that ran again."""
    shared, alone = OriginRunner(modules[0].origin, modules), runner_of_each(modules)
    times: dict[str, list[float]] = {"shared": [], "alone": []}
    answers = {}
    for number in range(rounds + 1):
        for way, runner in (("shared", shared), ("alone", alone)):
            start = time.perf_counter()
            answers[way] = runner.margins(images, 256)
            # The first round traces and compiles.
            if number:
                times[way].append(time.perf_counter() - start)
    if not np.array_equal(answers["shared"], answers["alone"]):
        sys.exit(f"{modules[0].ref}: the shared pass answers otherwise")
    hits = shared._watched.watch(images, 256)[1]
    return {
        "modules": len(modules),
        "images": len(images),
        "run_again": float(hits.mean()),
        **{f"{way}_s": statistics.median(values) for way, values in times.items()},
    }


def runner_of_each(modules: list[Any]) -> OriginRunner:
    """One that runs every module by itself, as if there were too much to watch."""
    most, shared_pass.MOST_WATCHED = shared_pass.MOST_WATCHED, 0
    try:
        return OriginRunner(modules[0].origin, modules)
    finally:
        shared_pass.MOST_WATCHED = most


if __name__ == "__main__":
    main()
