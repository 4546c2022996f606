"""``modhub swap``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli.options import Command
from modhub.cli.project_options import pairs, print_change, project_options, working
from modhub.spec.quoting import label_of


@click.command(
    "swap", cls=Command, examples=["modhub swap cat=cifar10/r20:cat", "modhub swap cat=me/two:cat dog=me/two:dog"]
)
@click.argument("modules", nargs=-1, required=True, metavar="LABEL=REF...")
@click.option("--match", is_flag=True, help="Bring their margins onto the scale of the modules that go.")
@project_options
def command(modules: tuple[str, ...], match: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """Put another module in the place of a class, which keeps its label and its place.

    Networks differ in how large their margins are, and a module from one of larger margins wins too often among those
    of another. --match evens that out, by what both modules were calibrated to, and writes it under [scales].
    """
    wanted = pairs(modules, "LABEL=REF", label_of)
    with working("finding modules", project, **places) as found:
        change = found.swap(wanted, match=match)
    print_change(found, change, as_json=as_json)
