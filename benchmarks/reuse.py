#!/usr/bin/env python3
"""Reuse and replace within one data set and across two, as the paper's Tables 2 to 5 ask.

    python benchmarks/reuse.py --data DATA [--only intra ...] [--margins FOLDER] [--full]
    python benchmarks/reuse_baselines.py --data DATA [--train-minutes 25]      the trained networks beside it
    python benchmarks/reuse.py --quick                                         a small form on digits, a minute

Everything is measured twice: with decompose's default masks and with modules that keep less (``reuse_origins``).
All margins of an origin's modules are computed once; a pair's composite is two columns of them, and that ``compose``
answers the same is checked. Writes results/reuse.json after every part, so that a run that was stopped goes on with
``--only``; ``--margins`` keeps the margins themselves. ``reuse_tables.py`` draws the tables.
"""

from __future__ import annotations

import itertools
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import reuse_baselines
import reuse_origins
import reuse_tables
from reuse_origins import WAYS, Source

from modhub import compose

#: Test images of each class and classes of each data set that a run takes; None: all. The first images of a class.
SIZES: dict[str, tuple[int | None, int | None]] = {
    "cifar10": (100, None),
    "cifar100": (40, 20),
    "imagenet200": (12, 20),
}
#: Images of each class where all modules of CIFAR-100 run: inter reuse (of CIFAR-10, of CIFAR-100), intra replace.
ACROSS = (10, 10)
REPLACE = {"cifar10": 100, "cifar100": 2}
PAIRS = 16


@dataclass(frozen=True, eq=False)
class World:
    """Who takes part: origins for intra reuse, two to join, pairs (worse, better) for intra replace."""

    intra: Sequence[Source]
    first: Source
    second: Source
    better: Sequence[tuple[Source, Source]]
    full: bool = False

    def each(self, source: Source, usual: int | None) -> int | None:
        return None if self.full else usual


def main() -> None:
    arguments = common.parser(__doc__ or "")
    results = arguments.get_default("out")
    arguments.set_defaults(out=None)
    arguments.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    arguments.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    arguments.add_argument("--networks", nargs="*", default=list(common.MODELS), help="those of intra reuse")
    arguments.add_argument("--margins", type=Path, help="keep margins in this folder, and use those it has")
    arguments.add_argument("--full", action="store_true", help="all classes and test images: hours")
    arguments.add_argument("--quick", action="store_true", help="networks of digits and letters; keeps no figures")
    quick = "--quick" in sys.argv
    options = arguments.parse_args([*sys.argv[1:], *(["--data", "."] if quick else [])])
    world = quick_world(options.margins) if quick else shared_world(options)
    out = options.out or (None if quick else results)
    found = before(out) if out else {}
    for part, way in itertools.product(options.only, options.ways):
        for name, figures in PARTS[part](world, way):
            found.setdefault(part, {}).setdefault(way, {})[name] = figures
            if out:
                common.keep(out, "reuse", found)
            print(part, way, name, "done", file=sys.stderr, flush=True)
    print(reuse_tables.page(found, reuse_baselines.before(out) if out else {}))


def before(out: Path) -> dict[str, Any]:
    """The figures of earlier runs."""
    kept = out / "reuse.json"
    return dict(json.loads(kept.read_text())["figures"]) if kept.exists() else {}


def shared_world(options: Namespace) -> World:
    origins = {name: reuse_origins.shared(options, name) for name in common.MODELS}
    return World(
        intra=[origins[name] for name in options.networks],
        first=origins["cifar10-r20"],
        second=origins["cifar100-r20"],
        better=[(origins["cifar100-r32"], origins["cifar100-r20"]), (origins["cifar10-vgg"], origins["cifar10-r56"])],
        full=options.full,
    )


def quick_world(folder: Path | None) -> World:
    """Digits, digits of whose threes the network saw four, and letters."""
    good, poor = reuse_origins.digits("good", folder), reuse_origins.digits("poor", folder, few="3")
    letters = reuse_origins.digits("letters", folder, letters=True)
    return World([good, letters], good, letters, [(poor, good)])


