"""``modhub upgrade``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli.options import Command
from modhub.cli.project_options import print_change, project_options, working
from modhub.spec.quoting import label_of


@click.command("upgrade", cls=Command, examples=["modhub upgrade", "modhub upgrade cifar10/r56", "modhub upgrade cat"])
@click.argument("names", nargs=-1, metavar="[REF or LABEL...]")
@project_options
def command(names: tuple[str, ...], project: Path | None, as_json: bool, **places: Any) -> None:
    """Move the project's modules to the newest releases in the ranges of modhub.toml.

    With names only those models move, and all of their classes with them; a label stands for its module's model.
    """
    with working("finding modules", project, **places) as found:
        change = found.upgrade(*map(label_of, names))
    print_change(found, change, as_json=as_json)
