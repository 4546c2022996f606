#!/usr/bin/env python3
"""Compact releases beside the networks they come from: accuracy, size and time, and several networks made one.

    python benchmarks/compact.py --data DATA [--only ROW] [--seed SEED]

A row is one call of ``modhub.compact`` with the training images; the test images, all of them, are answered by what
came out and by the network or composite it came from, and nothing else is done with them. ``cost`` is the difference in
percentage points with the 95 % interval of the paired bootstrap (balanced over the classes for several networks). A
``pass`` is the processor time of 10,000 images once through the origin, measured in the same process; the passes of a
row are the processor time of the whole call over that. Times of 256 images are medians of batches that alternate with
the origin's. Rows stand in results/compact.json with their seed; those that are there are not measured again.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np

import modhub

SEEDS = (0, 1)
PASS_IMAGES, PASS_BATCHES = 10_000, 12
BATCH, TIMED = 256, 11
ANIMALS_AND_PLANE = ("airplane", "cat", "dog")


@dataclass(frozen=True)
class Row:
    """What is made compact, how, and what is asked of it. ``classes`` are those wanted of ``network``, all where none
    are named; ``mixture`` is how many classes of cifar10-r20 and of cifar100-r20 are drawn by the seed. ``labels`` is
    how many labelled images of each class the head and the polish learn from (0 for none, -1 for all)."""

    network: str
    flops: float
    most_points: float | None
    jaccard: float | None = None
    polish_steps: int = 0
    classes: tuple[str, ...] = ()
    mixture: tuple[int, int] | None = None
    labels: int = 0

    @property
    def is_composite(self) -> bool:
        return bool(self.classes or self.mixture)

    @property
    def method(self) -> str:
        labels = {0: "", -1: ", all labels"}.get(self.labels, f", {self.labels} labelled a class")
        return (f"polish, {self.polish_steps} steps" if self.polish_steps else "closed form") + labels

    @property
    def what(self) -> str:
        if self.mixture:
            return "{} + {} classes in one network".format(*self.mixture)
        bound = f", JI <= {self.jaccard:.2f}" if self.jaccard else ""
        return f"{self.network}{' of ' + ', '.join(self.classes) if self.classes else ''}, {self.flops:.0%}{bound}"


def _both(name: str, closed: float | None, polished: float | None, steps: int = 700, **asked: Any) -> dict[str, Row]:
    """A row in closed form and one with the polish behind it, of as many steps as fit into 40 passes."""
    return {
        name: Row(most_points=closed, **asked),
        f"{name}-polish": Row(most_points=polished, polish_steps=steps, **asked),
    }


ROWS: dict[str, Row] = {
    **_both("r20", 2.0, 1.0, network="cifar10-r20", flops=0.5, jaccard=0.5),
    **_both("r20-75", 1.2, 0.6, steps=450, network="cifar10-r20", flops=0.75),
    **_both("c100", 1.2, 1.0, network="cifar100-r20", flops=0.5, jaccard=0.45),
    **_both("vgg", 2.3, 1.5, steps=800, network="cifar10-vgg", flops=0.5),
    **_both("vgg-ji", 3.5, 2.5, steps=1000, network="cifar10-vgg", flops=0.5, jaccard=0.5),
    **_both("r56", 1.0, 0.5, network="cifar10-r56", flops=0.5),
    **_both("three", 0.5, 0.3, network="cifar10-r20", flops=0.5, classes=ANIMALS_AND_PLANE),
    **_both("three-15", None, 3.0, network="cifar10-r20", flops=0.15, classes=ANIMALS_AND_PLANE),
    **_both("r20-25", None, 4.0, network="cifar10-r20", flops=0.25),
}  # fmt: skip
for _first, _second in ((5, 5), (10, 20), (10, 100)):
    _name = f"mixed-{_first}-{_second}"
    _asked: dict[str, Any] = {"network": "cifar10-r20 and cifar100-r20", "flops": 0.5, "mixture": (_first, _second)}
    ROWS[_name] = Row(most_points=3.0, **_asked)
    for _labels in (100, -1):
        _what = f"{_name}-{'all' if _labels < 0 else _labels}"
        ROWS[_what] = Row(most_points=0.0, labels=_labels, polish_steps=800 if _labels < 0 else 300, **_asked)


class Origin:
    """A trained network with its images, its modules, and what a pass of it takes."""

    def __init__(self, name: str, data: Path, models: Path) -> None:
        self.train, self.test = (common.images(data, common.MODELS[name], split) for split in ("train", "test"))
        self.model = common.model(models, name)
        self.whole = modhub.decompose(
            self.model, self.train.x, self.train.y, classes=self.train.classes, name=f"bench/{name}", rescale=1 / 255,
            dataset=common.MODELS[name],
        )  # fmt: skip
        self.pass_seconds = pass_seconds(self.model, self.train.scaled[:1000])
        self.winners = np.argmax(self.model.predict(self.test.scaled, verbose=0), axis=1)


origin = functools.cache(Origin)


class Task:
    """One row's images and labels: what ``compact`` gets and how the whole answers the test images."""

    def __init__(self, row: Row, seed: int, options: Any) -> None:
        self.row, self.seed, self.where = row, seed, (options.data, options.models)
        self.subject: Any
        if row.mixture:
            self._draw_mixture(row.mixture)
            return
        self.origin = origin(row.network, *self.where)
        self.train, self.test = self.origin.train, self.origin.test
        self.subject, self.described = self.origin.model, {"classes": self.train.classes, "rescale": 1 / 255}
        if row.classes:
            self.subject, self.described = _composed(_named(self.origin.whole, row.classes)), {}
            self.train, self.test = (restricted(data, row.classes) for data in (self.train, self.test))

    def _draw_mixture(self, mixture: tuple[int, int]) -> None:
        modules, trains, tests = [], [], []
        random = np.random.default_rng([self.seed, 7])
        for name, count in zip(("cifar10-r20", "cifar100-r20"), mixture, strict=True):
            self.origin = origin(name, *self.where)
            classes = self.origin.train.classes
            chosen = tuple(classes[place] for place in np.sort(random.permutation(len(classes))[:count]))
            modules += _named(self.origin.whole, chosen)
            trains.append(restricted(self.origin.train, chosen))
            tests.append(restricted(self.origin.test, chosen))
        self.train, self.test = joined(trains), joined(tests)
        if self.row.labels > 0:
            self.train = some(self.train, self.row.labels, self.seed)
        self.subject, self.described = _composed(modules), {}

    def compact(self) -> modhub.Decomposition:
        row = self.row
        return modhub.compact(
            self.subject, (self.train.x, self.train.y, self.train.classes), name=f"bench/{row.network[:11]}-small",
            flops=row.flops, jaccard=row.jaccard, polish=row.polish_steps > 0, polish_steps=row.polish_steps or None,
            use_labels=bool(row.labels), seed=self.seed, dataset="training images", **self.described,
        )  # fmt: skip

    def winners(self) -> Any:
        """The label numbers that the whole answers the test images with."""
        return self.subject.predict(self.test.x).indices if self.row.is_composite else self.origin.winners


