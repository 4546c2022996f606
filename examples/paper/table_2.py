#!/usr/bin/env python3
"""Table 2 of the paper: two classes of one data set, reused from one network, against a network trained on the two.

    python examples/paper/table_2.py --data DATA [--networks cifar10-r20 ...] [--images N] [--classes N]
    python examples/paper/table_2.py --quick

Every pair among some classes: two modules composed, and the network itself restricted to its two logits. Trained
networks are those that ``baselines.py`` has made. All margins of a network's modules are computed once; a pair's
composite is two columns of them, and that ``compose`` answers the same is checked. A cell is a network under one way of
cutting.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import baselines
import numpy as np
import reuse
import two_ways
from reuse import SHOWN, balanced
from study import Figures, Study, Trained, fill, first_of_each, markdown, mean, points, run, share
from two_ways import LOGITS, Source, source

from modhub import compose
from modhub.data.images import ImageData

#: Test images of each class and classes of each data set, unless the options say otherwise; None: all.
USUAL: dict[str, tuple[int | None, int | None]] = {
    "cifar10": (300, None),
    "cifar100": (40, 30),
    "imagenet200": (12, 20),
}
TITLE = "Table 2: classes of one data set reused"

Found = Mapping[tuple[str, str], Figures]


def main() -> None:
    run(reuse.parser(__doc__ or ""), command)


def command(study: Study) -> str:
    networks, ways = reuse.chosen(study), study.options.ways
    found = {(network.name, way): cell(study, network, way) for network in networks for way in ways}
    chosen = [network for network in baselines.baselines_of(study).values() if network in networks]
    pairs = {(network.name, way): pairs_cell(study, network, way) for network in chosen for way in ways}
    # Two hundred modules of larger images take minutes to make, and say the same.
    small = [network for network in chosen if network.data.name != "imagenet200"]
    indices = {network.name: indices_cells(study, network) for network in small}
    return write(study, found, pairs, indices)


def cell(study: Study, network: Trained, way: str) -> Figures:
    """All pairs among some classes, under one way."""
    usual, count = USUAL.get(network.data.name, (None, None))
    each, classes = reuse.each(study, network, usual), classes_of(study, network, study.options.classes or count)
    key = {"network": network.name, "way": way, "images": each, "classes": classes}
    test = first_of_each(network.data.test, classes, each)
    return study.cell("table-2", key, [network], lambda: measured(source(network), way, classes, test))


def classes_of(study: Study, network: Trained, count: int | None) -> list[int]:
    """Some classes, seeded; those of the pairs that a network is trained on are among them."""
    whole = len(network.data.test.classes)
    named = {label for pair in trained_pairs(study, network) for label in pair}
    others = [label for label in np.random.default_rng(0).permutation(whole).tolist() if label not in named]
    return sorted([*sorted(named), *others][: max(2, count or whole)])


def trained_pairs(study: Study, network: Trained) -> list[tuple[int, int]]:
    jobs = [job for job in baselines.jobs(study) if job.kind == network.data.name]
    return [(job.pair[0][1], job.pair[1][1]) for job in jobs]


def measured(network: Source, way: str, classes: Sequence[int], test: ImageData) -> Figures:
    """All pairs of ``classes``: composed, against the network's logits of the two classes alone."""
    margins, logits = (network.margins(how, classes, test.x) for how in (way, LOGITS))
    rows = []
    for one, other in itertools.combinations(range(len(classes)), 2):
        here = np.isin(test.y, (classes[one], classes[other]))
        truth = (test.y[here] == classes[other]).astype(int)
        shares = [float((values[here][:, [one, other]].argmax(axis=1) == truth).mean()) for values in (margins, logits)]
        names = [test.classes[classes[one]], test.classes[classes[other]]]
        rows.append({"pair": names, "composed": shares[0], "restricted": shares[1]})
    return {
        "about": network.about(way),
        "images": len(test.y),
        "pairs": rows,
        "composed": mean([row["composed"] for row in rows]),
        "restricted": mean([row["restricted"] for row in rows]),
        "difference": mean([row["composed"] - row["restricted"] for row in rows]),
        "proved": proved(network, way, classes[:2], first_of_each(test, classes[:2], None), margins),
    }