def subset(data: common.Images, classes: Sequence[int], each: int | None) -> common.Images:
    """The first ``each`` images of the classes, in the order of the classes; labels as they were."""
    chosen = np.concatenate([np.flatnonzero(data.y == label)[:each] for label in classes])
    return common.Images(data.x[chosen], data.y[chosen], data.classes)


def interval(values: Any) -> list[float]:
    """The 95 % interval of the mean of ``values``, by bootstrap."""
    random, values = np.random.default_rng(0), np.asarray(values, float)
    means = [values[random.integers(0, len(values), len(values))].mean() for _ in range(2000)]
    return [float(bound) for bound in np.quantile(means, (0.025, 0.975))]


def mean(values: Any) -> dict[str, Any]:
    return {"mean": float(np.mean(values)), "interval": interval(values)}


# Table 2


def intra(world: World, way: str) -> Any:
    for source in world.intra:
        yield source.name, intra_of(world, source, way)


def intra_of(world: World, source: Source, way: str) -> dict[str, Any]:
    """All pairs among some classes: composed, against the network's logits of the two classes alone."""
    each, count = SIZES.get(source.dataset, (None, None))
    classes = list(range(len(source.test.classes)))
    if count is not None and not world.full:
        # The classes of the trained pairs are among them.
        pairs = reuse_baselines.drawn([source.dataset], {source.dataset: len(classes)}, reuse_baselines.PAIRS)
        named = {label for pair in pairs for _, label in pair}
        others = [label for label in np.random.default_rng(0).permutation(classes).tolist() if label not in named]
        classes = sorted([*named, *others][:count])
    test = subset(source.test, classes, world.each(source, each))
    margins = source.margins(way, classes, test.x, "own")
    logits = source.logits(test.x, "own")[:, classes]
    rows = []
    for one, other in itertools.combinations(range(len(classes)), 2):
        here = np.isin(test.y, (classes[one], classes[other]))
        truth = (test.y[here] == classes[other]).astype(int)
        shares = [float((values[here][:, [one, other]].argmax(axis=1) == truth).mean()) for values in (margins, logits)]
        names = [test.classes[classes[one]], test.classes[classes[other]]]
        rows.append({"pair": names, "composed": shares[0], "restricted": shares[1]})
    differences = [row["composed"] - row["restricted"] for row in rows]
    return {
        "about": source.about(way),
        "dataset": source.dataset,
        "images": len(test.y),
        "classes": len(classes),
        "pairs": rows,
        "composed": mean([row["composed"] for row in rows]),
        "restricted": mean([row["restricted"] for row in rows]),
        "difference": mean(differences),
        "proved": proved(source, way, classes[:2], subset(test, classes[:2], None), margins),
    }


def beside(world: World, way: str) -> Any:
    """The pairs that a network was trained for, on all of their test images."""
    for source in world.intra:
        if reuse_baselines.NETWORK.get(source.dataset, source.name) != source.name:
            continue
        rows = []
        count = len(source.test.classes)
        for (_, one), (_, other) in reuse_baselines.drawn(
            [source.dataset], {source.dataset: count}, reuse_baselines.PAIRS
        ):
            test = subset(source.test, [one, other], None)
            answers = source.margins(way, [one, other], test.x, "pair").argmax(axis=1)
            recalls = [float((answers[test.y == label] == place).mean()) for place, label in enumerate((one, other))]
            names = [test.classes[one], test.classes[other]]
            rows.append({"pair": names, "recalls": recalls, "balanced": sum(recalls) / 2})
        yield source.name, rows


def proved(source: Source, way: str, classes: Sequence[int], test: common.Images, margins: Any) -> dict[str, Any]:
    """What ``compose`` says of one pair beside the columns that were taken; the pair's images are the first rows."""
    modules = source.modules(way)
    answer = compose([modules[label] for label in classes]).predict(test.x)
    columns = margins[: len(test.y), :2]
    return {
        "images": len(test.y),
        "other_answers": int((answer.indices != columns.argmax(axis=1)).sum()),
        "largest_difference": float(np.abs(answer.margins - columns).max()),
    }


# Tables 3 and 5


