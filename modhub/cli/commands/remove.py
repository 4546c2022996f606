"""``modhub remove``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli.options import Command
from modhub.cli.project_options import print_change, project_options, working
from modhub.spec.quoting import label_of


@click.command("remove", cls=Command, examples=["modhub remove dog", "modhub remove dog 'pickup truck'"])
@click.argument("labels", nargs=-1, required=True, metavar="LABEL...")
@project_options
def command(labels: tuple[str, ...], project: Path | None, as_json: bool, **places: Any) -> None:
    """Remove classes from the project.

    A verifying stage goes when fewer than two of its classes are left, a short name when nothing uses it any more.
    """
    with working("removing", project, **places) as found:
        change = found.remove(*map(label_of, labels))
    print_change(found, change, as_json=as_json)
