#!/usr/bin/env python3
"""Updating modules for classes that their origin never saw: composites of CIFAR-10 with CIFAR-100 classes.

    python benchmarks/update.py --data DATA --models MODELS

Examples that fit and choose come from the training parts, what is reported from the test parts. Two kinds of modules:
*full* masks, which take no node away, and *sparse* ones, which keep the nodes that are active for more than a few
percent of the inputs (a quantile delta brings no module of these networks below a Jaccard index of 0.8). Everything is
what ``modhub.update`` runs; only the features are looked up in tables that are computed once.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
from update_modules import full_modules, sparse_modules

from modhub.composition.plan import make_plan, natural_classes
from modhub.composition.recipe import Recipe
from modhub.composition.scales import relative_scales
from modhub.decomposition.calibration import Margins
from modhub.engine.update import Examples, JointNetworks
from modhub.ops.update import UpdateRequest, UpdateRun
from modhub.package.module import Module
from modhub.updating.choosing import Approach
from modhub.updating.result import measured

SIZES = ((10, 20), (1, 1), (5, 5), (10, 100))
COUNTS = (5, 20, 100)
STRATEGIES = ("calibrate", "one side", "tangle", "remove", "auto")
#: Images of a class: to draw the examples from, and to report on.
POOL = {"full": 150, "sparse": 100}
REPORTED = {"full": (200, 40), "sparse": (40, 40)}
SEEDS = {"full": 4, "sparse": 3}


@dataclass(frozen=True, eq=False)
class Pool:
    """All images of both data sets that take part; ``labels`` count CIFAR-10's classes, then CIFAR-100's."""

    images: Any
    labels: Any
    reports: Any


class Tables(JointNetworks):
    """Networks that remember the features of the modules' own masks, and run only what is new."""

    known: dict[tuple[str, bytes], Any]
    images: Any

    def features(self, module: Module, images: Any) -> Any:
        table = self.known.get((module.origin.fingerprint, module.keep.key()))
        return super().features(module, self.images[images]) if table is None else table[images]

    def unseen_activity(self, examples: Examples, *arguments: Any) -> Any:
        return super().unseen_activity(Examples(self.images[examples.images], examples.labels), *arguments)


def pool_of(data: Path, kind: str, classes: tuple[list[int], list[int]]) -> Pool:
    images, labels, reports = [], [], []
    for split in ("train", "test"):
        for number, name in enumerate(("cifar10", "cifar100")):
            most = POOL[kind] if split == "train" else REPORTED[kind][number]
            found = common.images(data, name, split)
            for cls in classes[number]:
                own = np.flatnonzero(found.y == cls)[:most]
                images.append(found.x[own])
                labels.append(np.full(len(own), cls + 10 * number))
                reports.append(np.full(len(own), split == "test"))
    return Pool(np.concatenate(images), np.concatenate(labels), np.concatenate(reports))


class Bench:
    """The modules of one kind with their tables."""

    def __init__(self, kind: str, tens: list[Module], hundreds: list[Module], pool: Pool) -> None:
        self.kind, self.pool = kind, pool
        self.modules = {m.index: m for m in tens} | {10 + m.index: m for m in hundreds}
        self.known: dict[tuple[str, bytes], Any] = {}
        self.trunks: dict[str, Any] = {}
        for group in (tens, hundreds):
            networks = JointNetworks(group, [True] * len(group), np.ones(len(group)), 256, any_masks=True)
            for module in group:
                key = module.origin.fingerprint, module.keep.key()
                if key not in self.known:
                    self.known[key] = networks.features(module, self.pool.images)
            self.trunks |= networks.trunks

    def run(self, classes: list[int], strategy: str, count: int, seed: int) -> UpdateRun:
        plan = make_plan(Recipe(natural_classes(self.modules[cls] for cls in classes)))
        changing = tuple(strategy != "one side" or cls >= 10 for cls in classes)
        joint = "calibrate" if strategy == "one side" else strategy
        request = UpdateRequest(plan, changing, joint, False, seed, 256, {}, "benchmark")
        units = relative_scales(plan.modules, plan.settings.vote)
        networks = Tables(plan.modules, changing, units, 256, any_masks=True)
        networks.known, networks.images, networks.trunks = self.known, self.pool.images, self.trunks
        return UpdateRun(request, self._drawn(classes, count, seed), self._drawn(classes, None, seed), networks)

    def _drawn(self, classes: list[int], count: int | None, seed: int) -> Examples:
        """``count`` examples of each class, by row number; without it what reports."""
        rows, labels = [], []
        for column, cls in enumerate(classes):
            own = np.flatnonzero((self.pool.labels == cls) & (self.pool.reports == (count is None)))
            if count is not None:
                own = np.random.default_rng([seed, cls]).permutation(own)[:count]
            rows.append(own)
            labels.append(np.full(len(own), column))
        return Examples(np.concatenate(rows), np.concatenate(labels))

    def origin_known(self, run: UpdateRun) -> float:
        """Balanced accuracy when each image is answered by the modules of its own origin alone."""
        origins = np.array([m.origin.fingerprint for m in run.modules])
        other = origins[run.report.labels][:, None] != origins[None, :]
        return self.balanced(run, np.where(other, -np.inf, run.before))

    def balanced(self, run: UpdateRun, margins: Margins) -> float:
        """Balanced accuracy of margins (n, k) on the images that report."""
        right = margins.argmax(axis=1) == run.report.labels
        return measured(right, run.report.labels, run.request.plan.labels, 0).balanced