def _composed(modules: list[modhub.Module]) -> modhub.Composite:
    return modhub.compose(modules, mode="fused")


def _named(whole: modhub.Decomposition, names: tuple[str, ...]) -> list[modhub.Module]:
    by_name = {module.name: module for module in whole.modules}
    return [by_name[name] for name in names]


def restricted(data: common.Images, names: tuple[str, ...]) -> common.Images:
    place = {data.classes.index(name): number for number, name in enumerate(names)}
    rows = np.isin(data.y, list(place))
    return common.Images(data.x[rows], np.array([place[label] for label in data.y[rows].tolist()]), names)


def joined(parts: list[common.Images]) -> common.Images:
    starts = np.cumsum([0, *(len(part.classes) for part in parts)])
    labels = np.concatenate([part.y + start for part, start in zip(parts, starts, strict=False)])
    classes = tuple(name for part in parts for name in part.classes)
    return common.Images(np.concatenate([part.x for part in parts]), labels, classes)


def some(data: common.Images, each: int, seed: int) -> common.Images:
    order = np.random.default_rng([seed, 8]).permutation(len(data.y))
    rows = [order[data.y[order] == label][:each] for label in range(len(data.classes))]
    return data.taken(np.sort(np.concatenate(rows)))


def pass_seconds(model: Any, images: Any) -> float:
    """Processor seconds of 10,000 images through a Keras model, from some batches of it, compiled before."""
    batch = np.resize(images, (BATCH, *images.shape[1:]))
    model.predict_on_batch(batch)
    start = time.process_time()
    for _ in range(PASS_BATCHES):
        model.predict_on_batch(batch)
    return (time.process_time() - start) * PASS_IMAGES / (PASS_BATCHES * BATCH)


def time_ratio(model: Any, small: Any, images: Any) -> tuple[float, float]:
    """Milliseconds of 256 images through the smaller network, and that over the whole one's; batches alternate."""
    batch = np.resize(images, (BATCH, *images.shape[1:]))
    times: list[list[float]] = [[], []]
    for number in range(TIMED + 3):
        for each, own in zip((model, small), times, strict=True):
            start = time.perf_counter()
            each.predict_on_batch(batch)
            if number >= 3:
                own.append(1000 * (time.perf_counter() - start))
    whole, smaller = map(statistics.median, times)
    return smaller, smaller / whole


def stored_bytes(part: modhub.Decomposition) -> int:
    """What a release takes in a registry: all blobs and the manifest."""
    import tempfile

    from modhub.registry.writer import Registry
    from modhub.spec.manifest import write_manifest
    from modhub.spec.refs import ModelRef
    from modhub.storage.urls import open_store

    with tempfile.TemporaryDirectory() as folder:
        modhub.publish(part, version="1.0.0", registry=folder)
        name = part.name.split("/")
        manifest = Registry(open_store(folder)).manifest(ModelRef(name[0], name[1], "1.0.0"))
        return sum(blob.size for blob in manifest.blobs.values()) + len(write_manifest(manifest))


