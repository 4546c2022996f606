#!/usr/bin/env python3
"""Compact modules beside the paper's and those of later work: a page, a plot, and the rows below Table 1.

    python benchmarks/compact.py --data DATA          # measures, into benchmarks/results/compact.json
    python examples/paper/compact_modules.py          # writes pages and plot from what was measured

What others report is quoted with its source and was not run here; the page says which is which.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study import Figures, fill, markdown
from table_1_page import PAPER

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "compact.json"
PAGES = ROOT / "docs" / "study"
#: The paper's means over its nine networks with backtracking to the last convolution: top-1 lost, and JI.
PAPER_MEAN = (1.77, 0.63)
#: Of the paper on CNNSplitter, whose own text was not at hand.
SUMMARY = (
    "https://www.bohrium.com/paper-details/patching-weak-convolutional-neural-network-models-through-modularization-"
    "and-composition/867754475480154347-108614"
)
#: Work, kind, top-1 lost in points, size, where it says so. As their abstracts have them.
PEERS = (
    (
        "INCITE (Ghanbari, ISSTA 2024)",
        "masks and extracts neurons of a trained network, one module an output",
        "3.44",
        "1.89x smaller modules, which share 71.76 % of their elements",
        "[abstract](https://2024.issta.org/details/issta-2024-papers/133)",
    ),
    (
        "CNNSplitter (Qi et al., ASE 2022)",
        "searches kernels of a trained network, one module a class",
        "2.89",
        "about 57 % of the kernels a module: MwT's are 74.31 % fewer; FLOPs not at hand",
        f"the loss from a [summary]({SUMMARY}), which is what the "
        "[abstract of MwT](https://arxiv.org/abs/2306.09376) says of its baseline, as the kernels are",
    ),
    (
        "GradSplitter (Qi et al., TOSEM 2023)",
        "trains masks of kernels, one module a class",
        "less than CNNSplitter",
        "19.88 % fewer kernels than CNNSplitter",
        "[abstract](https://arxiv.org/abs/2311.04438)",
    ),
    (
        "SeaM (Qi et al., ICSE 2023)",
        "searches the weights that a task needs, by gradients",
        "-5.85 (better on its tasks)",
        "10.11 % of the weights, 42.41 % less time",
        "[abstract](https://arxiv.org/abs/2304.00245)",
    ),
    (
        "MwT (Qi et al., ICSE 2024)",
        "trains the network to be modular from the start",
        "1.13",
        "14.58 % of the kernels a module",
        "[abstract](https://arxiv.org/abs/2306.09376)",
    ),
    (
        "MODA (arXiv 2411.01074)",
        "trains the network to be modular from the start",
        "none said",
        "up to 24x fewer weights than earlier work",
        "[abstract](https://arxiv.org/abs/2411.01074)",
    ),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    arguments.add_argument("--out", type=Path, default=PAGES, metavar="FOLDER")
    options = arguments.parse_args()
    print(write(json.loads(options.results.read_text())["figures"], options.out))


def write(rows: Sequence[Figures], out: Path) -> str:
    """Fill the page and the part of Table 1, and draw the plot; returns the tables."""
    whole = whole_networks(rows)
    parts = {
        "beside the paper": beside(whole),
        "every row that was measured": every_row(rows),
        "what others report": peers(whole),
    }
    draw(whole, out / "compact.png")
    fill(out / "compact.md", "Compact modules", parts)
    fill(out / "table-1.md", "Table 1", {"compact modules": beside(whole)})
    return "\n\n".join(parts.values())


def whole_networks(rows: Sequence[Figures]) -> dict[str, list[Figures]]:
    """By network the rows of all its classes, the largest first."""
    found: dict[str, list[Figures]] = defaultdict(list)
    for row in rows:
        if not row["classes"] and not row["mixture"]:
            found[row["network"]].append(row)
    return {name: sorted(found[name], key=lambda row: (-row["flops"], row["seed"])) for name in sorted(found)}


def lost(row: Figures) -> tuple[float, float, float]:
    """Points lost against the whole, with the ends of their interval; balanced over the classes of several networks."""
    found = row["balanced_difference" if row["mixture"] else "difference"]
    return tuple(-100 * found[part] for part in ("value", "high", "low"))  # type: ignore[return-value]


def method(row: Figures) -> str:
    """How it was made; a polish that held-out images did not confirm is closed form."""
    return f"{row['polish_steps']:,} steps of polish" if row["polish_steps"] else "closed form"


def beside(whole: Mapping[str, Sequence[Figures]]) -> str:
    """Cost and JI of compact modules, beside the paper's for the same data set and kind of network."""
    table = []
    for name, rows in whole.items():
        paper = PAPER.get(name)
        own = "" if paper is None else f"{paper[0][0] - paper[2][0]:+.1f} at {paper[2][2]:.2f}"
        for row in rows:
            table.append((
                name, method(row), row["seed"], f"{row['flops']:.1%}", f"{row['parameters']:.1%}",
                f"{row['nodes']:.3f}", f"{row['explained']:.3f}", interval(lost(row)), own,
                "{:+.2f} at {:.2f}".format(*PAPER_MEAN),
            ))  # fmt: skip
    headers = (
        "network", "method", "seed", "FLOPs", "parameters", "JI", "R2", "top-1 lost", "the paper's, + BLC", "its mean",
    )  # fmt: skip
    return markdown(headers, table)


