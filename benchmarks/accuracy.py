#!/usr/bin/env python3
"""What decomposition costs in accuracy: composites of all modules against their origin, for every way of cutting.

    python benchmarks/accuracy.py --data DATA [--only cifar10-r20 ...] [--limit N]

For each network: observe {relu, conv} x {no backtracking, last-conv, input} x rule {text, printed} x delta. Modules are
cut with the training images; top-1 and top-5 are on the test images, by the vote over isolated modules, exactly as a
composite predicts. Prints a Markdown table a network and writes results/accuracy-<network>.json.
"""

from __future__ import annotations

import itertools
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import common
import numpy as np
import report
import variants

from modhub.decomposition.backtrack import backtracked, removed_counts
from modhub.decomposition.jaccard import jaccard
from modhub.engine.check import accuracy_of, logits_of
from modhub.engine.pipeline import cut
from modhub.engine.reader import read_model
from modhub.manifest import DecomposeOptions, InputContract
from modhub.module import Module, Origin, PackedMasks

DELTAS: tuple[float | str, ...] = (0.5, "q95", "q90", "q75", "q50")


def origin_of(model: Any, name: str, data: common.Images) -> Origin:
    architecture, weights = read_model(model)
    height, width, channels = data.x.shape[1:]
    contract = InputContract(
        height=height,
        width=width,
        channels=channels,
        dtype="uint8",
        value_range=(0.0, 255.0),
        colour="rgb",
        rescale=1 / 255,
    )
    return Origin("bench", name, data.classes, architecture, weights, contract, name)


def backtracking(base: list[Module], rule: str, delta: float | str, mode: str) -> tuple[list[Any], float]:
    """The base modules with backtracked masks, and the nodes removed on average."""
    result, removed = [], 0
    for module in base:
        origin = module.origin
        keep = backtracked(
            origin.architecture,
            origin.weights,
            module.head,
            module.keep,
            backtrack=mode,  # type: ignore[arg-type]
            rule=rule,  # type: ignore[arg-type]
            delta=delta,
        )
        removed += sum(removed_counts(module.keep, keep))
        result.append(_Variant(PackedMasks.of(keep), module.head))
    return result, removed / len(base)


class _Variant:
    def __init__(self, keep: PackedMasks, head: Any) -> None:
        self.keep, self.head = keep, head


def table(name: str, observe: str, train: common.Images, test: common.Images, origin: Origin) -> list[dict[str, Any]]:
    options = DecomposeOptions(observe=observe, backtrack="none")  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = cut(origin, [str(k) for k in range(len(origin.classes))], train.x, train.y, options)
    base = list(made.modules)
    active = {site.id: np.logical_or.reduce([module.concern[site.id] for module in base]) for site in made.sites}
    rows: list[dict[str, Any]] = [{"backtrack": "none", "rule": "-", "delta": "-", "last_conv": 0, "input": 0}]
    distinct: dict[bytes, list[Any]] = {}
    keys = [_key(base)]
    distinct[keys[0]] = base
    for mode, rule, delta in itertools.product(("last-conv", "input"), ("text", "printed"), DELTAS):
        modules, removed = backtracking(base, rule, delta, mode)
        last_conv = removed if mode == "last-conv" else backtracking(base, rule, delta, "last-conv")[1]
        keys.append(_key(modules))
        distinct.setdefault(keys[-1], modules)
        rows.append(
            {"backtrack": mode, "rule": rule, "delta": delta, "last_conv": last_conv, "input": removed - last_conv}
        )
    sites = [site.id for site in made.sites]
    answers = variants.margins(origin, sites, list(distinct.values()), test.x)
    nodes = sum(site.nodes for site in made.sites)
    measured = {}
    for (key, modules), margins in zip(distinct.items(), answers, strict=True):
        accuracy = accuracy_of(margins, test.y, "test")
        kept = np.mean([sum(int(mask.sum()) for mask in module.keep.values()) for module in modules])
        index = np.mean([jaccard(module.keep, active) for module in modules])
        measured[key] = {
            "top_1": accuracy.top_1,
            "top_5": accuracy.top_5,
            "jaccard": float(index),
            "kept": float(kept / nodes),
        }
    return [{"model": name, "observe": observe, **row, **measured[key]} for row, key in zip(rows, keys, strict=True)]


def _key(modules: list[Any]) -> bytes:
    return b"".join(module.keep.key() for module in modules)


def main() -> None:
    arguments = common.parser(__doc__ or "")
    arguments.add_argument("--only", nargs="*", default=list(common.MODELS))
    arguments.add_argument("--limit", type=int, default=None, help="test images at most")
    options = arguments.parse_args()
    for name in options.only:
        dataset = common.MODELS[name]
        train = common.images(options.data, dataset, "train")
        test = common.images(options.data, dataset, "test").first(options.limit or 10**9)
        origin = origin_of(common.model(options.models, name), name, train)
        own = accuracy_of(logits_of(origin, origin.contract, test.x, 250), test.y, "test")
        started, rows = time.perf_counter(), []
        for observe in ("relu", "conv"):
            rows += table(name, observe, train, test, origin)
            common.keep(options.out, f"accuracy-{name}", {"origin": own.model_dump(), "rows": rows})
        seconds = time.perf_counter() - started
        figures = {"origin": own.model_dump(), "rows": rows}
        print(f"\n{name} ({seconds:.0f} s)\n\n{report.accuracy(name, figures)}", flush=True)


if __name__ == "__main__":
    main()
