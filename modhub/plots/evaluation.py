"""An evaluation in pictures: confusion, reliability, recall of every class, kept nodes per layer, overlap of modules.

Made to be read for two classes as well as for two hundred: sizes grow with what is shown, numbers are written in cells
while they fit, names at the axes while they can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.votes import NONE_OF_THESE
from modhub.evaluation.evaluation import ClassRow, Evaluation
from modhub.evaluation.overlap import LayerRow
from modhub.plots.drawing import ACCENT, AMOUNTS, FAINT, INK, SOFT, STRONG, look, new_figure, save, shortened

#: Up to so many rows, cells hold numbers; up to so many, every row has its name.
_NUMBERED: Final = 12
_NAMED: Final = 250


def save_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Draw all plots that apply into ``folder``, and give their paths. Raises StorageError."""
    plots = {"confusion.png": confusion, "reliability.png": draw_reliability, "recall.png": recall}
    if evaluation.layers:
        plots["layers.png"] = layers
    if evaluation.between is not None:
        plots["overlap.png"] = overlap
    with look():
        return [save(draw(evaluation), folder / name) for name, draw in plots.items()]


def confusion(evaluation: Evaluation) -> Any:
    """A matplotlib Figure: each class's images in a row, by what was answered, as shares of the row."""
    counts = evaluation.confusion if evaluation.rejected else evaluation.confusion[:, :-1]
    names = [row.name for row in evaluation.classes]
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    figure, axes = _matrix(
        shares, names, names + [NONE_OF_THESE] * (counts.shape[1] - len(names)), limits=(0.0, 1.0), stretched=True
    )
    grey = " (grey: no images)" if not totals.all() else ""
    axes.set_title(f"{_title(evaluation)}\nhow images of each class were answered, in % of the row{grey}")
    axes.set_xlabel("answered")
    axes.set_ylabel("class of the image")
    return figure


def overlap(evaluation: Evaluation) -> Any:
    """A matplotlib Figure: the Jaccard index between every two modules' masks; grey between origins."""
    between = evaluation.between
    assert between is not None
    names = [row.name for row in evaluation.classes]
    others = np.where(np.eye(len(between), dtype=bool), np.nan, between)
    known = others[~np.isnan(others)]
    # Modules of one network share most of it, so the scale is only as wide as their differences.
    limits = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    figure, axes = _matrix(others, names, names, limits=(min(limits[0], limits[1] - 0.001), limits[1]), digits=3)
    grey = " (grey: of different origins)" if np.isnan(between).any() else ""
    axes.set_title(f"{_title(evaluation)}\nnodes that two modules share: Jaccard index of their masks{grey}")
    return figure


