"""Table 1 as a page: ours beside the paper's, every way of decomposing, and a plot of the costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from study import Figures, Study, fill, markdown, points, share

#: The paper's Table 1, in percent: top-1, top-5 and JI of the network, then after CI+TI+MC, BLC and BLC+BI.
PAPER = {
    "cifar10-r20": ((87.1, 99.5), (86.9, 96.0, 0.75), (87.0, 99.4, 0.75), (86.8, 95.8, 0.75)),
    "cifar10-r32": ((85.3, 99.2), (78.4, 96.0, 0.51), (78.6, 98.1, 0.51), (78.4, 97.0, 0.51)),
    "cifar10-r56": ((86.7, 99.4), (84.0, 93.9, 0.41), (84.5, 98.9, 0.41), (84.0, 93.9, 0.41)),
    "cifar100-r20": ((46.3, 75.2), (45.6, 75.4, 0.63), (45.6, 75.4, 0.63), (45.6, 75.4, 0.63)),
    "cifar100-r32": ((44.5, 74.6), (41.2, 71.0, 0.52), (41.2, 71.0, 0.52), (41.2, 71.0, 0.52)),
    "cifar100-r56": ((45.7, 75.1), (44.9, 74.5, 0.68), (44.9, 74.5, 0.68), (44.9, 74.5, 0.69)),
    "imagenet200-r20": ((33.2, 59.7), (29.6, 56.1, 0.43), (32.6, 59.7, 0.75), (32.6, 59.7, 0.75)),
    "imagenet200-r32": ((31.8, 58.6), (21.0, 58.0, 0.33), (31.5, 58.0, 0.72), (31.5, 58.0, 0.72)),
    "imagenet200-r56": ((32.1, 58.7), (30.0, 56.7, 0.30), (31.0, 57.8, 0.71), (31.0, 57.8, 0.71)),
}
#: The stages in the paper's order.
STAGES = {"CI+TI+MC": "CI+TI+MC", "last-conv": "+ BLC", "input": "+ BLC + BI"}

Found = Mapping[str, Sequence[Figures]]


def write(study: Study, found: Found, whole: Mapping[str, Figures]) -> str:
    """Fill the page and draw the plot; returns the tables that fit a screen."""
    parts = {
        "as the paper prints it": beside(found),
        "on every test image": on_all(whole),
        "without tangling identification": ablation(found),
    }
    every = {name: every_way(name, cells) for name, cells in found.items()}
    draw(found, study.out / "table-1.png")
    fill(study.out / "table-1.md", "Table 1: what decomposing costs in accuracy", parts | every)
    return "\n\n".join(parts.values())


def beside(found: Found) -> str:
    """The paper's setting (rule as its text has it, delta 0.5) at its three stages on ``relu``, beside the paper's."""
    rows = []
    for name, (relu, _) in found.items():
        for place, (stage, shown) in enumerate(STAGES.items(), 1):
            row = row_of(relu, stage, "text", 0.5)
            paper = PAPER.get(name)
            rows.append((
                name if place == 1 else "", shown, f"{share(row['top_1'])}", f"{share(row['top_5'])}",
                points(row["cost_1"]), points(row["cost_5"]), f"{row['jaccard']:.3f}",
                *(_paper(paper, place) if paper else ("", "", "")),
            ))  # fmt: skip
    headers = (
        "network", "stage", "top-1", "top-5", "cost top-1", "cost top-5", "JI", "the paper's top-1 / top-5",
        "its costs", "its JI",
    )  # fmt: skip
    return markdown(headers, rows)


def on_all(whole: Mapping[str, Figures]) -> str:
    """The defaults on every test image."""
    if not whole:
        return "Not measured: `table_1.py --whole`."
    rows = []
    for name, cell in whole.items():
        shares = (share(cell[what]) for what in ("origin_1", "top_1", "origin_5", "top_5"))
        rows.append((name, cell["images"], *shares, points(cell["cost_1"]), points(cell["cost_5"])))
    headers = (
        "network", "test images", "top-1 of the network", "of its modules", "top-5 of the network", "of its modules",
        "cost top-1", "cost top-5",
    )  # fmt: skip
    return markdown(headers, rows)


def _paper(paper: Any, place: int) -> tuple[str, str, str]:
    own, (one, five, index) = paper[0], paper[place]
    return f"{one} / {five}", f"{own[0] - one:+.1f} / {own[1] - five:+.1f}", f"{index:.2f}"


def row_of(cell: Figures, stage: str, rule: str = "text", delta: Any = 0.5) -> Figures:
    """The row of one way of decomposing; without backtracking there is no rule and no delta."""
    for row in cell["rows"]:
        if row["stage"] == stage and (row["rule"] == "-" or (row["rule"], row["delta"]) == (rule, delta)):
            return dict(row)
    raise KeyError(f"{stage} {rule} {delta}")


def ablation(found: Found) -> str:
    """What tangling identification is worth: CI+MC against CI+TI+MC, both readings of a node."""
    rows = []
    for name, cells in found.items():
        for observe, cell in zip(("relu", "conv"), cells, strict=True):
            both = [row_of(cell, stage) for stage in ("CI+MC", "CI+TI+MC")]
            rows.append((
                name, observe, share(cell["origin"]["top_1"]), *(points(row["cost_1"]) for row in both),
                *(points(row["cost_5"]) for row in both), *(f"{row['jaccard']:.3f}" for row in both),
            ))  # fmt: skip
    headers = (
        "network", "observe", "top-1 of the network", "cost top-1 without TI", "with TI", "cost top-5 without",
        "with", "JI without", "with",
    )  # fmt: skip
    return markdown(headers, rows)


def every_way(name: str, cells: Sequence[Figures]) -> str:
    """One network's rows; ways of decomposing by one rule that give the same modules are joined."""
    rows = []
    for observe, cell in zip(("relu", "conv"), cells, strict=True):
        joined: dict[str, list[Figures]] = {}
        for row in cell["rows"]:
            figures = {what: value for what, value in row.items() if what not in ("stage", "delta")}
            joined.setdefault(repr(figures), []).append(row)
        for same in joined.values():
            row = same[0]
            stages, deltas = (list(dict.fromkeys(one[what] for one in same)) for what in ("stage", "delta"))
            rows.append((
                observe, ", ".join(STAGES.get(stage, stage) for stage in stages), row["rule"],
                ", ".join(str(delta) for delta in deltas), share(row["top_1"]), share(row["top_5"]),
                points(row["cost_1"]), f"{row['jaccard']:.3f}", f"{row['kept']:.2%}", f"{row['last_conv']:.1f}",
                f"{row['input']:.1f}",
            ))  # fmt: skip
    own = cells[0]["origin"]
    headers = ("observe", "stage", "rule", "delta", "top-1", "top-5", "cost top-1", "JI", "kept", "- BLC", "- BI")
    title = f"**{name}**, the network itself {share(own['top_1'])} top-1, {share(own['top_5'])} top-5"
    return f"{title}\n\n{markdown(headers, rows)}"


