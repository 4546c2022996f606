"""The figures of benchmarks/reuse.py and faulty_class.py as the paper's tables print them, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import common

from modhub.demo.faulty import PAPER

#: What composing gained over training, in points: the paper's Tables 2 and 3.
GAINS = {"cifar10": 6.6, "cifar100": -0.67, "imagenet200": 1.5, "cifar10 + cifar100": -12.7}
SHOWN = {"usual": "default", "distinct": "distinct"}


def page(found: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    """Every table that there are figures for, under a heading each."""
    parts = [
        ("Intra-dataset reuse (Table 2)", intra),
        ("Against networks trained on the two classes", gains),
        ("Inter-dataset reuse (Table 3)", inter),
        ("Intra-dataset replace (Table 4)", intra_replace),
        ("Inter-dataset replace (Table 5)", inter_replace),
        ("How distinct modules can be", distinctness),
    ]
    drawn = [(title, draw(found, trained)) for title, draw in parts]
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in drawn if table)


def _each(found: Mapping[str, Any], part: str) -> list[tuple[str, str, Any]]:
    return [(name, way, figures) for way in SHOWN for name, figures in found.get(part, {}).get(way, {}).items()]


def intra(found: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    rows = []
    for name, way, one in _each(found, "intra"):
        shares = [f"{100 * one[what]['mean']:.2f}" for what in ("restricted", "composed")]
        proof = one["proved"]
        rows.append((
            name, SHOWN[way], f"{one['about']['jaccard']:.3f}", len(one["pairs"]), one["images"], *shares,
            _points(one["difference"]), f"{proof['other_answers']} of {proof['images']}",
        ))  # fmt: skip
    headers = (
        "network", "modules", "JI", "pairs", "images", "monolith, two logits", "composed", "difference",
        "compose answers otherwise",
    )  # fmt: skip
    return common.markdown(headers, rows) if rows else ""


def gains(found: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    """The pairs that a network was trained for, by balanced accuracy on all of their test images."""
    rows, sums = [], {}
    for cell in trained.values():
        learnt = sum(cell["recalls"]) / 2
        composed = [_composed(found, cell, way) for way in SHOWN]
        if composed[0] is not None and not cell["undertrained"]:
            sums.setdefault(cell["kind"], []).append(100 * (composed[0] - learnt))
        gain = "" if composed[0] is None else f"{100 * (composed[0] - learnt):+.1f}"
        note = ", undertrained: no baseline" if cell["undertrained"] else ""
        rows.append((
            f"{cell['kind']}: {' + '.join(cell['pair'])}{note}", f"{100 * cell['fitted']:.1f}", f"{100 * learnt:.1f}",
            *("" if share is None else f"{100 * share:.1f}" for share in composed), gain, "",
        ))  # fmt: skip
    for kind, values in sums.items():
        average = f"{sum(values) / len(values):+.1f}"
        rows.append((f"**{kind}**, mean of {len(values)}", "", "", "", "", average, f"{GAINS[kind]:+.1f}"))
    headers = (
        "pair", "trained, on its own images", "trained", "composed, default", "distinct", "default's gain",
        "the paper's gain",
    )  # fmt: skip
    return common.markdown(headers, rows) if rows else ""


def _composed(found: Mapping[str, Any], cell: Mapping[str, Any], way: str) -> float | None:
    """What modules of the same architecture answer, balanced, for a trained pair."""
    if " + " in cell["kind"]:
        rows = [row for one in found.get("inter", {}).get(way, {}).values() for row in one["pairs"]]
    else:
        rows = found.get("beside", {}).get(way, {}).get(cell["network"], [])
    return next((row["balanced"] for row in rows if row["pair"] == cell["pair"]), None)


def inter(found: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    drawn = _each(found, "inter")
    if not drawn:
        return ""
    pairs: dict[str, list[str]] = {}
    for _, _, one in drawn:
        for row in one["pairs"]:
            pairs.setdefault(" + ".join(row["pair"]), []).append(f"{100 * row['balanced']:.1f}")
    ways = [SHOWN[way] for _, way, _ in drawn]
    rows = [(pair, *values) for pair, values in pairs.items()]
    rows.append(("**mean of the pairs**", *(_share(one["mean"]) for _, _, one in drawn)))
    every = drawn[0][2]["every"]
    rows.append((f"mean of all {every['pairs']} pairs", *(_share(one["every"]) for _, _, one in drawn)))
    rows.append(("mean JI of the two", *(_index(one) for _, _, one in drawn)))
    return common.markdown(("pair", *(f"balanced, {way}" for way in ways)), rows)


def intra_replace(found: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    rows = []
    for name, way, one in _each(found, "intra_replace"):
        tops = [" / ".join(f"{100 * share:.2f}" for share in one[what]) for what in ("before", "better")]
        for how, change in (("as it is", one), ("matched", one.get("matched"))):
            if change:
                recalls = f"{100 * change['recall_before']['mean']:.1f} to {100 * change['recall']['mean']:.1f}"
                rows.append((
                    name, SHOWN[way], _index(one), one["images"], *tops, how, _points(change["gain_top_1"]),
                    _points(change["gain_top_5"]), recalls,
                ))  # fmt: skip
    headers = (
        "network <- better", "modules", "JI", "images", "top-1 / top-5 before", "of the better", "the new module",
        "top-1 by one module", "top-5", "recall of the replaced",
    )  # fmt: skip
    return common.markdown(headers, rows) if rows else ""


def inter_replace(found: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    rows = []
    for name, way, one in _each(found, "inter_replace"):
        before = " / ".join(f"{100 * share:.2f}" for share in one["before"])
        rows.append((
            name, SHOWN[way], _index(one), len(one["pairs"]), before, _share(one["top_1"]), _share(one["top_5"]),
            _share(one["recall"]),
        ))  # fmt: skip
    headers = (
        "network <- other", "modules", "JI", "replacements", "ten own classes", "top-1 after", "top-5 after",
        "recall of the new class",
    )  # fmt: skip
    return common.markdown(headers, rows) if rows else ""


def distinctness(found: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    rows = []
    for name, _, cells in _each(found, "distinctness"):
        options = list(dict.fromkeys(cell["options"] for cell in cells))
        for count in sorted({cell["images"] for cell in cells}):
            by = {cell["options"]: cell["jaccard"] for cell in cells if cell["images"] == count}
            rows.append((name, count, *(f"{by[option]:.3f}" for option in options)))
    return common.markdown(("network", "images a class", *options), rows) if rows else ""


def faulty_class(found: Mapping[str, Any]) -> str:
    """The paper's Figure 1; in percent, changes in points against the network's own modules."""
    faulty, other = found["pair"]
    rows = []
    for row, paper in zip(found["rows"], PAPER, strict=True):
        tops = [f"{100 * row[f'{over}top_1']:.2f} / {100 * row[f'{over}top_5']:.2f}" for over in ("", "others_")]
        changes = [_points(change) for change in row.get("change", ())] or ["", ""]
        recalls = [f"{100 * recall:.1f}" for recall in row["recalls"]]
        rows.append((row["what"], *tops, *changes, *recalls, f"{paper[0]} / {paper[1]}"))
    headers = (
        "", "top-1 / top-5", f"without {faulty}'s images", "change top-1", "change top-5", f"recall {faulty}",
        f"recall {other}", "the paper's",
    )  # fmt: skip
    return common.markdown(headers, rows)


def _index(one: Mapping[str, Any]) -> str:
    return " and ".join(f"{about['jaccard']:.3f}" for about in one["about"])


def _share(value: Mapping[str, Any]) -> str:
    low, high = value["interval"]
    return f"{100 * value['mean']:.2f} ({100 * low:.1f} to {100 * high:.1f})"


def _points(value: Mapping[str, Any]) -> str:
    low, high = value["interval"]
    return f"{100 * value['mean']:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
