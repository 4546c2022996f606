#!/usr/bin/env python3
"""Table 1 of the paper: what decomposing costs in accuracy, for every way of decomposing.

    python examples/paper/table_1.py --data DATA [--networks cifar10-r20 ...] [--images N]
    python examples/paper/table_1.py --data DATA --whole
    python examples/paper/table_1.py --quick

Every network x observe {relu, conv} x {CI+TI+MC, +BLC, +BLC+BI} x rule {text, printed} x delta {0.5, q95, q90}, and the
ablation without tangling identification. Modules are made with the training images; top-1 and top-5 are on test images,
by the vote over isolated modules, exactly as a composite predicts. A cell is a network under one reading of "node".
With ``--whole`` the defaults are measured on every test image besides.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import table_1_page
import variants
from study import Figures, Study, Trained, mean, parser, run, top_hits

from modhub.decomposition.backtrack import backtracked, removed_counts
from modhub.decomposition.jaccard import jaccard
from modhub.engine.decompose.pipeline import DecomposedModules, decompose_origin
from modhub.engine.read.check import logits_of
from modhub.engine.run.isolated import OriginRunner
from modhub.package.module import Module, PackedMasks
from modhub.spec.manifest import DecomposeOptions

DELTAS: tuple[float | str, ...] = (0.5, "q95", "q90")
RULES = ("text", "printed")
STAGES = ("last-conv", "input")


@dataclass(frozen=True, eq=False)
class Variant:
    """A module's masks under one way of decomposing."""

    keep: PackedMasks
    head: Any


@dataclass(frozen=True, eq=False)
class Way:
    """One row: all modules under one way of decomposing, and the mean nodes that each stage of backtracking took."""

    settings: dict[str, Any]
    modules: Sequence[Any]
    last_conv: float = 0.0
    input: float = 0.0

    @property
    def key(self) -> bytes:
        return b"".join(module.keep.key() for module in self.modules)


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument(
        "--whole", action="store_true", help="the defaults on all test images too: a quarter of an hour"
    )
    run(arguments, command)


def command(study: Study) -> str:
    chosen = study.need(*(study.options.networks or study.networks))
    found = {network.name: [cell(study, network, observe) for observe in ("relu", "conv")] for network in chosen}
    return table_1_page.write(study, found, whole_cells(study, chosen))


def whole_cells(study: Study, networks: Sequence[Trained]) -> dict[str, Figures]:
    """The defaults on every test image, of the networks of which that was or shall be measured."""
    cells = {}
    for network in networks:
        key = {"network": network.name, "images": "all"}
        if getattr(study.options, "whole", False) or study.has_cell("table-1", key, [network]):
            cells[network.name] = study.cell("table-1", key, [network], partial(measured_whole, network))
    return cells


def measured_whole(network: Trained) -> Figures:
    """Top-1 and top-5 of network and composite, and the paired cost, with the default options."""
    origin, train, test = network.origin, network.data.train, network.data.test
    slugs = [str(label) for label in range(len(origin.classes))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = decompose_origin(origin, slugs, train.x, train.y, DecomposeOptions()).modules
    own = top_hits(logits_of(origin, origin.contract, test.x, 250), test.y)
    hits = top_hits(OriginRunner(origin, modules).margins(test.x, 250), test.y)
    figures: Figures = {"images": len(test)}
    for k, before, after in zip((1, 5), own, hits, strict=True):
        figures |= {f"origin_{k}": mean(before), f"top_{k}": mean(after), f"cost_{k}": mean(before * 1.0 - after)}
    return figures


def cell(study: Study, network: Trained, observe: str) -> Figures:
    key = {"network": network.name, "observe": observe, "images": study.each(network), "deltas": list(DELTAS)}
    return study.cell("table-1", key, [network], lambda: measured(study, network, observe))


def measured(study: Study, network: Trained, observe: str) -> Figures:
    """All rows of a network under one reading; the accuracies of equal masks are measured once."""
    origin, train, test = network.origin, network.data.train, study.test_images(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = DecomposeOptions(observe=observe, backtrack="none")  # type: ignore[arg-type]
        made = decompose_origin(origin, [str(label) for label in range(len(origin.classes))], train.x, train.y, options)
    own = top_hits(logits_of(origin, origin.contract, test.x, 250), test.y)
    every, without = list(ways(made)), untangled(made.modules)
    rows = rows_of(made, every, test, own)
    rows += rows_of(made, [Way({"stage": "CI+MC", "rule": "-", "delta": "-"}, without)], test, own)
    return {"origin": {f"top_{k}": mean(hits) for k, hits in zip((1, 5), own, strict=True)}, "rows": rows}


def ways(made: DecomposedModules) -> Any:
    """The ways of decomposing that differ in backtracking alone, that without any first."""
    yield Way({"stage": "CI+TI+MC", "rule": "-", "delta": "-"}, made.modules)
    for rule, delta in itertools.product(RULES, DELTAS):
        removed: list[float] = []
        for stage in STAGES:
            modules, count = backtracking(made.modules, rule, delta, stage)
            removed.append(count - sum(removed))
            yield Way({"stage": stage, "rule": rule, "delta": delta}, modules, *removed)


def backtracking(base: Sequence[Module], rule: str, delta: float | str, stage: str) -> tuple[list[Variant], float]:
    """The base modules with backtracked masks, and the nodes removed on average."""
    result, removed = [], 0
    for module in base:
        keep = backtracked(
            module.origin.architecture,
            module.origin.weights,
            module.head,
            module.keep,
            backtrack=stage,  # type: ignore[arg-type]
            rule=rule,  # type: ignore[arg-type]
            delta=delta,
        )
        removed += sum(removed_counts(module.keep, keep))
        result.append(Variant(PackedMasks.of(keep), module.head))
    return result, removed / len(base)


def untangled(modules: Sequence[Module]) -> list[Variant]:
    """The modules with their concern's nodes alone."""
    return [Variant(module.concern, module.head) for module in modules]


def rows_of(made: DecomposedModules, every: Sequence[Way], test: Any, own: Any) -> list[Figures]:
    """The figures of each way; one compiled step for all, and equal masks once."""
    distinct: dict[bytes, Sequence[Any]] = {}
    for way in every:
        distinct.setdefault(way.key, way.modules)
    sites = [site.id for site in made.sites]
    answers = variants.margins(made.modules[0].origin, sites, list(distinct.values()), test.x)
    active = {site: np.logical_or.reduce([module.concern[site] for module in made.modules]) for site in sites}
    nodes = sum(site.nodes for site in made.sites)
    figures = {}
    for (key, modules), margins in zip(distinct.items(), answers, strict=True):
        hits = top_hits(margins, test.y)
        kept = np.mean([sum(int(mask.sum()) for mask in module.keep.values()) for module in modules])
        figures[key] = {
            **{f"top_{k}": mean(mine) for k, mine in zip((1, 5), hits, strict=True)},
            **{f"cost_{k}": mean(o * 1.0 - m) for k, o, m in zip((1, 5), own, hits, strict=True)},
            "jaccard": float(np.mean([jaccard(module.keep, active) for module in modules])),
            "kept": float(kept / nodes),
        }
    return [way.settings | {"last_conv": way.last_conv, "input": way.input} | figures[way.key] for way in every]


if __name__ == "__main__":
    main()