def draw(found: Found, path: Any) -> None:
    """Cost in top-1 of the paper's three stages, ours with intervals beside the paper's."""
    from modhub.plots.drawing import ACCENT, FAINT, STRONG, check_matplotlib_installed, look, new_figure, save

    check_matplotlib_installed()
    with look():
        figure = new_figure(8, 1.0 + 0.42 * 3 * len(found) / 2)
        axes = figure.add_subplot()
        labels = []
        for number, (name, (relu, _)) in enumerate(found.items()):
            for place, (stage, shown) in enumerate(STAGES.items()):
                y = -(number * 4 + place)
                labels.append((y, f"{name}  {shown}" if place == 0 else shown))
                cost = row_of(relu, stage)["cost_1"]
                low, high = cost["interval"]
                axes.plot([100 * low, 100 * high], [y, y], color=STRONG, linewidth=1.4)
                axes.plot(
                    100 * cost["mean"],
                    y,
                    "o",
                    color=STRONG,
                    markersize=4,
                    label="modhub, 95 % interval" if not number + place else None,
                )
                if name in PAPER:
                    own, then = PAPER[name][0], PAPER[name][place + 1]
                    axes.plot(
                        own[0] - then[0],
                        y,
                        "D",
                        color=ACCENT,
                        markersize=4,
                        label="the paper" if not number + place else None,
                    )
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_yticks([y for y, _ in labels], [text for _, text in labels])
        axes.set_xlabel("top-1 lost by decomposing, points")
        axes.set_title("Table 1: the cost of modules in accuracy")
        figure.legend(loc="outside lower center", ncols=2)
        save(figure, path)
