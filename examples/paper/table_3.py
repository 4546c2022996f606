#!/usr/bin/env python3
"""Table 3 of the paper: a class of one data set reused with a class of another.

    python examples/paper/table_3.py --data DATA [--networks cifar10-r20 cifar100-r20] [--images N]
    python examples/paper/table_3.py --quick

As many pairs as the paper has, drawn by a seed, on all test images of the two classes, and the average of every pair
on some. Beside the modules: the larger of the two networks' own logits, and the networks that ``baselines.py`` trained.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import baselines
import numpy as np
import reuse
from across import about, across, sizes
from reuse import SHOWN
from study import Figures, Study, Trained, fill, first_of_each, markdown, mean, run, share
from two_ways import LOGITS, Source, source

#: As many as the paper's table has.
PAIRS = 16
#: The mean accuracies of the paper's trained networks, its composites, and those after the module update.
PAPER = {"trained": 97.4, "composed": 84.7, "updated": 89.8}
TITLE = "Table 3: classes of two data sets reused together"

Found = Mapping[str, tuple[Figures, Figures]]


def main() -> None:
    run(reuse.parser(__doc__ or ""), command)


def command(study: Study) -> str:
    networks = reuse.two_networks(study)
    ways = [*study.options.ways, LOGITS]
    found = {way: (pairs_cell(study, networks, way), every_cell(study, networks, way)) for way in ways}
    return write(study, networks, found)


def names_of(networks: Sequence[Trained]) -> str:
    return " + ".join(network.name for network in networks)


def pairs_cell(study: Study, networks: Sequence[Trained], way: str) -> Figures:
    """The seeded pairs; the images are all that the test set has of the two classes."""
    data = [network.data for network in networks]
    classes = {one.name: len(one.test.classes) for one in data}
    drawn = baselines.drawn(list(classes), classes, PAIRS)
    pairs = [(left, right) for (_, left), (_, right) in drawn]
    key = {"networks": names_of(networks), "way": way, "pairs": [list(pair) for pair in pairs]}
    one, two = (source(network) for network in networks)
    return study.cell("table-3", key, networks, lambda: measured(one, two, way, pairs))


def measured(one: Source, two: Source, way: str, pairs: Sequence[tuple[int, int]]) -> Figures:
    rows = []
    for left, right in pairs:
        x, y = first_of_each(one.test, [left], None).x, first_of_each(two.test, [right], None).x
        both = np.concatenate([x, y])
        values = [network.margins(way, [label], both)[:, 0] for network, label in ((one, left), (two, right))]
        second = values[1] > values[0]
        recalls = [float((~second[: len(x)]).mean()), float(second[len(x) :].mean())]
        names = f"{one.test.classes[left]} + {two.test.classes[right]}"
        rows.append({"pair": names, "recalls": recalls, "images": len(both), "balanced": sum(recalls) / 2})
    return {"about": about(way, one, two), "pairs": rows, "mean": mean([row["balanced"] for row in rows])}


def every_cell(study: Study, networks: Sequence[Trained], way: str) -> Figures:
    each = sizes(study, networks)
    key = {"networks": names_of(networks), "way": way, "every": "every pair", "images": each}
    one, two = (source(network) for network in networks)
    return study.cell("table-3", key, networks, lambda: every_pair(one, two, way, each))


def every_pair(one: Source, two: Source, way: str, each: Sequence[int]) -> Figures:
    """The mean over all pairs, on the first images of each class."""
    found = across(one, two, way, each)
    labels = itertools.product(range(found.a.shape[1]), range(found.b_first.shape[1]))
    shares = [float(np.mean(found.recalls(left, right))) for left, right in labels]
    return {"mean": mean(shares), "pairs": len(shares), "images": list(each)}


# The page


def write(study: Study, networks: Sequence[Trained], found: Found) -> str:
    kind = " + ".join(network.data.name for network in networks)
    composed: dict[tuple[str, str], dict[str, float]] = {}
    for way, (pairs, _) in found.items():
        for row in pairs["pairs"]:
            composed.setdefault((kind, row["pair"]), {})[way] = row["balanced"]
    parts = {
        "as the paper prints it": beside(networks, found),
        "against trained networks": reuse.gains(study, [kind], composed),
        "pair by pair": by_pair(found),
    }
    names = [row["pair"] for row in found[LOGITS][0]["pairs"]]
    rows = [
        (name, {SHOWN[way]: {"mean": pairs["pairs"][place]["balanced"]} for way, (pairs, _) in found.items()})
        for place, name in enumerate(names)
    ]
    means: list[tuple[str, dict[str, Any]]] = [
        ("mean of these pairs", {SHOWN[way]: pairs["mean"] for way, (pairs, _) in found.items()}),
        ("mean of every pair", {SHOWN[way]: every["mean"] for way, (_, every) in found.items()}),
    ]
    means[0][1]["the paper"] = {"mean": PAPER["composed"] / 100}
    reuse.ranges(study.out / "table-3.png", TITLE, "balanced accuracy, %", [*means, *rows])
    return fill(study.out / "table-3.md", TITLE, parts)


def beside(networks: Sequence[Trained], found: Found) -> str:
    rows = []
    for way, (pairs, every) in found.items():
        paper = (
            f"{PAPER['composed']}; updated {PAPER['updated']}; trained {PAPER['trained']}" if way == "default" else ""
        )
        rows.append((
            f"{names_of(networks)}, {SHOWN[way]}", reuse.index(pairs["about"]),
            f"{share(pairs['mean'])} of {len(pairs['pairs'])}",
            f"{share(every['mean'])} of {every['pairs']}", " and ".join(str(each) for each in every["images"]), paper,
        ))  # fmt: skip
    headers = ("networks", "JI", "the seeded pairs", "every pair", "its images of a class", "the paper's")
    return markdown(headers, rows)


def by_pair(found: Found) -> str:
    rows = []
    for place, row in enumerate(found[LOGITS][0]["pairs"]):
        shares = [f"{100 * pairs['pairs'][place]['balanced']:.1f}" for pairs, _ in found.values()]
        rows.append((row["pair"], row["images"], *shares))
    return markdown(("pair", "test images", *(SHOWN[way] for way in found)), rows)


if __name__ == "__main__":
    main()
