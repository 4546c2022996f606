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
@project_options
def command(modules: tuple[str, ...], project: Path | None, as_json: bool, **places: Any) -> None:
    """Put another module in the place of a class, which keeps its label and its place."""
    wanted = pairs(modules, "LABEL=REF", label_of)
    with working("finding modules", project, **places) as found:
        change = found.swap(wanted)
    print_change(found, change, as_json=as_json)
