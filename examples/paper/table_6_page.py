"""Table 6 as a page: the four ways to repair a faulty class, ours beside the paper's, and a plot of the changes."""

from __future__ import annotations

from typing import Any

from study import Figures, Study, fill, markdown, points

from examples.paper.faulty import PAPER


def write(study: Study, found: Figures) -> str:
    """Fill the page and draw the plot; returns the text and the table."""
    draw(found, study.out / "table-6.png")
    parts = {"the case": about(found), "the faulty class": table(found)}
    return fill(study.out / "table-6.md", "Table 6: four ways to repair a faulty class", parts)


def about(found: Figures) -> str:
    """What the case is."""
    faulty, other = found["pair"]
    checked = found["checked"]
    return (
        f"Faulty: `{faulty}`; {found['confused']} of the training images looked at of `{faulty}` and `{other}` were\n"
        f"taken for the other. The network of the pair: {found['two_network']}.\n"
        f"Test images: {found['images']}, of them {found['images_of_the_pair']} of the pair. On {checked['images']} "
        f"images of the pair every composite was asked by itself;\n"
        f"largest difference of a margin from those in the table: {checked['largest_difference']:.1g}."
    )


def table(found: Figures) -> str:
    """In percent, changes in points against the network's own modules."""
    faulty, other = found["pair"]
    rows = []
    for row, paper in zip(found["rows"], PAPER, strict=True):
        tops = [f"{100 * row[f'{over}top_1']:.2f} / {100 * row[f'{over}top_5']:.2f}" for over in ("", "others_")]
        changes = [points(change) for change in row.get("change", ())] or ["", ""]
        recalls = [f"{100 * recall:.1f}" for recall in row["recalls"]]
        rows.append((row["what"], *tops, *changes, *recalls, f"{paper[0]} / {paper[1]}"))
    headers = (
        "", "top-1 / top-5", f"without {faulty}'s images", "change top-1", "change top-5", f"recall {faulty}",
        f"recall {other}", "the paper's top-1 / top-5",
    )  # fmt: skip
    return markdown(headers, rows)


def draw(found: Figures, path: Any) -> None:
    """Change in top-1 of the four ways against the modules, ours with intervals beside the paper's."""
    from modhub.plots.drawing import ACCENT, FAINT, STRONG, check_matplotlib_installed, look, new_figure, save

    check_matplotlib_installed()
    with look():
        figure = new_figure(8, 3.2)
        axes = figure.add_subplot()
        ways = list(zip(found["rows"], PAPER, strict=True))[2:]
        for place, (row, paper) in enumerate(ways):
            change, first = row["change"][0], not place
            low, high = change["interval"]
            axes.plot([100 * low, 100 * high], [-place, -place], color=STRONG, linewidth=1.4)
            ours = "modhub, 95 % interval" if first else None
            axes.plot(100 * change["mean"], -place, "o", color=STRONG, markersize=5, label=ours)
            theirs = "the paper" if first else None
            axes.plot(paper[0] - PAPER[1][0], -place, "D", color=ACCENT, markersize=5, label=theirs)
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_yticks([-place for place in range(len(ways))], [row["what"] for row, _ in ways])
        axes.set_ylim(0.5 - len(ways), 0.5)
        axes.set_xlabel("change of top-1 against the network's own modules, points")
        axes.set_title("Table 6: four ways to repair a faulty class")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        save(figure, path)
