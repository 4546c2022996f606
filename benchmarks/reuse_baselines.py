#!/usr/bin/env python3
"""Train the two-class networks that benchmarks/reuse.py compares composites with.

    python benchmarks/reuse_baselines.py --data DATA [--train-minutes 25]

The pairs are drawn by a seed before anything is measured. Cells that results/reuse-trained.json has already, with the
same settings, are kept, so a run that was stopped goes on; no cell is begun after the minutes are over.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np

#: Epochs for each kind of pair: 360 to 750 steps, within half an hour for all on one core.
EPOCHS = {"cifar10": 15, "cifar100": 60, "imagenet200": 120, "cifar10 + cifar100": 25}
BATCH = {"cifar10": 32, "cifar100": 8, "imagenet200": 8, "cifar10 + cifar100": 32}
#: The paper's smallest network: the same for every data set but for the size of its images.
NETWORK = {"cifar10": "cifar10-r20", "cifar100": "cifar100-r20", "imagenet200": "imagenet200-r20"}
SEED = 0
PAIRS = 3

Class = tuple[str, int]
Settings = dict[str, Any]


def drawn(datasets: Sequence[str], classes: dict[str, int], count: int) -> list[tuple[Class, Class]]:
    """``count`` different pairs of classes, or as many as there are, seeded.

    Both classes are of one data set, or one is of each of two.
    """
    sizes = [classes[name] for name in datasets]
    count = min(count, sizes[0] * (sizes[0] - 1) // 2 if len(sizes) == 1 else sizes[0] * sizes[1])
    random = np.random.default_rng([SEED, *(ord(letter) for letter in "".join(datasets))])
    found: list[tuple[Class, Class]] = []
    while len(found) < count:
        if len(datasets) == 1:
            name = datasets[0]
            one, other = sorted(random.choice(classes[name], 2, replace=False).tolist())
            pair = (name, one), (name, other)
        else:
            first, second = datasets
            pair = (first, int(random.integers(classes[first]))), (second, int(random.integers(classes[second])))
        if pair not in found:
            found.append(pair)
    return found


def wanted(classes: dict[str, int]) -> list[tuple[str, tuple[Class, Class]]]:
    """The kind and the classes of every pair to train, one of each kind at a time."""
    kinds = [(kind, drawn(kind.split(" + "), classes, PAIRS)) for kind in EPOCHS]
    return [(kind, pairs[number]) for number in range(PAIRS) for kind, pairs in kinds]


def jobs(classes: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Settings, tuple[Class, Class]]]:
    """Name, settings and classes of every cell; ``classes`` are the data sets'."""
    for kind, pair in wanted({name: len(own) for name, own in classes.items()}):
        names = [classes[name][label] for name, label in pair]
        settings = {
            "kind": kind,
            "pair": names,
            "epochs": EPOCHS[kind],
            "batch": BATCH[kind],
            "seed": SEED,
            "network": NETWORK[pair[0][0]],
        }
        yield f"{kind}: {' + '.join(names)}", settings, pair


def missing(
    cells: Mapping[str, Any], every: Iterable[tuple[str, Settings, Any]]
) -> Iterator[tuple[str, Settings, Any]]:
    """The jobs whose cell is not there, or was made with other settings."""
    return (job for job in every if not job[1].items() <= cells.get(job[0], {}).items())


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--train-minutes", type=float, default=25.0, help="begin no network after this time")
    arguments.add_argument("--kinds", nargs="*", choices=list(EPOCHS), default=list(EPOCHS))
    options = arguments.parse_args()
    import baselines

    data = [{name: common.images(options.data, name, split) for name in NETWORK} for split in ("train", "test")]
    cells = before(options.out)
    stop = time.monotonic() + 60 * options.train_minutes
    for key, settings, pair in missing(dict(cells), jobs({name: own.classes for name, own in data[0].items()})):
        if time.monotonic() > stop:
            break
        if settings["kind"] not in options.kinds:
            continue
        parts = [[split[name].x[split[name].y == label] for name, label in pair] for split in data]
        network = common.model(options.models, settings["network"])
        figures = baselines.train(
            network, baselines.TwoClasses.of(*parts), epochs=settings["epochs"], seed=SEED, batch=settings["batch"]
        )
        cells[key] = settings | figures
        common.keep(options.out, "reuse-trained", cells)
        print(key, json.dumps(figures), flush=True)


def before(out: Path) -> dict[str, Any]:
    """The cells of earlier runs."""
    kept = out / "reuse-trained.json"
    return dict(json.loads(kept.read_text())["figures"]) if kept.exists() else {}


if __name__ == "__main__":
    main()
