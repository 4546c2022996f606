"""Sizes as people type them, in bytes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import click

_UNITS: Final = {"B": 1, **{f"{name}B": 1000**power for power, name in enumerate("KMGT", 1)}}
_BINARY_UNITS: Final = {f"{name}IB": 1024**power for power, name in enumerate("KMGT", 1)}
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([KMGT]?I?B)", re.IGNORECASE | re.ASCII)


def size_in_bytes(ctx: click.Context | None, parameter: click.Parameter | None, value: str | None) -> int | None:
    """An option's value such as ``2GB`` (10^9) or ``1.5GiB`` (2^30) in bytes."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    factor = (_UNITS | _BINARY_UNITS).get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise click.BadParameter(f"{value!r} is not a size such as 2GB, 500MB or 1.5GiB.", ctx, parameter)
    return int(Decimal(match[1]) * factor)
