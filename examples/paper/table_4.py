#!/usr/bin/env python3
"""Table 4 of the paper: a module replaced by a better network's module of the same class.

    python examples/paper/table_4.py --data DATA [--networks cifar10-vgg cifar10-r56 ...] [--images N]
    python examples/paper/table_4.py --quick

Every class in turn is answered by the better network's module, in the composite of all modules of the worse one. The
new module takes part as it is, and on the scale of the module that goes (``swap(match=True)``). A cell is a pair of
networks under one way of decomposing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import reuse
from across import about
from reuse import SHOWN
from study import Figures, Study, Trained, fill, first_of_each, markdown, mean, points, run, share, top_hits
from two_ways import LOGITS, Source, source

from modhub.data.images import ImageData
from modhub.errors import UsageError

#: Networks of one data set, the worse before the better.
BETTER = (
    ("cifar10-vgg", "cifar10-r20"),
    ("cifar10-vgg", "cifar10-r56"),
    ("cifar100-r32", "cifar100-r20"),
    ("digits-poor", "digits-good"),
)
#: Test images of each class, unless the options say otherwise.
USUAL = {"cifar10": 300, "cifar100": 5}
#: What the paper's composites gained by one module on average, top-1 and top-5, in points.
PAPER = {"gain_top_1": 0.7, "gain_top_5": 1.0}
TITLE = "Table 4: a module replaced by a better one of the same class"

Found = Mapping[tuple[str, str], Figures]


def main() -> None:
    run(reuse.parser(__doc__ or ""), command)


def command(study: Study) -> str:
    found = {}
    for worse, better in pairs(study):
        for way in (*study.options.ways, LOGITS):
            found[f"{worse.name} <- {better.name}", way] = cell(study, worse, better, way)
    return write(study, found)


def pairs(study: Study) -> list[tuple[Trained, Trained]]:
    """The pairs of which both networks take part. Raises UsageError where there is none."""
    networks = {network.name: network for network in reuse.chosen(study)}
    found = [(networks[one], networks[two]) for one, two in BETTER if one in networks and two in networks]
    if not found:
        every = ", ".join(f"{one} with {two}" for one, two in BETTER[:-1])
        raise UsageError(
            "Table 4 needs a network and a better one of its data set, and has no such pair.",
            kind="no-pair",
            hint=f"its pairs are {every}.",
        )
    return found


def cell(study: Study, worse: Trained, better: Trained, way: str) -> Figures:
    each = reuse.each(study, worse, USUAL.get(worse.data.name))
    key = {"worse": worse.name, "better": better.name, "way": way, "images": each}
    test = first_of_each(worse.data.test, range(len(worse.data.test.classes)), each)
    return study.cell("table-4", key, [worse, better], lambda: measured(source(worse), source(better), way, test))


def measured(worse: Source, better: Source, way: str, test: ImageData) -> Figures:
    """Every class in turn answered by the better network's module in the whole composite of the worse one."""
    classes = range(len(test.classes))
    old, new = (network.margins(way, classes, test.x) for network in (worse, better))
    before = top_hits(old, test.y)
    figures = {
        "about": about(way, worse, better),
        "images": len(test.y),
        "before": [mean(hits) for hits in before],
        "better": [mean(hits) for hits in top_hits(new, test.y)],
        "as it is": replaced_each(old, new, test, before),
    }
    if way != LOGITS:
        on_scale = on_the_scale_of(new, better.modules(way), worse.modules(way))
        figures["matched"] = replaced_each(old, on_scale, test, before)
    return figures


def on_the_scale_of(margins: Any, modules: Sequence[Any], others: Sequence[Any]) -> Any:
    """The modules' margins as ``swap(match=True)`` makes them for the others' places."""
    scale, other_scale = (np.array([module.scale for module in each]) for each in (modules, others))
    threshold, other_threshold = (np.array([module.threshold for module in each]) for each in (modules, others))
    return scale / other_scale * (margins - threshold) + other_threshold


def replaced_each(old: Any, new: Any, test: ImageData, before: Any) -> Figures:
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


# The page


def write(study: Study, found: Found) -> str:
    label = "top-1 of the whole composite gained by one module, points"
    rows = [
        (
            f"{name}, {how}",
            {SHOWN[way]: one[how]["gain_top_1"] for (n, way), one in found.items() if n == name and how in one},
        )
        for name in dict.fromkeys(name for name, _ in found)
        for how in ("as it is", "matched")
    ]
    paper = [("the paper, on average", {"the paper": {"mean": PAPER["gain_top_1"] / 100}})]
    reuse.ranges(study.out / "table-4.png", TITLE, label, [*rows, *paper], zero=0)
    return fill(study.out / "table-4.md", TITLE, {"the table": table(found)})


def table(found: Found) -> str:
    rows = []
    for (name, way), one in found.items():
        tops = [" / ".join(share(top) for top in one[what]) for what in ("before", "better")]
        for how in ("as it is", "matched"):
            if change := one.get(how):
                recalls = f"{100 * change['recall_before']['mean']:.1f} to {100 * change['recall']['mean']:.1f}"
                rows.append((
                    name, SHOWN[way], reuse.index(one["about"]), one["images"], *tops, how,
                    points(change["gain_top_1"]), points(change["gain_top_5"]), recalls,
                ))  # fmt: skip
    paper = [f"{PAPER[what]:+.1f}" for what in ("gain_top_1", "gain_top_5")]
    rows.append(("**the paper**, on average", *[""] * 6, *paper, ""))
    headers = (
        "network <- better", "modules", "JI", "images", "top-1 / top-5 before", "of the better", "the new module",
        "top-1 by one module", "top-5", "recall of the replaced",
    )  # fmt: skip
    return markdown(headers, rows)


if __name__ == "__main__":
    main()