def figures_of(bench: Bench, classes: list[int], count: int, seed: int, masks: bool) -> dict[str, Any]:
    """Balanced accuracy on the test part: voting, with the origin known, and by every strategy; shares."""
    result: dict[str, Any] = {"gains": {}}
    for strategy in STRATEGIES:
        if strategy in ("tangle", "remove"):
            if masks:
                run = bench.run(classes, strategy, count, seed)
                after = run.made(Approach(strategy), run.networks.views(run.modules, run.work.images))[1]
                gains = [bench.balanced(run, margins) for margins in (run.before, after)]
                result["gains"][strategy] = gains[1] - gains[0]
            continue
        run = bench.run(classes, strategy, count, seed)
        update = run.updated()
        result["gains"][strategy] = update.after.balanced - update.before.balanced
        result["voting"], result["interval"] = update.before.balanced, update.before.interval
        result["kept"] = str(update.way)
    result["known"] = bench.origin_known(run)
    return result


def drawn_classes(size: tuple[int, int], hundreds: list[int], seed: int) -> list[int]:
    random = np.random.default_rng([7, *size, seed])
    first = random.permutation(10)[: size[0]]
    second = random.permutation(hundreds)[: size[1]]
    return [*sorted(int(cls) for cls in first), *sorted(10 + int(cls) for cls in second)]


def measured_kind(bench: Bench, hundreds: list[int], log: Any) -> None:
    """Give every row to ``log`` when it is measured."""
    for size in SIZES:
        if size[1] > len(hundreds):
            continue
        for count in COUNTS:
            found = []
            seeds = (5 if size == (1, 1) else SEEDS[bench.kind]) if size[1] < 100 else 1
            for seed in range(seeds):
                small = size[0] <= 5 or (bench.kind == "sparse" and size == (10, 20) and seed == 0 and count == 20)
                found.append(
                    figures_of(bench, drawn_classes(size, hundreds, seed), count, seed, masks=small and seed < 2)
                )
            log({"kind": bench.kind, "size": list(size), "count": count, **summary(found)})


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, in percent, with the half width of the 95 % interval of the gains."""
    gains = defaultdict(list)
    for figures in found:
        for strategy, gain in figures["gains"].items():
            gains[strategy].append(100 * gain)
    return {
        "seeds": len(found),
        "voting": float(np.mean([100 * f["voting"] for f in found])),
        "voting_interval": float(np.mean([50 * (f["interval"][1] - f["interval"][0]) for f in found])),
        "known": float(np.mean([100 * f["known"] for f in found])),
        "gains": {name: [float(np.mean(values)), half_width(values), len(values)] for name, values in gains.items()},
        "kept": sorted({f["kept"] for f in found}),
    }


def half_width(values: list[float]) -> float:
    """Of the 95 % interval of a mean over seeds, by Student's t; 0 for one seed."""
    students = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 10: 2.26}
    n = len(values)
    return students.get(n, 2.0) * float(np.std(values, ddof=1)) / n**0.5 if n > 1 else 0.0


def _with_none(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows, each size's after one without any example, where there is nothing to fit and voting stays."""
    seen = set()
    for row in rows:
        key = row["kind"], *row["size"]
        if key not in seen:
            seen.add(key)
            yield row | {"count": 0, "gains": {name: [0.0, 0.0, 1] for name in row["gains"]}}
        yield row


def _gain(mean: float, half: float, seeds: int) -> str:
    """One seed has no interval."""
    return f"{mean:+.2f} ± {half:.2f}" if seeds > 1 else f"{mean:+.2f}"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: voting and the bound in percent, gains over voting in points, mean +- 95 % interval."""
    headers = ("modules", "classes", "examples a class", "voting", *STRATEGIES, "origin known", "seeds")
    cells = []
    for row in _with_none(rows):
        gains = [row["gains"].get(strategy) for strategy in STRATEGIES]
        shown = ["-" if gain is None else _gain(*gain) for gain in gains]
        voting = f"{row['voting']:.2f} ± {row['voting_interval']:.2f}"
        size = f"{row['size'][0]}+{row['size'][1]}"
        cells.append((row["kind"], size, row["count"], voting, *shown, f"{row['known']:.2f}", row["seeds"]))
    return common.markdown(headers, cells)


def main() -> None:
    parser = common.parser(__doc__ or "")
    parser.add_argument("--kinds", nargs="+", choices=("full", "sparse"), default=["full", "sparse"])
    options = parser.parse_args()
    start = time.perf_counter()

    rows: list[dict[str, Any]] = []
    jaccard: dict[str, list[float]] = {}

    def log(row: dict[str, Any]) -> None:
        rows.append(row)
        # After every row, because the whole takes long.
        common.keep(options.out, "update", {"rows": rows, "jaccard": jaccard, "seconds": time.perf_counter() - start})
        print(f"{time.perf_counter() - start:.0f} s: {table([row]).splitlines()[-1]}", file=sys.stderr, flush=True)

    for kind in options.kinds:
        hundreds = (
            list(range(100)) if kind == "full" else sorted(np.random.default_rng(1).permutation(100)[:20].tolist())
        )
        modules = (full_modules if kind == "full" else sparse_modules)(options.models, options.data, hundreds)
        jaccard[kind] = [float(np.mean([m.jaccard for m in group])) for group in modules]
        bench = Bench(kind, *modules, pool_of(options.data, kind, (list(range(10)), hundreds)))
        print(f"{time.perf_counter() - start:.0f} s: tables of {kind}, JI {jaccard[kind]}", file=sys.stderr, flush=True)
        measured_kind(bench, hundreds, log)
    print(table(rows))


if __name__ == "__main__":
    main()
