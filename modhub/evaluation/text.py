"""An evaluation as people read it: short lines, and tables as titles with rows of cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modhub.evaluation.evaluation import Evaluation
    from modhub.evaluation.intervals import Estimate

Table = tuple[list[str], list[list[str]]]


def percent(share: float | None) -> str:
    """``0.9342`` as ``93.4%``; a dash for None."""
    return "-" if share is None else f"{share:.1%}"


def heading(evaluation: Evaluation) -> str:
    """What was evaluated on what."""
    left_out = sum(evaluation.left_out.values())
    return (
        f"{evaluation.what} on {evaluation.data}: {evaluation.images:,} images, {len(evaluation.classes)} classes"
        + (
            f"; {left_out:,} images of {len(evaluation.left_out)} class(es) it does not know left out"
            if left_out
            else ""
        )
    )


def summary(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Names and values of the figures that are about all classes."""
    lines = [("top-1", str(evaluation.top_1))]
    if len(evaluation.classes) > 5:
        lines.append(("top-5", str(evaluation.top_5)))
    lines += [("balanced", str(evaluation.balanced)), ("ECE", f"{evaluation.calibration.error:.3f}")]
    if evaluation.rejected:
        share = evaluation.rejected / evaluation.images
        lines.append(("rejected", f"{percent(share)} answered none of these"))
    lines += _of_modules(evaluation)
    timing = evaluation.timing
    lines.append(("time", f"{timing.whole:.1f} s in all, then {timing.images_per_second:,.0f} images/s"))
    wrong = [f"{true} as {said} ({count})" for true, said, count in evaluation.confusions()]
    return [*lines, ("mistaken", ", ".join(wrong))] if wrong else lines


def _of_modules(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    found = evaluation.positives
    if found is not None:
        yield (
            "positive",
            ", ".join(
                f"{name} {percent(share)}" + (f" ({percent(right)} right)" if right is not None else "")
                for name, share, right in (
                    ("none", found.none, found.right_none),
                    ("one", found.one, found.right_one),
                    ("several", found.several, found.right_several),
                )
            ),
        )
    if evaluation.jaccard is not None:
        between = "" if evaluation.overlap is None else f"; between two modules {evaluation.overlap:.3f}"
        yield "JI", f"mean {evaluation.jaccard:.3f}{between}"
    if evaluation.kept is not None:
        yield "kept", f"{percent(evaluation.kept)} of the nodes, on average"


def class_table(evaluation: Evaluation) -> Table:
    """One row a class; the columns of modules only where there are any."""
    modules = any(row.jaccard is not None for row in evaluation.classes)
    titles = ["class", "images", "recall", "precision", "F1"]
    titles += ["own recall", "own prec.", "own ECE", "JI", "kept"] if modules else []
    rows = []
    for row in evaluation.classes:
        cells = [row.name, f"{row.images:,}", _or_dash(row.recall), _or_dash(row.precision), _number(row.f1)]
        if modules:
            cells += [percent(None if part is None else part.value) for part in (row.own_recall, row.own_precision)]
            cells += [_number(row.own_ece), _number(row.jaccard), percent(row.kept)]
        rows.append(cells)
    return titles, rows


def layer_table(evaluation: Evaluation) -> Table:
    """One row a layer: the nodes that the modules keep there."""
    origins = len({row.origin for row in evaluation.layers}) > 1
    rows = [
        [
            *([row.origin] if origins else []),
            row.site,
            f"{row.nodes:,}",
            percent(row.mean),
            percent(row.least),
            percent(row.most),
        ]
        for row in evaluation.layers
    ]
    return [*(["origin"] if origins else []), "layer", "nodes", "kept", "least", "most"], rows


def as_text(evaluation: Evaluation) -> str:
    """The whole evaluation, as ``print`` shows it."""
    lines = [heading(evaluation), *(f"  {name:<11}{value}" for name, value in summary(evaluation)), ""]
    titles, rows = class_table(evaluation)
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    for cells in (titles, *rows):
        first, *others = (
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)


def _or_dash(estimate: Estimate | None) -> str:
    return "-" if estimate is None else str(estimate)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
