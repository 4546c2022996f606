#!/usr/bin/env python3
"""What evaluating a composite of a hundred modules takes: wall time and peak memory.

    python benchmarks/hundred.py --data DATA [--images 4000] [--quick]

``modhub.evaluate(["cifar100/r20"], data)`` from the starter registry into an empty cache, masks isolated, in a process
of its own that does nothing else. Seconds count from before modhub is imported to the evaluation; the peak is that
process's resident memory (Linux). Asked: at most 24 GiB and 15 minutes on 2 cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
from peers import MIB, peak

RELEASE = "cifar100/r20"
DATASET = "cifar100"


def child(data: Path, count: int) -> dict[str, Any]:
    """What this process takes for the evaluation of ``count`` test images, spread over the classes."""
    import tempfile

    started = time.perf_counter()
    import modhub
    from modhub.data.images import load_data

    test = load_data(data / f"{DATASET}_test.npz")
    step = max(1, len(test) // count)
    test = test.take(list(range(0, len(test), step))[:count])
    with tempfile.TemporaryDirectory() as cache:
        found = modhub.evaluate([RELEASE], test, registry=[], cache=cache)
    seconds = time.perf_counter() - started
    figures = found.to_dict()
    return {
        "release": RELEASE,
        "modules": len(found.classes),
        "images": len(test),
        "seconds": seconds,
        "peak_bytes": peak(),
        "images_per_second": len(test) / seconds,
        "top_1": figures["top_1"],
        "top_5": figures["top_5"],
    }


def measured(data: Path, count: int) -> dict[str, Any]:
    """The figures of a process of its own."""
    command = [sys.executable, __file__, "--child", str(data), str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: dict[str, Any]) -> str:
    tops = [
        f"{found[top]['value']:.1%} ({found[top]['low']:.1%} to {found[top]['high']:.1%})" for top in ("top_1", "top_5")
    ]
    row = (
        found["release"], found["modules"], found["images"], f"{found['seconds']:.0f}",
        f"{found['images_per_second']:.1f}", f"{found['peak_bytes'] / MIB / 1024:.2f}", *tops,
    )  # fmt: skip
    return common.markdown(("release", "modules", "images", "seconds", "images/s", "peak GiB", "top-1", "top-5"), [row])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--images", type=int, default=4000)
    arguments.add_argument("--quick", action="store_true", help="a hundred images; nothing is kept")
    options = arguments.parse_args()
    found = measured(options.data, 100 if options.quick else options.images)
    if not options.quick:
        common.keep(options.out, "hundred", found)
    print(table(found))


if __name__ == "__main__":
    main()