def keras_model(part: modhub.Decomposition) -> Any:
    from modhub.compaction.joining import JoinedPart
    from modhub.engine.compact.making import keras_of

    origin = part.origin
    return keras_of(JoinedPart(origin.architecture, origin.weights, origin.contract), softmax=False)


def measured(row: Row, seed: int, options: Any) -> dict[str, Any]:
    """One row's figures."""
    from modhub.evaluation.intervals import Resampling
    from modhub.evaluation.paired import compared

    task = Task(row, seed, options)
    start, clock = time.process_time(), time.perf_counter()
    small = task.compact()
    seconds, wall = time.process_time() - start, time.perf_counter() - clock
    order = np.array([task.test.classes.index(module.name) for module in small.modules])
    network = keras_model(small)
    found = order[_composed(list(small.modules)).predict(task.test.x).indices]
    truth = task.test.y
    right = found == truth, task.winners() == truth
    difference = compared(("compact", "whole"), truth, right, len(task.test.classes), Resampling())
    kept = small.compacted
    assert kept is not None
    result = {
        "flops": kept.flops, "parameters": kept.parameters, "nodes": kept.nodes, "explained": kept.explained,
        "polish_steps": kept.polish_steps, "labels": kept.labels, "images": len(truth),
        "train_images": len(task.train.y),
        "top_1": [float(np.mean(each)) for each in right],
        "balanced": [_balanced(each, truth) for each in right],
        "difference": difference.top_1.to_dict(), "balanced_difference": difference.balanced.to_dict(),
        "processor_seconds": seconds, "wall_seconds": wall,
        "pass_seconds": task.origin.pass_seconds, "passes": seconds / task.origin.pass_seconds,
    }  # fmt: skip
    if not row.is_composite:
        result["bytes"] = [stored_bytes(part) for part in (small, task.origin.whole)]
    result["milliseconds"], result["time_ratio"] = time_ratio(task.origin.model, network, task.test.scaled[:BATCH])
    return result


def _balanced(right: Any, truth: Any) -> float:
    return float(np.mean([np.mean(right[truth == label]) for label in np.unique(truth)]))


def cost_of(figures: dict[str, Any]) -> dict[str, float]:
    """The difference that is held against what is asked: compact less whole, balanced where classes weigh otherwise."""
    return figures["balanced_difference" if figures["mixture"] else "difference"]  # type: ignore[no-any-return]


def table(rows: list[dict[str, Any]]) -> str:
    """All rows, in the order of ``ROWS``; the multiply-adds of several networks are shown against one of them."""
    headers = (
        "what", "row", "method", "seed", "asked", "cost, points", "whole", "compact", "FLOPs", "parameters", "JI", "R2",
        "time", "bytes", "passes", "processor s",
    )  # fmt: skip
    places = list(ROWS)
    lines = []
    for row in sorted(rows, key=lambda row: (places.index(row["row"]), row["seed"])):
        asked, cost = ROWS[row["row"]], cost_of(row)
        accuracy = row["balanced" if row["mixture"] else "top_1"]
        lines.append(
            (
                asked.what,
                f"`{row['row']}`",
                asked.method + (" (not kept)" if asked.polish_steps and not row["polish_steps"] else ""),
                row["seed"],
                "" if asked.most_points is None else f"-{asked.most_points:g}",
                "{:+.2f} ({:+.2f} to {:+.2f})".format(*(100 * cost[part] for part in ("value", "low", "high"))),
                *(f"{100 * share:.2f}" for share in accuracy[::-1]),
                f"{row['flops'] * (2 if row['mixture'] else 1):.3f}",
                *(f"{row[what]:.3f}" for what in ("parameters", "nodes", "explained")),
                f"{row['time_ratio']:.2f}",
                f"{row['bytes'][0] / row['bytes'][1]:.2f}" if "bytes" in row else "",
                f"{row['passes']:.1f}",
                f"{row['processor_seconds']:.0f}",
            )
        )
    return common.markdown(headers, lines)


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--only", choices=ROWS, action="append", metavar="ROW", help="one of " + ", ".join(ROWS))
    arguments.add_argument("--seed", type=int, action="append", help="0 and 1 unless given")
    arguments.add_argument("--again", action="store_true", help="also what has been measured")
    options = arguments.parse_args()
    path = options.out / "compact.json"
    for name in options.only or ROWS:
        for seed in options.seed or SEEDS:
            rows = json.loads(path.read_text())["figures"] if path.exists() else []
            others = [each for each in rows if (each["row"], each["seed"]) != (name, seed)]
            if len(others) < len(rows) and not options.again:
                continue
            asked = asdict(ROWS[name])
            row = {"row": name, "seed": seed, **asked, "method": ROWS[name].method}
            row |= measured(ROWS[name], seed, options)
            common.keep(options.out, "compact", [*others, row])
            print(table([row]), flush=True)
    print(table(json.loads(path.read_text())["figures"]))


if __name__ == "__main__":
    main()
