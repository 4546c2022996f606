"""What differs between the modules of an explanation: a row a module, a column a layer where some fires otherwise."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import numpy as np

from modhub.composition.explanation import Difference, Explanation, Said
from modhub.plots.drawing import shortened

#: Layers that are drawn at most, those of the largest changes.
_MOST_LAYERS: Final = 24
#: Fewer nodes that fire are drawn in one hue, more in another.
_CHANGES: Final = "RdBu_r"


def draw_differences(figure: Any, axes: Any, explanation: Explanation, shown: list[Said], rows: float) -> None:
    """How many more or fewer of a layer's nodes fire in a module than in its whole network, in percentage points.

    Where nothing differs the axes say so.
    """
    labels = {said.label for said in shown}
    found = [each for each in explanation.differences() if labels & each.changes.keys()]
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if not found:
        _say_that_nothing_differs(axes, shown)
        return
    columns = _largest(found)
    single = len({each.origin for each in columns}) == 1
    values = np.full((len(shown), len(columns)), np.nan)
    for row, said in enumerate(shown):
        for column, each in enumerate(columns):
            if each.origin == said.origin:
                values[row, column] = 100 * each.changes.get(said.label, 0) / each.nodes
    most = float(np.nanmax(np.abs(values)))
    drawn = axes.pcolormesh(
        np.arange(len(columns) + 1), np.arange(len(shown) + 1) - 0.5, values, cmap=_CHANGES, vmin=-most, vmax=most
    )
    axes.set_ylim(rows - 0.4, -0.6)
    for row in np.flatnonzero(np.isnan(values).all(axis=1)).tolist():
        axes.text(
            0.1, row, f"as {shortened(shown[row].origin, 28)} as a whole", va="center", style="italic", fontsize=8
        )
    axes.set_yticks([])
    names = [shortened(each.layer if single else f"{each.origin.split('/')[-1]} {each.layer}", 22) for each in columns]
    axes.set_xticks(np.arange(len(columns)) + 0.5, names, rotation=90, fontsize=7)
    more = "" if len(columns) == len(found) else f"; {len(columns)} of {len(found)} layers"
    axes.set_title(f"nodes that fire, against the whole network{more}", fontsize=9)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02, ticks=[-most, 0, most])
    bar.ax.set_yticklabels([_points(-most), "0", _points(most)])
    bar.set_label("points of the layer's nodes", fontsize=8)


def _largest(found: list[Difference]) -> list[Difference]:
    """The layers of the largest changes, in the networks' order."""
    sizes = [max(map(abs, each.changes.values())) / each.nodes for each in found]
    kept = sorted(np.argsort(-np.array(sizes), kind="stable")[:_MOST_LAYERS])
    return [found[place] for place in kept]


def _points(value: float) -> str:
    return f"{value:+.2g} %"


def _say_that_nothing_differs(axes: Any, shown: list[Said]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title("what differs between the modules")
    several = len({said.origin for said in shown}) > 1
    text = (
        f"Every module fires as its whole network does here: no node that it lacks fires for this image"
        f"{', in any network' if several else ''}. Only the heads differ."
    )
    axes.text(0.0, 0.98, textwrap.fill(text, 46), transform=axes.transAxes, va="top", style="italic")
