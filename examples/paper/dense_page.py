"""The dense networks as a page: what decomposing costs, what reusing and replacing modules does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from study import Figures, Study, fill, markdown, points, share

if TYPE_CHECKING:
    from dense import Plan

_TITLE = "Dense networks: the modules of 2020"


def write(study: Study, plan: Plan, found: Mapping[str, Sequence[Figures]]) -> str:
    """Fill the page; returns the tables."""
    networks = [
        (name, hidden, figures)
        for name, cells in found.items()
        for hidden, figures in zip(plan.hidden, cells, strict=True)
    ]
    ends = {data.name: (prod(data.train.x.shape[1:]), len(data.train.classes)) for data in plan.data}
    parts = {
        "decomposed": decomposed(networks, ends),
        "reused": reused(networks),
        "replaced": replaced(networks),
    }
    return fill(study.out / "dense.md", _TITLE, parts)


Networks = Sequence[tuple[str, int, Figures]]


def decomposed(networks: Networks, ends: Mapping[str, tuple[int, int]]) -> str:
    """The network, and its modules composed again, without backtracking and with the default."""
    rows = []
    for name, hidden, figures in networks:
        layout = "-".join(map(str, [ends[name][0], *[49] * hidden, ends[name][1]]))
        for way in ("none", "default"):
            own = figures[way]
            rows.append((
                name if way == "none" else "", layout if way == "none" else "",
                share(figures["network"]) if way == "none" else "",
                "CI + TI" if way == "none" else "+ backtracking",
                share(own["top_1"]), points(own["cost"]), f"{own['same']:.2%}",
                f"{own['jaccard']:.3f}", f"{own['jaccard_weights']:.3f}", f"{own['kept']:.1%}",
            ))  # fmt: skip
    headers = (
        "data", "network", "its top-1", "modules", "top-1 composed", "cost, points", "same answers", "JI of nodes",
        "JI of weights", "nodes kept",
    )  # fmt: skip
    return markdown(headers, rows)


def reused(networks: Networks) -> str:
    """Two classes' modules alone, beside a network trained on these two."""
    rows = [
        (name, hidden, own["pairs"], share(own["composed"]), share(own["trained"]), points(own["gain"]))
        for name, hidden, figures in networks
        for own in [figures["reused"]]
    ]
    headers = (
        "data",
        "hidden layers",
        "pairs",
        "top-1 of two modules",
        "of a network trained on the two",
        "gained, points",
    )
    return markdown(headers, rows)


def replaced(networks: Networks) -> str:
    """One module at a time by another network's of the same class."""
    rows = [
        (name, hidden, figures["replaced"]["by"], points(figures["replaced"]["change"]))
        for name, hidden, figures in networks
    ]
    headers = ("data", "hidden layers", "of the new module's network", "top-1 gained by one module, points")
    return markdown(headers, rows)
