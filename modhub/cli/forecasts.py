"""``--dry-run``: what a command would fetch or send, in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from modhub.cli import printing
from modhub.cli.printing import Column

if TYPE_CHECKING:
    from modhub.installation.forecast import Forecast

_NAMED: Final = 4

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Only say what would happen, and how many bytes it would take."
)


def forecast_fields(found: Sequence[Forecast]) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "dry_run": True,
        "fetch": sum(each.fetch for each in found),
        "here": sum(each.here for each in found),
        "releases": [
            {
                "release": str(each.release),
                "digest": each.digest,
                "registry": each.registry,
                "classes": list(each.classes),
                "fetch": each.fetch,
                "here": each.here,
            }
            for each in found
        ],
    }


def print_forecast(found: Sequence[Forecast]) -> None:
    """A release a row, and all bytes in a line."""
    printing.table(
        [
            Column("release"),
            Column("modules", wraps=True),
            Column("to fetch", right=True),
            Column("here", right=True),
            Column("from", wraps=True),
        ],
        [
            (
                str(each.release),
                ", ".join(each.classes) if len(each.classes) <= _NAMED else f"{len(each.classes)} classes",
                printing.bytes_text(each.fetch),
                printing.bytes_text(each.here),
                printing.place(each.registry),
            )
            for each in found
        ],
    )
    fetch = printing.bytes_text(sum(each.fetch for each in found))
    printing.line(f"would fetch {fetch}; {printing.bytes_text(sum(each.here for each in found))} are in the cache.")