def every_row(rows: Sequence[Figures]) -> str:
    """All that was measured: also some classes of a network, and several networks made one."""
    table = [
        (
            what(row), method(row), row["seed"], f"{row['flops']:.1%}", f"{row['nodes']:.3f}", interval(lost(row)),
            f"{row['time_ratio']:.2f}", "{:.2f}".format(row["bytes"][0] / row["bytes"][1]) if "bytes" in row else "",
            f"{row['passes']:.1f}", f"{row['images']:,}",
        )
        for row in rows
    ]  # fmt: skip
    headers = (
        "network", "method", "seed", "FLOPs", "JI", "top-1 lost", "time", "bytes", "passes", "test images",
    )  # fmt: skip
    return markdown(headers, table)


def what(row: Figures) -> str:
    """What was made compact, in words."""
    if row["mixture"]:
        first, second = row["mixture"]
        return f"{row['network']}, {first} + {second} classes"
    return row["network"] + (f", {len(row['classes'])} classes" if row["classes"] else "")


def interval(points: tuple[float, float, float]) -> str:
    value, low, high = points
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


def peers(whole: Mapping[str, Sequence[Figures]]) -> str:
    """What was run here above what is quoted."""
    table = []
    for name, rows in whole.items():
        for row in rows:
            if row["seed"] == min(each["seed"] for each in rows):
                size = f"{row['flops']:.0%} of the FLOPs, {row['parameters']:.0%} of the weights, JI {row['nodes']:.2f}"
                table.append(("modhub", f"{name}, {method(row)}", f"{lost(row)[0]:.2f}", size, "run here"))
    table.append((
        "Pan & Rajan (ICSE 2022)", "masks nodes of a trained network, one module a class; no node is removed",
        "1.77", "JI .63", "quoted: their Table 1",
    ))  # fmt: skip
    table += [(work, kind, cost, size, f"quoted: {source}") for work, kind, cost, size, source in PEERS]
    return markdown(("work", "what it does", "top-1 lost", "size", "run or quoted"), table)


def draw(whole: Mapping[str, Sequence[Figures]], path: Path) -> None:
    """Points lost against FLOPs and against JI: one row of axes a network, closed form and polish apart."""
    from modhub.plots.drawing import ACCENT, FAINT, STRONG, check_matplotlib_installed, look, new_figure, save

    check_matplotlib_installed()
    with look():
        figure = new_figure(8, 0.9 + 2.0 * len(whole))
        grid: Any = figure.subplots(len(whole), 2, squeeze=False, sharey="row")
        seen: set[str] = set()
        for (name, rows), (left, right) in zip(whole.items(), grid, strict=True):
            for polish, color, marker in ((False, STRONG, "o"), (True, ACCENT, "s")):
                own = [row for row in rows if bool(row["polish_steps"]) == polish]
                label = "after a polish" if polish else "closed form"
                for axes, key in ((left, "flops"), (right, "nodes")):
                    _curve(axes, own, key, color, marker, None if label in seen or not own else label)
                    seen |= {label} if own else set()
            paper = PAPER.get(name)
            if paper is not None:
                label = "the paper, + BLC" if "paper" not in seen else None
                right.plot(paper[2][2], paper[0][0] - paper[2][0], "D", color=FAINT, markersize=5, label=label)
                seen.add("paper")
            for axes, text in ((left, "multiply-adds left"), (right, "JI with the network")):
                axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
                axes.set_xlim(0, 1.03)
                axes.set_xlabel(text)
            left.set_ylabel("points lost")
            left.set_title(name, loc="left")
        figure.legend(loc="outside lower center", ncols=3)
        save(figure, path)


def _curve(axes: Any, rows: Sequence[Figures], key: str, color: str, marker: str, label: str | None) -> None:
    """A mark with its interval a row, and a line through the means of the seeds."""
    means: dict[float, list[float]] = defaultdict(list)
    for row in rows:
        value, low, high = lost(row)
        axes.plot([row[key]] * 2, [low, high], color=color, linewidth=1.2, alpha=0.6)
        axes.plot(row[key], value, marker, color=color, markersize=4, label=label)
        label = None
        means[round(row[key], 2)].append(value)
    places = sorted([*means, 1.0])
    heights = [
        0.0 if place == 1.0 and place not in means else sum(means[place]) / len(means[place]) for place in places
    ]
    if rows:
        axes.plot(places, heights, color=color, linewidth=0.8, linestyle=":")


if __name__ == "__main__":
    main()
