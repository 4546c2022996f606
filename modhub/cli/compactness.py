"""What a compact release is against what it was made of, for people."""

from __future__ import annotations

from modhub.spec.manifest import Compacted
from modhub.spec.text import in_short, percent


def compact_text(compacted: Compacted) -> str:
    """What a compact network is against what it was made of."""
    names = ", ".join(each.name for each in compacted.of)
    shares = f"{percent(compacted.flops)} of the multiply-adds, {percent(compacted.parameters)} of the parameters"
    how = "in closed form" if not compacted.polish_steps else f"then {compacted.polish_steps:,} steps of training"
    return (
        f"of {names}: {shares}\n"
        f"{percent(compacted.nodes)} of {compacted.origin_nodes:,} nodes (JI), R2 {compacted.explained:.3f}, {how}\n"
        f"{compacted.points:+.2f} points on {compacted.points_images:,} images that were set aside"
        + "".join(f"\n{text}" for text in unthinned_lines(compacted))
    )


def unthinned_lines(compacted: Compacted) -> list[str]:
    """Which layers kept all of their channels, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for each in compacted.unthinned:
        by_reason.setdefault(each.reason, []).append(each.layer)
    return [f"all channels stay of {in_short(names)}: {reason}" for reason, names in by_reason.items()]
