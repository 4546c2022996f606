#!/usr/bin/env python3
"""Table 5 of the paper: a class gives its place to a class of another data set.

    python examples/paper/table_5.py --data DATA [--networks cifar10-r20 cifar100-r20] [--images N]
    python examples/paper/table_5.py --quick

Each class of the first data set in turn is replaced by each class of the second, whose images take the place of its
own; so a composite keeps its number of classes. A cell is one way of decomposing; Table 3 has the same margins.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import reuse
from across import about, across, sizes
from reuse import SHOWN
from study import Figures, Study, Trained, fill, markdown, mean, points, run, share, top_hits
from two_ways import LOGITS, Source, source

#: The paper's mean gain over networks trained on the same ten classes, top-1 and top-5, in points.
PAPER = {"top_1": 2.5, "top_5": -7.1}
TITLE = "Table 5: a class replaced by one of another data set"

Found = Mapping[str, Figures]


def main() -> None:
    run(reuse.parser(__doc__ or ""), command)


def command(study: Study) -> str:
    networks = reuse.two_networks(study)
    return write(study, networks, {way: cell(study, networks, way) for way in (*study.options.ways, LOGITS)})


def cell(study: Study, networks: Sequence[Trained], way: str) -> Figures:
    each = sizes(study, networks)
    one, two = (source(network) for network in networks)
    key = {"network": networks[0].name, "other": networks[1].name, "way": way, "images": each}
    return study.cell("table-5", key, networks, lambda: measured(one, two, way, each))


def measured(one: Source, two: Source, way: str, each: Sequence[int]) -> Figures:
    """Top-1 and top-5 after every replacement, every class weighing the same, and against the composite before."""
    found = across(one, two, way, each)
    count = len(found.y_first)
    before = balanced_top(found.a[:count], found.y_first)
    rows = []
    for left, right in itertools.product(range(found.a.shape[1]), range(found.b_first.shape[1])):
        stay, come = found.y_first != left, found.y_second == right
        margins = np.concatenate([found.a[:count][stay], found.a[count:][come]])
        margins[:, left] = np.concatenate([found.b_first[stay, right], found.b_own[come]])
        labels = np.concatenate([found.y_first[stay], np.full(int(come.sum()), left)])
        top = balanced_top(margins, labels)
        recall = float((margins[labels == left].argmax(axis=1) == left).mean())
        names = [one.test.classes[left], two.test.classes[right]]
        rows.append({"replaced": names, "top_1": top[0], "top_5": top[1], "recall": recall})
    return {
        "about": about(way, one, two),
        "before": before,
        "pairs": rows,
        "images": list(each),
        **{what: mean([row[what] for row in rows]) for what in ("top_1", "top_5", "recall")},
        **{f"change_{k}": mean([row[f"top_{k}"] - b for row in rows]) for k, b in zip((1, 5), before, strict=True)},
    }


def balanced_top(margins: Any, labels: Any) -> tuple[float, float]:
    """Top-1 and top-5, every class weighing the same."""
    one, five = (
        float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))
        for hits in top_hits(margins, labels)
    )
    return one, five


# The page


def write(study: Study, networks: Sequence[Trained], found: Found) -> str:
    parts = {"the table": table(networks, found), "class by class": by_class(found)}
    names = list(dict.fromkeys(row["replaced"][0] for row in found[LOGITS]["pairs"]))
    rows = [("all", {SHOWN[way]: one["change_1"] for way, one in found.items()})]
    rows += [
        (
            f"{name} goes",
            {
                SHOWN[way]: mean([row["top_1"] - one["before"][0] for row in of_class(one, name)])
                for way, one in found.items()
            },
        )
        for name in names
    ]
    label = "balanced top-1 after the replacement less that of the data set's own classes, points"
    reuse.ranges(study.out / "table-5.png", TITLE, label, rows, zero=0)
    return fill(study.out / "table-5.md", TITLE, parts)


def of_class(one: Figures, name: str) -> list[Figures]:
    return [row for row in one["pairs"] if row["replaced"][0] == name]


def table(networks: Sequence[Trained], found: Found) -> str:
    rows = []
    for way, one in found.items():
        before = " / ".join(f"{100 * top:.2f}" for top in one["before"])
        rows.append((
            " <- ".join(network.name for network in networks), SHOWN[way], reuse.index(one["about"]), len(one["pairs"]),
            " and ".join(str(each) for each in one["images"]), before, share(one["top_1"]), share(one["top_5"]),
            points(one["change_1"]), points(one["change_5"]), share(one["recall"]),
        ))  # fmt: skip
    paper = [f"{PAPER[what]:+.1f} over training" for what in ("top_1", "top_5")]
    rows.append(("**the paper**, on average", *[""] * 7, *paper, ""))
    headers = (
        "network <- other", "modules", "JI", "replacements", "images of a class", "own classes, top-1 / top-5",
        "top-1 after", "top-5 after", "change top-1", "change top-5", "recall of the new class",
    )  # fmt: skip
    return markdown(headers, rows)


def by_class(found: Found) -> str:
    rows = []
    for name in dict.fromkeys(row["replaced"][0] for row in found[LOGITS]["pairs"]):
        shares = []
        for one in found.values():
            own = of_class(one, name)
            shares += [f"{100 * np.mean([row[what] for row in own]):.1f}" for what in ("top_1", "recall")]
        rows.append((name, *shares))
    headers = [f"{what}, {SHOWN[way]}" for way in found for what in ("top-1", "recall of the new class")]
    return markdown(("class that goes", *headers), rows)


if __name__ == "__main__":
    main()
