"""An explanation as a picture: the image, the margins, what differs between the modules, and where each sees its class.

Every scale is stated, and what would show the same in every row is said in words instead.
"""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.explanation import Explanation, Said
from modhub.errors import UsageError
from modhub.plots.differences import draw_differences
from modhub.plots.drawing import (
    ACCENT,
    FAINT,
    INK,
    SOFT,
    check_matplotlib_installed,
    look,
    new_figure,
    save,
    shortened,
)
from modhub.plots.seen import HEIGHT_OF_SEEN, draw_seen, shown_with_maps
from modhub.spec.input_contract import InputContract
from modhub.spec.places import is_folder

#: Classes that are drawn at most, those of the largest margins.
MOST_CLASSES: Final = 15

#: Inches: a class's row, what is above and below the rows, the least height, and the widths of the three parts.
_ROW: Final = 0.27
_AROUND: Final = 1.25
_LEAST: Final = 2.9
#: Rows below the modules; with a line that says how many more there are.
_GAP, _LINE = 0.35, 1.1
_WIDTHS: Final = (2.4, 3.3, 4.3)


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
    rows = len(shown) + (_GAP if len(shown) == len(explanation.modules) else _LINE)
    height = max(_LEAST, _AROUND + _ROW * rows)
    # Positions of an array's map are none of its picture.
    maps = shown_with_maps(shown) if image.ndim == 3 else []
    figure = new_figure(sum(_WIDTHS), height + (HEIGHT_OF_SEEN if maps else 0))
    above, below = figure.subfigures(2, 1, height_ratios=(height, HEIGHT_OF_SEEN)) if maps else (figure, None)
    picture, bars, changed = above.subplots(1, 3, width_ratios=_WIDTHS)
    figure.suptitle(_wrapped(str(explanation.verdict)), x=0.01, ha="left", fontsize=11, fontweight="bold")
    pixels = _pixels(image, contract)
    _draw_image(picture, pixels, contract)
    _draw_margins(bars, explanation, shown, rows)
    draw_differences(above, changed, explanation, shown, rows)
    if below is not None:
        draw_seen(below, maps, pixels)
    return figure


def _pixels(image: NDArray[Any], contract: InputContract) -> NDArray[np.float64]:
    """The image as matplotlib draws it: (H, W, 3) or (H, W), 0 to 1."""
    low, high = contract.value_range
    pixels = np.clip((image.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    if pixels.ndim < 3:
        return _as_picture(pixels)
    return pixels if pixels.shape[2] == 3 else np.asarray(pixels.mean(axis=2))


def _draw_image(axes: Any, pixels: NDArray[np.float64], contract: InputContract) -> None:
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
    margins = np.array([said.counted for said in shown])
    axes.barh(places, margins, height=0.72, color=[ACCENT if said.positive else SOFT for said in shown])
    thresholds = np.array([said.threshold / said.divisor for said in shown])
    axes.vlines(thresholds, places - 0.42, places + 0.42, color=INK, linewidth=1.2)
    moved = [
        (said.margin, place) for place, said in enumerate(shown) if not np.isclose(said.margin, said.counted, 1e-5)
    ]
    if moved:
        axes.plot(*zip(*moved, strict=True), "D", color="white", markeredgecolor=INK, markersize=5)
    axes.axvline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_yticks(places, [shortened(said.label, 24) for said in shown])
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.06)
    # The last number would stand under the layers beside it.
    axes.locator_params(axis="x", nbins=6, prune="upper")
    axes.set_ylim(rows - 0.4, -0.6)
    is_scaled = any(said.divisor != 1 for said in shown)
    axes.set_title("margins / network's scale" if is_scaled else "margins")
    left = len(explanation.modules) - len(shown)
    if left:
        largest = max(said.margin for said in explanation.ranked()[len(shown) :])
        axes.text(
            0.02,
            len(shown) + 0.1,
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


def _wrapped(text: str, width: int = 105) -> str:
    return "\n".join(textwrap.wrap(text, width)[:3])
