"""Figure 6 as a page: what each step emits, how often it goes into the training, and a plot on a logarithmic scale."""

from __future__ import annotations

from typing import Any

from study import Figures, Study, fill, markdown

ESTIMATED = (
    "Power is an estimate here (processor time and memory), so every ratio is one of time, not of measured energy."
)
UNFINISHED = (
    "The best epoch is the last one: the network was still getting better, and this is no baseline of accuracy."
)
#: What the name of a step ends with whose composite was measured on the test images.
MEASURED = ", test images measured"
#: The paper's ratios: fixed epochs, best epoch.
PAPER = {"reuse": (23.7, 18.3), "replace": (42.0, 31.5)}


def write(study: Study, found: Figures) -> str:
    """Fill the page and draw the plot; returns the text and the table."""
    draw(found, study.out / "figure-6.png")
    parts = {"the training": about(found), "emissions": table(found)}
    return fill(study.out / "figure-6.md", "Figure 6: what training and modules emit", parts)


def about(found: Figures) -> str:
    """What was trained, and what the watts are."""
    training = found["training"]
    sources = "; ".join(part["source"] for part in training["energy"]["parts"].values())
    lines = [
        f"Trained for {found['epochs']} epochs on {found['images']} images; the best epoch was {found['best_epoch']}, "
        f"{training['top_1']:.1%} of the test images right.",
        f"Watts: {sources}.",
    ]
    lines += [ESTIMATED] if found["is_estimate"] else []
    lines += [UNFINISHED] if found["best_epoch"] == found["epochs"] else []
    return "\n".join(lines)


def in_order(found: Figures) -> list[tuple[str, Figures]]:
    """The steps, first those that come first; a cell has them by the alphabet."""
    first = ("decompose, once", "reuse", "replace", "update")
    return sorted(found["steps"].items(), key=lambda step: (first.index(step[0].split(MEASURED)[0]), step[0]))


def table(found: Figures) -> str:
    """Seconds, energy and emissions of each step; ratios are the training's emissions over the step's."""

    def costs(energy: Figures) -> list[str]:
        return [f"{energy['seconds']:.1f}", f"{energy['kwh']:.3g}", f"{energy['co2e_kg']:.3g}"]

    training = found["training"]
    rows = [
        [f"train, {found['epochs']} epochs", *costs(training["energy"]), f"{training['top_1']:.2%}", *[""] * 5],
        [f"train, to epoch {found['best_epoch']}", *costs(found["training_until_best"]["energy"]), "", *[""] * 5],
    ]
    for name, row in in_order(found):
        right = "" if row["top_1"] is None else f"{row['top_1']:.2%}"
        ratios = (
            row[f"{kind}{once}"] for once in ("", "_with_decomposition") for kind in ("fixed_epochs", "best_epoch")
        )
        paper = PAPER.get(name.removesuffix(MEASURED))
        theirs = f"{paper[0]}x / {paper[1]}x" if paper else ""
        rows.append([name, *costs(row["energy"]), right, *(f"{ratio:.1f}x" for ratio in ratios), theirs])
    return markdown(
        (
            "step", "seconds", "kWh", "kg CO2e", "top-1", "training over it, fixed epochs", "best epoch",
            "fixed, decomposition in", "best, decomposition in", "the paper's fixed / best",
        ),
        rows,
    )  # fmt: skip


def draw(found: Figures, path: Any) -> None:
    """Emissions of training and of every step, each with how often it goes into the training."""
    from modhub.plots.drawing import ACCENT, FAINT, STRONG, check_matplotlib_installed, look, new_figure, save

    check_matplotlib_installed()
    dots = [
        (f"train, {found['epochs']} epochs", found["training"]["energy"]["co2e_kg"], ""),
        (f"train, to epoch {found['best_epoch']}", found["training_until_best"]["energy"]["co2e_kg"], ""),
    ]
    for name, row in in_order(found):
        dots.append((name, row["energy"]["co2e_kg"], f"  1 / {row['fixed_epochs']:.0f}"))
    with look():
        figure = new_figure(8, 0.36 * len(dots) + 1.2)
        axes = figure.add_subplot()
        for place, (_, value, text) in enumerate(dots):
            axes.plot(1e6 * value, -place, "o", color=STRONG if place > 1 else ACCENT, markersize=6)
            axes.text(1e6 * value, -place, text, va="bottom")
        axes.set_xscale("log")
        axes.set_xlim(right=3e6 * max(value for _, value, _ in dots))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_yticks([-place for place in range(len(dots))], [name for name, _, _ in dots])
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        note = ", estimated from time" if found["is_estimate"] else ""
        axes.set_xlabel(f"mg CO2e{note}; beside a dot its share of the training")
        axes.set_title("Figure 6: what training and modules emit")
        save(figure, path)