def draw_reliability(evaluation: Evaluation) -> Any:
    """A matplotlib Figure: share of right answers by confidence, and how many answers there are of each confidence."""
    found = evaluation.calibration
    edges = np.linspace(0, 1, len(found.counts) + 1)
    middle, width = (edges[:-1] + edges[1:]) / 2, edges[1]
    figure = new_figure(5.2, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    filled = found.counts > 0
    upper.bar(middle[filled], found.right[filled], width * 0.92, color=SOFT, label="share right in the bin")
    upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--", label="as often right as it is sure")
    ends = edges[:-1][filled], edges[1:][filled]
    upper.hlines(found.confidence[filled], *ends, color=ACCENT, linewidth=1.5, label="mean confidence in the bin")
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share right")
    upper.legend(loc="upper left", fontsize=8)
    upper.set_title(f"{_title(evaluation)}\nreliability, expected calibration error {found.error:.3f}")
    lower.bar(middle, found.counts / max(1, found.counts.sum()), width * 0.92, color=STRONG)
    lower.set(xlabel="confidence", ylabel="share of answers")
    for axes in (upper, lower):
        _grid(axes, "y")
        _percent(axes, "y")
    _percent(lower, "x")
    return figure


def recall(evaluation: Evaluation) -> Any:
    """A matplotlib Figure: one bar a class, best first, with its interval; a mark for its module alone."""
    rows = sorted((row for row in evaluation.classes if row.recall is not None), key=_recall_of, reverse=True)
    figure, axes = _bars([row.name for row in rows], 6.4)
    place = np.arange(len(rows))
    values = np.array([_recall_of(row) for row in rows])
    ends = np.array([[row.recall.low, row.recall.high] for row in rows if row.recall is not None])
    axes.barh(place, values, 0.72, color=SOFT, label="in the vote")
    axes.hlines(
        place,
        ends[:, 0],
        ends[:, 1],
        color=STRONG,
        linewidth=1.2,
        label=f"{100 * evaluation.resampling.confidence:g}% interval",
    )
    own = [row.own_recall.value if row.own_recall is not None else np.nan for row in rows]
    if not np.isnan(own).all():
        axes.plot(own, place, "D", color=ACCENT, markersize=3.5, clip_on=False, label="module alone, at its threshold")
    axes.axvline(evaluation.balanced.value, color=INK, linewidth=0.8, linestyle=":", label="mean of all classes")
    axes.set_title(f"{_title(evaluation)}\nrecall of every class")
    axes.set_xlim(0, 1)
    _percent(axes, "x")
    _legend_below(axes)
    return figure


def layers(evaluation: Evaluation) -> Any:
    """A matplotlib Figure: one bar a layer, from the input down, with the least and the most that a module keeps."""
    rows = evaluation.layers
    figure, axes = _bars([_site_name(row, rows) for row in rows], 6.4)
    place = np.arange(len(rows))
    axes.barh(place, [row.mean for row in rows], 0.72, color=SOFT, label="mean of the modules")
    axes.hlines(
        place,
        [row.least for row in rows],
        [row.most for row in rows],
        color=STRONG,
        linewidth=1.2,
        label="least to most",
    )
    axes.set_title(f"{_title(evaluation)}\nnodes kept in each layer, from the input down")
    axes.set_xlim(0, 1)
    _percent(axes, "x")
    _legend_below(axes)
    return figure


def _matrix(
    values: NDArray[np.float64],
    names: Sequence[str],
    columns: Sequence[str],
    *,
    limits: tuple[float, float],
    stretched: bool = False,
    digits: int = 0,
) -> tuple[Any, Any]:
    """Figure and axes of a heat map, (rows, columns), NaN grey. ``stretched`` lets small values be seen among many."""
    from matplotlib import colormaps  # in the extra ``plot``
    from matplotlib.colors import Normalize, PowerNorm

    many = len(values) > _NUMBERED
    side = float(np.clip(0.14 * len(values), 3.0, 30.0)) if many else max(2.6, 0.52 * len(values))
    figure = new_figure(side + 2.4, side + 1.8)
    axes = figure.subplots()
    scale = PowerNorm(0.5, *limits) if stretched and many else Normalize(*limits)
    colours = colormaps[AMOUNTS].with_extremes(bad="#e4e4e4")
    image = axes.imshow(values, cmap=colours, norm=scale, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 5.0 / side), aspect=24, pad=0.02)
    bar.outline.set_visible(False)
    if not digits:
        bar.ax.yaxis.set_major_formatter("{x:.0%}")
    _named(axes.xaxis, columns, rotation=90)
    _named(axes.yaxis, names)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if not many:
        dark = limits[0] + 0.5 * (limits[1] - limits[0])
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                text = f"{value:.{digits}f}" if digits else f"{100 * value:.0f}" if value >= 0.005 else ""
                axes.text(
                    column, row, text, ha="center", va="center", fontsize=8, color="white" if value > dark else INK
                )
    return figure, axes


def _bars(names: Sequence[str], width: float) -> tuple[Any, Any]:
    """Figure and axes for horizontal bars, the first on top."""
    figure = new_figure(width, float(np.clip(0.17 * len(names), 1.0, 60.0)) + 1.5)
    axes = figure.subplots()
    _named(axes.yaxis, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _grid(axes, "x")
    return figure, axes


def _named(axis: Any, names: Sequence[str], rotation: float = 0) -> None:
    """Every name at its place; of too many only some."""
    step = 1 if len(names) <= _NAMED else int(np.ceil(len(names) / _NAMED))
    places = range(0, len(names), step)
    size = 8.5 if len(names) <= 40 else 7
    axis.set_ticks(places, [shortened(names[place]) for place in places], rotation=rotation, fontsize=size)


def _grid(axes: Any, axis: str) -> None:
    axes.set_axisbelow(True)
    axes.grid(axis=axis, color="#e6e6e6", linewidth=0.7)


def _percent(axes: Any, axis: str) -> None:
    (axes.xaxis if axis == "x" else axes.yaxis).set_major_formatter("{x:.0%}")


def _legend_below(axes: Any) -> None:
    axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8)


def _title(evaluation: Evaluation) -> str:
    return f"{shortened(evaluation.what, 50)} on {shortened(evaluation.data, 30)}, {evaluation.images:,} images"


def _site_name(row: LayerRow, rows: Sequence[LayerRow]) -> str:
    several = len({other.origin for other in rows}) > 1
    return f"{row.origin} {row.site}" if several else row.site


def _recall_of(row: ClassRow) -> float:
    assert row.recall is not None
    return row.recall.value
