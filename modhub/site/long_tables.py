"""Rows of the tables that a site has by the hundred thousand, without a template, which would take three times as long.

As everywhere, what comes from a registry is escaped and isolated; all else in a row are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from modhub.site.content import ShownRelease
from modhub.site.text import isolated, share_bar, span_bar
from modhub.site.views import SiteBand, StageRow
from modhub.spec.text import percent


def stage_cells(rows: Sequence[StageRow]) -> Markup:
    """One row a site of a module: kept, as a bar and a share, then kept nodes of all, active, tangled, removed."""
    return Markup("\n").join(
        Markup(
            f'<tr><th scope="row">{isolated(row.id)}</th><td>{share_bar(row.share)}</td>'
            f'<td class="num">{percent(row.share)}</td><td class="num">{row.kept:,}</td>'
            f'<td class="num">{row.nodes:,}</td>'
            f'<td class="num">{row.concern:,}</td><td class="num">{row.tangled:,}</td>'
            f'<td class="num">{row.removed:,}</td></tr>'
        )
        for row in rows
    )


def band_cells(rows: Sequence[SiteBand]) -> Markup:
    """One row a site of a release: shape and nodes, then the shares that its modules keep."""
    return Markup("\n").join(
        Markup(
            f'<tr><th scope="row">{isolated(row.id)}</th><td>{row.shape}</td><td class="num">{row.nodes:,}</td>'
            f'<td>{span_bar(row.least, row.mean, row.most)}</td><td class="num">{percent(row.mean)}</td>'
            f'<td class="num">{percent(row.least)}</td><td class="num">{percent(row.most)}</td></tr>'
        )
        for row in rows
    )


def overlap_cells(names: Sequence[str], values: Sequence[Sequence[float]], least: float, most: float) -> Markup:
    """One row a module: its overlap with every other, shaded from the least to the most."""
    return Markup("\n").join(
        Markup(f'<tr><th scope="row">{isolated(name)}</th>')
        + Markup("").join(
            Markup(f'<td class="h{round(10 * overlap_shade(value, least, most))}">{value:.3f}</td>') for value in row
        )
        + Markup("</tr>")
        for name, row in zip(names, values, strict=True)
    )


def overlap_range(release: ShownRelease) -> tuple[float, float]:
    """The least and the most that two different modules share; 0 and 1 where there are no two."""
    rows = release.overlap or ()
    values = [value for place, row in enumerate(rows) for other, value in enumerate(row) if other != place]
    return min(values, default=0.0), max(values, default=1.0)


def overlap_shade(value: float, least: float, most: float) -> float:
    """Where a value is between the least, 0, and the most, 1; a module with itself is beyond, and as dark."""
    return min(1.0, (value - least) / (most - least)) if most > least else 0.0
