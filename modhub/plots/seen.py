"""Where in the image modules see their classes: the image as a module takes it, under the parts of its margin."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.explanation import Said
from modhub.plots.drawing import shortened

#: Modules whose maps are drawn at most, those of the largest margins.
MOST_MAPS: Final = 6
#: Inches.
HEIGHT_OF_SEEN: Final = 2.45
#: For a class, and against it.
_PARTS: Final = "PuOr_r"
_OVER: Final = 0.6


def shown_with_maps(shown: list[Said]) -> list[Said]:
    """The first of ``shown`` whose networks have a map."""
    return [said for said in shown if said.seen is not None][:MOST_MAPS]


def draw_seen(figure: Any, maps: list[Said], pixels: NDArray[np.float64]) -> None:
    """A picture a module on one common scale, in units of the margins as they vote.

    ``pixels`` (H, W, 3) or (H, W), 0 to 1, are the composite's image, which a module of another size sees resized.
    """
    parts = [said.seen.parts / said.divisor for said in maps if said.seen is not None]
    most = max(float(np.abs(each).max()) for each in parts) or 1.0
    every = np.atleast_1d(figure.subplots(1, MOST_MAPS))
    height, width = pixels.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    for axes in every:
        axes.set_axis_off()
    drawn: Any = None
    for axes, said, values in zip(every, maps, parts, strict=False):
        axes.imshow(grey, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest", extent=extent)
        drawn = axes.imshow(
            values, cmap=_PARTS, vmin=-most, vmax=most, alpha=_OVER, interpolation="nearest", extent=extent
        )
        axes.set_title(f"{shortened(said.label, 16)}\n{said.counted:.2f}", fontsize=8, loc="center")
    bar = figure.colorbar(drawn, ax=list(every), fraction=0.015, pad=0.01, ticks=[-most, 0, most])
    bar.ax.set_yticklabels([f"{-most:.2g}", "0", f"{most:.2g}"])
    figure.suptitle(_title(maps), x=0.01, ha="left", fontsize=10)


def _title(maps: list[Said]) -> str:
    """What the numbers are, and where they come from, for all maps alike or for each way once."""
    exact = [said.seen.is_exact for said in maps if said.seen is not None]
    layers = list(dict.fromkeys(shortened(said.seen.layer, 24) for said in maps if said.seen is not None))
    how = (
        "they and a bias add up to it"
        if all(exact)
        else "gradient times activation"
        if not any(exact)
        else "they add up to it, or are gradient times activation"
    )
    return f"where each module sees its class: parts of its margin at {', '.join(layers)}; {how}"