@dataclass(frozen=True, eq=False)
class Across:
    """Margins of two origins' modules on both test sets: ``a`` (N, first's classes), ``b`` (N, second's classes).

    The images of the first data set stand before those of the second. On the second's images ``b`` holds only what the
    module of the image's own class says, in column 0.
    """

    a: Any
    b_first: Any
    b_own: Any
    y_first: Any
    y_second: Any

    def recalls(self, one: int, other: int) -> tuple[float, float]:
        """Of the two classes, by the module of each; the first column wins ties, as argmax has it."""
        mine, theirs = self.y_first == one, self.y_second == other
        first = self.a[: len(self.y_first)][mine, one] >= self.b_first[mine, other]
        second = self.b_own[theirs] > self.a[len(self.y_first) :][theirs, one]
        return float(first.mean()), float(second.mean())


def across(world: World, way: str) -> Across:
    one, two = world.first, world.second
    tens, hundreds = (list(range(len(source.test.classes))) for source in (one, two))
    first = subset(one.test, tens, world.each(one, ACROSS[0]))
    second = subset(two.test, hundreds, world.each(two, ACROSS[1]))
    both = np.concatenate([first.x, second.x])
    own = np.empty(len(second.y), np.float32)
    for label in hundreds:
        here = second.y == label
        own[here] = two.margins(way, [label], second.x[here], "own-class")[:, 0]
    return Across(
        one.margins(way, tens, both, "across"),
        two.margins(way, hundreds, first.x, "across"),
        own,
        first.y,
        second.y,
    )


def inter(world: World, way: str) -> Any:
    """The paper's 16 pairs on all test images, and the average of every pair on some."""
    one, two = world.first, world.second
    sizes = {source.dataset: len(source.test.classes) for source in (one, two)}
    rows = []
    for (_, left), (_, right) in reuse_baselines.drawn([one.dataset, two.dataset], sizes, PAIRS):
        x, y = subset(one.test, [left], None).x, subset(two.test, [right], None).x
        both = np.concatenate([x, y])
        values = [source.margins(way, [label], both, "pair")[:, 0] for source, label in ((one, left), (two, right))]
        second = values[1] > values[0]
        recalls = [float((~second[: len(x)]).mean()), float(second[len(x) :].mean())]
        names = [one.test.classes[left], two.test.classes[right]]
        rows.append({"pair": names, "recalls": recalls, "balanced": sum(recalls) / 2})
    found = across(world, way)
    every = [np.mean(found.recalls(a, b)) for a in range(found.a.shape[1]) for b in range(found.b_first.shape[1])]
    yield (
        f"{one.name} + {two.name}",
        {
            "about": [source.about(way) for source in (one, two)],
            "pairs": rows,
            "mean": mean([row["balanced"] for row in rows]),
            "every": mean(every) | {"pairs": len(every), "images": [len(found.y_first), len(found.y_second)]},
        },
    )


def inter_replace(world: World, way: str) -> Any:
    """Each class of the first data set gives its place to each class of the second, whose images take its images'."""
    found = across(world, way)
    one, two = world.first, world.second
    count = len(found.y_first)
    before = _balanced_top(found.a[:count], found.y_first)
    rows = []
    for left, right in itertools.product(range(found.a.shape[1]), range(found.b_first.shape[1])):
        stay, come = found.y_first != left, found.y_second == right
        margins = np.concatenate([found.a[:count][stay], found.a[count:][come]])
        margins[:, left] = np.concatenate([found.b_first[stay, right], found.b_own[come]])
        labels = np.concatenate([found.y_first[stay], np.full(int(come.sum()), left)])
        top = _balanced_top(margins, labels)
        recall = float((margins[labels == left].argmax(axis=1) == left).mean())
        names = [one.test.classes[left], two.test.classes[right]]
        rows.append({"replaced": names, "top_1": top[0], "top_5": top[1], "recall": recall})
    yield (
        f"{one.name} <- {two.name}",
        {
            "about": [source.about(way) for source in (one, two)],
            "before": before,
            "pairs": rows,
            "images": [count, len(found.y_second)],
            **{what: mean([row[what] for row in rows]) for what in ("top_1", "top_5", "recall")},
        },
    )