def proved(network: Source, way: str, classes: Sequence[int], test: ImageData, margins: Any) -> Figures:
    """What ``compose`` says of one pair beside the columns that were taken; the pair's images are the first rows."""
    modules = network.modules(way)
    answer = compose([modules[label] for label in classes]).predict(test.x)
    columns = margins[: len(test.y), :2]
    return {
        "images": len(test.y),
        "other_answers": int((answer.indices != columns.argmax(axis=1)).sum()),
        "largest_difference": float(np.abs(answer.margins - columns).max()),
    }


def pairs_cell(study: Study, network: Trained, way: str) -> Figures:
    """The pairs that a network is trained for, on all of their test images."""
    pairs = trained_pairs(study, network)
    key = {"network": network.name, "way": way, "trained": "pairs", "pairs": [list(pair) for pair in pairs]}
    return study.cell("table-2", key, [network], lambda: {"rows": [pair_row(source(network), way, p) for p in pairs]})


def pair_row(network: Source, way: str, pair: tuple[int, int]) -> Figures:
    test = first_of_each(network.test, pair, None)
    answers = [np.take(pair, network.margins(how, pair, test.x).argmax(axis=1)) for how in (way, LOGITS)]
    shares = [balanced(one, test.y) for one in answers]
    return {"pair": " + ".join(test.classes[label] for label in pair), way: shares[0], LOGITS: shares[1]}


def indices_cells(study: Study, network: Trained) -> list[Figures]:
    """Mean Jaccard indices by images a class: of what decompose offers, and of concern identification alone."""
    origin, train, cells = network.origin, network.data.train, []

    def indices(count: int) -> Figures:
        rows = {}
        for observe in ("relu", "conv"):
            modules = two_ways.decomposed_modules(origin, train, count, observe=observe)
            rows[observe] = two_ways.mean_jaccard(modules)
            rows[f"{observe}, concern alone"] = two_ways.mean_jaccard(two_ways.untangled(modules))
        return {"images": count, "jaccard": rows}

    for count in two_ways.RUNGS[: 1 if study.options.quick else 3]:
        key = {"network": network.name, "indices": "Jaccard", "images": count}
        cells.append(study.cell("table-2", key, [network], lambda count=count: indices(count)))  # type: ignore[misc]
    return cells


# The page


def write(study: Study, found: Found, pairs: Found, indices: Mapping[str, Sequence[Figures]]) -> str:
    composed: dict[tuple[str, str], dict[str, float]] = {}
    for (name, way), figures in pairs.items():
        for row in figures["rows"]:
            kind = study.networks[name].data.name
            composed.setdefault((kind, row["pair"]), {}).update({how: row[how] for how in (way, LOGITS)})
    kinds = list(dict.fromkeys(kind for kind, _ in composed))
    parts = {
        "against trained networks": reuse.gains(study, kinds, composed),
        "against the network's own logits": table(found),
        "how distinct modules can be": indices_table(indices),
    }
    names = list(dict.fromkeys(name for name, _ in found))
    rows = [(n, {SHOWN[way]: one["difference"] for (name, way), one in found.items() if name == n}) for n in names]
    label = "accuracy of composed pairs less that of the network's own two logits, points"
    reuse.ranges(study.out / "table-2.png", TITLE, label, rows, zero=0)
    return fill(study.out / "table-2.md", TITLE, parts)


def table(found: Found) -> str:
    rows = []
    for (name, way), one in found.items():
        proof = one["proved"]
        rows.append((
            name, SHOWN[way], reuse.index([one["about"]]), one["about"]["images"], len(one["pairs"]), one["images"],
            share(one["restricted"]), share(one["composed"]), points(one["difference"]),
            f"{proof['other_answers']} of {proof['images']}",
        ))  # fmt: skip
    headers = (
        "network", "modules", "JI", "made with images of a class", "pairs", "test images", "its own two logits",
        "composed", "difference", "compose answers otherwise",
    )  # fmt: skip
    return markdown(headers, rows)


def indices_table(indices: Mapping[str, Sequence[Figures]]) -> str:
    rows = [
        (name, cell["images"], *(f"{value:.3f}" for value in cell["jaccard"].values()))
        for name, cells in indices.items()
        for cell in cells
    ]
    # In the order in which they are kept.
    headers = ("conv", "conv, concern alone", "relu", "relu, concern alone")
    return markdown(("network", "images of a class", *headers), rows)


if __name__ == "__main__":
    main()
