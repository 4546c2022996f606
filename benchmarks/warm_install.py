#!/usr/bin/env python3
"""Installing modules that are installed: every byte is checked again, beside reading and hashing the same bytes.

    python benchmarks/warm_install.py [--runs 15]

All modules of each release in the starter registry, into a cache that has them, in this process, in turn with the same
files read and hashed by hashlib. Files come from memory, as the system keeps them after the first run.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common

RELEASES = ("cifar10/r20", "cifar10/r56", "cifar10/vgg", "cifar100/r20")


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def hashed(files: list[Path]) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def measured(release: str, runs: int) -> dict[str, Any]:
    import modhub

    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"

        def install() -> Any:
            return modhub.install(release, cache=cache)

        installed = install()
        files = [file for file in (cache / "blobs").rglob("*") if file.is_file()]
        pairs = [(seconds(install), seconds(lambda: hashed(files))) for _ in range(runs)]
    return {
        "modules": len(installed),
        "bytes": sum(blob.fetched for blob in installed),
        "pairs": pairs,
        "ratio": statistics.median(own / yardstick for own, yardstick in pairs),
    }


def main() -> None:
    arguments = common.parser(__doc__ or "", needs_data=False)
    arguments.add_argument("--runs", type=int, default=15)
    options = arguments.parse_args()
    figures = {release: measured(release, options.runs) for release in RELEASES}
    common.keep(options.out, "warm-install", figures)
    import report

    print(report.warm_install(figures))


if __name__ == "__main__":
    main()
