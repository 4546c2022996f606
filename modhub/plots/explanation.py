"""An explanation as a picture: the image, margins, and the share of the kept nodes that fired in each layer."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.explanation import Explanation, Said
from modhub.errors import UsageError
from modhub.plots.drawing import (
    ACCENT,
    AMOUNTS,
    FAINT,
    INK,
    SOFT,
    check_matplotlib_installed,
    look,
    new_figure,
    save,
    shortened,
)
from modhub.spec.input_contract import InputContract
from modhub.spec.places import is_folder

#: Classes that are drawn at most, those of the largest margins.
MOST_CLASSES: Final = 15

#: Inches: a class's row, what is above and below the rows, the least height, and the widths of the three parts.
_ROW: Final = 0.27
_AROUND: Final = 1.25
_LEAST: Final = 2.9
#: Rows between the modules and the origins.
_GAP: Final = 0.35
_WIDTHS: Final = (2.4, 3.3, 4.3)

#: Layers that are named; more are numbered.
_NAMED_LAYERS: Final = 24


def check_out(out: Path) -> None:
    """Raise what would keep a picture from being written to ``out``: UsageError."""
    check_matplotlib_installed()
    if out.suffix.lower() != ".png":
        raise UsageError(
            f"{str(out)!r} is no name of a picture, which ends in .png.",
            kind="bad-format",
            hint=f"use {out.stem}.png.",
            path=str(out),
        )
    if is_folder(out) or not is_folder(out.absolute().parent):
        raise UsageError(
            f"{out} is a folder." if is_folder(out) else f"there is no folder {out.parent}.",
            kind="no-folder",
            hint="name a file in a folder that exists.",
            path=str(out),
        )


def save_explanation(explanation: Explanation, image: NDArray[Any], contract: InputContract, out: Path) -> Path:
    """Draw ``explanation`` of the raw ``image`` (H, W, C) into a PNG file; equal ones give equal bytes.

    Raises UsageError, kind ``missing-extra``, without matplotlib, and StorageError.
    """
    check_out(out)
    with look():
        return save(drawn(explanation, image, contract), out)


def drawn(explanation: Explanation, image: NDArray[Any], contract: InputContract) -> Any:
    """A matplotlib Figure."""
    shown = explanation.ranked()[:MOST_CLASSES]
    origins = list(dict.fromkeys(said.origin for said in shown))
    rows = len(shown) + len(origins) + _GAP
    figure = new_figure(sum(_WIDTHS), max(_LEAST, _AROUND + _ROW * rows))
    picture, bars, fired = figure.subplots(1, 3, width_ratios=_WIDTHS)
    figure.suptitle(_wrapped(str(explanation.verdict)), x=0.01, ha="left", fontsize=11, fontweight="bold")
    _draw_image(picture, image, contract)
    _draw_margins(bars, explanation, shown, rows)
    _draw_fired(figure, fired, shown, origins)
    return figure


def _draw_image(axes: Any, image: NDArray[Any], contract: InputContract) -> None:
    low, high = contract.value_range
    pixels = np.clip((image.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    if pixels.ndim < 3:
        pixels = _as_picture(pixels)
    elif pixels.shape[2] != 3:
        pixels = pixels.mean(axis=2)
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_anchor("N")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(" x ".join(map(str, contract.shape[:2])))


def _as_picture(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """An array that is no image: its axes as rows and columns, a row of numbers in lines as long as they are many."""
    if values.ndim == 2:
        return values
    width = math.ceil(math.sqrt(len(values)))
    filled = np.ones(width * math.ceil(len(values) / width))
    filled[: len(values)] = values
    return filled.reshape(-1, width)


def _draw_margins(axes: Any, explanation: Explanation, shown: list[Said], rows: float) -> None:
    places = np.arange(len(shown))
    margins = np.array([said.module_margin for said in shown])
    axes.barh(places, margins, height=0.72, color=[ACCENT if said.positive else SOFT for said in shown])
    thresholds = np.array([said.threshold for said in shown])
    axes.vlines(thresholds, places - 0.42, places + 0.42, color=INK, linewidth=1.2)
    moved = [(said.margin, place) for place, said in enumerate(shown) if said.margin != said.module_margin]
    if moved:
        axes.plot(*zip(*moved, strict=True), "D", color="white", markeredgecolor=INK, markersize=5)
    axes.axvline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_yticks(places, [shortened(said.label, 24) for said in shown])
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.06)
    _align(axes, rows)
    axes.set_title("margins")
    left = len(explanation.modules) - len(shown)
    if left:
        largest = max(said.margin for said in explanation.ranked()[len(shown) :])
        axes.text(
            0.02,
            len(shown) + _GAP,
            f"and {left} more, at most {largest:.1f}",
            transform=axes.get_yaxis_transform(),
            va="center",
            style="italic",
        )
    _explain_signs(axes, moved=bool(moved))


def _explain_signs(axes: Any, *, moved: bool) -> None:
    """The legend, below the numbers, where it covers nothing."""
    from matplotlib.lines import Line2D  # in the extra ``plot``
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=ACCENT, label="positive"),
        Patch(color=SOFT, label="not positive"),
        Line2D([], [], color=INK, marker="|", linestyle="", markersize=9, label="threshold"),
    ]
    if moved:
        sign: dict[str, Any] = {"marker": "D", "linestyle": "", "markersize": 5}
        sign |= {"markerfacecolor": "white", "markeredgecolor": INK}
        handles.append(Line2D([], [], label="as decided again", **sign))
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.4, -22 / 72 / (axes.bbox.height / axes.figure.dpi)),
        ncols=2 if moved else 3,
        fontsize=8,
        handlelength=1.0,
        columnspacing=1.0,
    )


def _draw_fired(figure: Any, axes: Any, shown: list[Said], origins: list[str]) -> None:
    """A row a module beside its bar, and below them one for each origin, whose nodes are all kept."""
    colours: Any = None
    labels = [""] * len(shown)
    series = [[firing.share for firing in said.firings] for said in shown]
    for origin in origins:
        first = next(said for said in shown if said.origin == origin)
        labels.append(f"all of {shortened(origin, 24)}")
        series.append([firing.origin_share for firing in first.firings])
    places = [*range(len(shown)), *(len(shown) + number + _GAP for number in range(len(origins)))]
    for place, shares in zip(places, series, strict=True):
        values = np.array([[np.nan if share is None else share for share in shares]])
        edges = np.array([place - 0.42, place + 0.42])
        colours = axes.pcolormesh(np.arange(len(shares) + 1), edges, values, cmap=AMOUNTS, vmin=0.0, vmax=1.0)
    axes.set_yticks(places, labels, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    _align(axes, len(series) + _GAP)
    axes.set_title("share of the kept nodes that fired")
    _name_layers(axes, shown, single=len(origins) == 1)
    figure.colorbar(colours, ax=axes, fraction=0.04, pad=0.02, ticks=[0, 0.5, 1.0], format="{x:.0%}")


def _name_layers(axes: Any, shown: list[Said], *, single: bool) -> None:
    """Layers by name where there are few of one network, else by number."""
    most = max(len(said.firings) for said in shown)
    if single and most <= _NAMED_LAYERS:
        names = [shortened(firing.layer, 16) for firing in shown[0].firings]
        axes.set_xticks(np.arange(most) + 0.5, names, rotation=90, fontsize=7)
        return
    step = max(1, round(most / 10 / 5) * 5 or (2 if most > 10 else 1))
    numbers = np.arange(step, most + 1, step) if step > 1 else np.arange(1, most + 1)
    axes.set_xticks(numbers - 0.5, [str(number) for number in numbers])
    axes.set_xlabel("layer, from the image on")


def _align(axes: Any, rows: float) -> None:
    """Rows at the same heights in both parts, the first one on top."""
    axes.set_ylim(rows - 0.4, -0.6)


def _wrapped(text: str, width: int = 105) -> str:
    return "\n".join(textwrap.wrap(text, width)[:3])