def _balanced_top(margins: Any, labels: Any) -> tuple[float, float]:
    """Top-1 and top-5, every class weighing the same."""
    hits = top_hits(margins, labels)
    return tuple(float(np.mean([h[labels == label].mean() for label in np.unique(labels)])) for h in hits)  # type: ignore[return-value]


def top_hits(margins: Any, labels: Any) -> tuple[Any, Any]:
    """Which images are right, and which among the best five; (N,) each."""
    order = np.argsort(-margins, axis=1, kind="stable")[:, :5]
    return order[:, 0] == labels, (order == labels[:, None]).any(axis=1)


# Table 4


def intra_replace(world: World, way: str) -> Any:
    for worse, better in world.better:
        yield f"{worse.name} <- {better.name}", intra_replace_of(world, worse, better, way)


def intra_replace_of(world: World, worse: Source, better: Source, way: str) -> dict[str, Any]:
    """Every class in turn answered by the better network's module in the whole composite of the worse one."""
    classes = list(range(len(worse.test.classes)))
    test = subset(worse.test, classes, world.each(worse, REPLACE.get(worse.dataset)))
    old, new = (source.margins(way, classes, test.x, "own") for source in (worse, better))
    on_scale = on_the_scale_of(new, better.modules(way), worse.modules(way))
    before = top_hits(old, test.y)
    plain, matched = (replaced_each(old, columns, test, before) for columns in (new, on_scale))
    return {
        "about": [source.about(way) for source in (worse, better)],
        "images": len(test.y),
        "before": [float(hits.mean()) for hits in before],
        "better": [float(hits.mean()) for hits in top_hits(new, test.y)],
        **plain,
        "matched": matched,
    }


def on_the_scale_of(margins: Any, modules: Sequence[Any], others: Sequence[Any]) -> Any:
    """The modules' margins as ``swap(match=True)`` makes them for the others' places."""
    scale, other_scale = (np.array([module.scale for module in each]) for each in (modules, others))
    threshold, other_threshold = (np.array([module.threshold for module in each]) for each in (modules, others))
    return scale / other_scale * (margins - threshold) + other_threshold


def replaced_each(old: Any, new: Any, test: common.Images, before: Any) -> dict[str, Any]:
    """Each class's column in turn from ``new``: what becomes of the whole composite and of the class's recall."""
    rows, gains = [], []
    for label in range(old.shape[1]):
        margins = old.copy()
        margins[:, label] = new[:, label]
        after = top_hits(margins, test.y)
        own = test.y == label
        gains.append([a.astype(float) - b for a, b in zip(after, before, strict=True)])
        recalls = [float((values[own].argmax(axis=1) == label).mean()) for values in (old, margins)]
        shares = {f"top_{k}": float(hits.mean()) for k, hits in zip((1, 5), after, strict=True)}
        rows.append({"class": test.classes[label], **shares, "recall_before": recalls[0], "recall": recalls[1]})
    by_image = np.mean(gains, axis=0)
    return {
        "classes": rows,
        "gain_top_1": mean(by_image[0]),
        "gain_top_5": mean(by_image[1]),
        "recall_before": mean([row["recall_before"] for row in rows]),
        "recall": mean([row["recall"] for row in rows]),
    }


# How distinct modules can be


def distinctness(world: World, way: str) -> Any:
    """Mean Jaccard indices by images a class: of what decompose offers, and of concern identification alone."""
    for source in world.intra if way == "distinct" else ():
        if source.name in ("cifar10-r56", "cifar100-r32", "imagenet200-r20"):
            continue
        rows = []
        for count in reuse_origins.RUNGS[:3]:
            for observe in ("relu", "conv"):
                modules = reuse_origins.few_images(source.origin, source.train, count, observe=observe)
                rows.append({"images": count, "options": observe, "jaccard": reuse_origins.mean_jaccard(modules)})
                alone = reuse_origins.mean_jaccard(reuse_origins.untangled(modules))
                rows.append({"images": count, "options": f"{observe}, concern alone", "jaccard": alone})
        yield source.name, rows


PARTS: dict[str, Callable[[World, str], Any]] = {
    "intra": intra,
    "beside": beside,
    "inter": inter,
    "inter_replace": inter_replace,
    "intra_replace": intra_replace,
    "distinctness": distinctness,
}


if __name__ == "__main__":
    main()
