"""``modhub swap``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.project_options import pairs, print_change, project_options, working
from modhub.spec.quoting import label_of


@click.command(
    "swap", cls=Command, examples=["modhub swap cat=cifar10/r20:cat", "modhub swap cat=me/two:cat dog=me/two:dog"]
)
@click.argument("modules", nargs=-1, required=True, metavar="LABEL=REF...")
@click.option(
    "--match",
    is_flag=True,
    help="Keep the scale of the modules that go, where the vote does not even scales out: raw, or old releases.",
)
@project_options
def command(modules: tuple[str, ...], match: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """Put another module in the place of a class, which keeps its label and its place.

    Networks differ in how large their margins are, and a module from one of larger margins wins too often among those
    of another. A scaled vote of releases that record their scale evens that out. For all others there is --match: it
    keeps the scale of the modules that go, by what both were calibrated to, and writes [scales] and vote = "raw".
    """
    wanted = pairs(modules, "LABEL=REF", label_of)
    with working("finding modules", project, **places) as found:
        change = found.swap(wanted, match=match)
    print_change(found, change, as_json=as_json)
    if match and not as_json and change.locked is not None and not change.locked.scales:
        printing.note(
            "nothing to match: the vote is scaled, and every release records the scale of its margins; "
            'with vote = "raw" in modhub.toml, --match applies'
        )
