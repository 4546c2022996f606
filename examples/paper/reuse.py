"""What Tables 2 to 5 share: their options, which networks and images they take, and how their figures are shown."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import baselines
import numpy as np
from study import FIRST, Figures, Study, Trained, markdown, mean, points
from study import parser as parser_of_all
from two_ways import LOGITS, WAYS

from modhub.errors import UsageError

SHOWN = {"default": "default modules", "distinct": "distinct modules", LOGITS: "the networks' own logits"}
#: What composing gained over training, in points: the paper's Tables 2 and 3.
PAPER_GAINS = {"cifar10": 6.6, "cifar100": -0.67, "imagenet200": 1.5, "cifar10 + cifar100": -12.7}


def parser(doc: str) -> argparse.ArgumentParser:
    """The study's options and those of reuse and replace."""
    result = parser_of_all(doc)
    options(result)
    return result


def options(arguments: argparse.ArgumentParser) -> None:
    add = arguments.add_argument
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="which modules; default: both")
    add("--classes", type=int, metavar="N", help="classes of a data set, Table 2; default: what an hour allows")


def chosen(study: Study) -> list[Trained]:
    """The networks that the options name; all without. Raises UsageError for options that leave nothing to do."""
    classes = study.options.classes
    if classes is not None and classes < 2:
        raise UsageError(f"--classes {classes}: give at least 2.", classes=classes)
    return study.need(*(study.options.networks or study.networks))


def two_networks(study: Study) -> tuple[Trained, Trained]:
    """The first networks of the first two data sets, or the smallest of the paper's. Raises UsageError."""
    by_data: dict[str, Trained] = {}
    for network in chosen(study):
        if network.data.name not in by_data or FIRST.get(network.data.name) == network.name:
            by_data[network.data.name] = network
    if len(by_data) < 2:
        raise UsageError(
            f"the study needs networks of two data sets, and has {', '.join(by_data)} alone.",
            kind="one-data-set",
            hint="name a network of another one with --networks too.",
        )
    one, two, *_ = by_data.values()
    return one, two


def each(study: Study, network: Trained, usual: int | None) -> int:
    """How many test images of a class are used: what ``--images`` says, else ``usual``, or all there are."""
    most = int(np.bincount(network.data.test.y).max())
    return min(most, study.options.images or usual or most)


def balanced(answers: Any, labels: Any) -> float:
    """The mean over the classes of the share of their images that is answered right."""
    return float(np.mean([(answers[labels == label] == label).mean() for label in np.unique(labels)]))


# Tables


def index(about: Sequence[Figures]) -> str:
    """The Jaccard indices of the modules; the network itself has none."""
    return " and ".join(f"{one['jaccard']:.3f}" for one in about if one)


def gains(study: Study, kinds: Sequence[str], composed: Mapping[tuple[str, str], Mapping[str, float]]) -> str:
    """Composites beside the networks that were trained, by balanced accuracy on all test images of the pair.

    ``composed[kind, pair]`` has the balanced accuracy of each way. Without a trained network there is a line saying so.
    """
    found = [(job, cell) for job, cell in baselines.measured(study) if job.kind in kinds]
    rows, sums = [], {}
    ways = [*study.options.ways, LOGITS]
    for job, cell in found:
        learnt, shares = float(np.mean(cell["recalls"])), composed.get((job.kind, job.key["pair"]), {})
        gain = [shares[way] - learnt if way in shares else None for way in ways]
        if not cell["undertrained"] and None not in gain:
            sums.setdefault(job.kind, []).append(gain)
        note = ", undertrained: no baseline" if cell["undertrained"] else ""
        shown = [f"{100 * shares[way]:.1f}" if way in shares else "" for way in ways]
        over = "" if gain[0] is None else f"{100 * gain[0]:+.1f}"
        rows.append((f"{job.kind}: {job.key['pair']}{note}", f"{100 * learnt:.1f}", *shown, over, ""))
    for kind, every in sums.items():
        over = points(mean([gain[0] for gain in every]))
        paper = f"{PAPER_GAINS[kind]:+.1f}" if kind in PAPER_GAINS else ""
        rows.append((f"**{kind}**, mean of {len(every)}", "", *("" for _ in ways), over, paper))
    if not rows:
        return "No network is trained on two classes yet: `examples/paper/baselines.py` does it."
    headers = ("pair", "trained", *(SHOWN[way] for way in ways), f"{SHOWN[ways[0]]} over trained", "the paper's")
    return markdown(headers, rows)


# Plots


def ranges(
    path: Any, title: str, label: str, rows: Sequence[tuple[str, Mapping[str, Any]]], *, zero: float | None = None
) -> None:
    """A row for each name: every series' mean with its interval where there is one, in percent or points.

    ``rows`` are names and, by series, a figure with ``mean`` and perhaps ``interval``; "the paper" is a diamond.
    """
    from modhub.plots.drawing import (
        ACCENT,
        FAINT,
        INK,
        SOFT,
        STRONG,
        check_matplotlib_installed,
        look,
        new_figure,
        save,
    )

    check_matplotlib_installed()
    series = list(dict.fromkeys(name for _, row in rows for name in row))
    ours = [one for one in series if one != "the paper"]
    colors = dict(zip(ours, (STRONG, ACCENT, SOFT), strict=False))
    with look():
        figure = new_figure(8, 1.3 + 0.1 * len(rows) * (len(series) + 1))
        axes = figure.add_subplot()
        for place, name in enumerate(series):
            marker, color = ("D", INK) if name == "the paper" else ("o", colors[name])
            shown: str | None = name
            for number, (_, row) in enumerate(rows):
                if name not in row:
                    continue
                aside = 0.0 if name == "the paper" else 1.0
                y = -number + aside * 0.6 * ((len(series) - 1) / 2 - place) / len(series)
                low, high = row[name].get("interval", (row[name]["mean"],) * 2)
                axes.plot([100 * low, 100 * high], [y, y], color=color, linewidth=1.4)
                axes.plot(100 * row[name]["mean"], y, marker, color=color, markersize=4, label=shown)
                shown = None
        if zero is not None:
            axes.axvline(zero, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_yticks([-number for number in range(len(rows))], [name for name, _ in rows])
        axes.set_xlabel(label)
        axes.set_title(title)
        figure.legend(loc="outside lower center", ncols=len(series))
        save(figure, path)
