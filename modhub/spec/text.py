"""How shares are written where people read them."""

from __future__ import annotations


def percent(share: float | None) -> str:
    """``0.9342`` as ``93.4%``; a dash for None."""
    return "-" if share is None else f"{share:.1%}"
