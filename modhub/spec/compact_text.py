"""What a compact network is against what it was made of, as commands, cards and reports say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.spec.text import in_short, percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modhub.spec.manifest import Compacted


def compact_lines(compacted: Compacted) -> list[str]:
    """A few lines: of what, how much of it, how, and what it costs."""
    return [
        f"of {in_short(each.name for each in compacted.of)}: {percent(compacted.flops)} of the multiply-adds, "
        f"{percent(compacted.parameters)} of the parameters",
        f"{percent(compacted.nodes)} of {compacted.origin_nodes:,} nodes (JI), R2 {compacted.explained:.3f}, "
        f"{_how(compacted)}",
        *cost_lines(compacted),
        *unthinned_lines(compacted),
    ]


def unthinned_lines(compacted: Compacted) -> list[str]:
    """Which layers kept all of their channels, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for each in compacted.unthinned:
        by_reason.setdefault(each.reason, []).append(each.layer)
    return [f"all channels stay of {in_short(names)}: {reason}" for reason, names in by_reason.items()]


def cost_lines(compacted: Compacted) -> Iterator[str]:
    """The accuracy that it gives up against the whole, on images that chose its structure and on such as did not."""
    if (found := compacted.validation) is not None:
        yield (
            f"costs {found.points:.2f} points ({found.low:.2f} to {found.high:.2f}) on {found.examples:,} images of "
            f"{found.data}, with which nothing was made"
        )
    yield f"costs {compacted.points:.2f} points on {compacted.points_images:,} images that were set aside"


def _how(compacted: Compacted) -> str:
    if not compacted.polish_steps:
        return "in closed form"
    return f"then {compacted.polish_steps:,} steps of training"
