"""``modhub restrict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.project_options import print_change, project_options, working
from modhub.spec.quoting import label_of


@click.command("restrict", cls=Command, examples=["modhub restrict cat dog"])
@click.argument("labels", nargs=-1, required=True, metavar="LABEL...")
@project_options
def command(labels: tuple[str, ...], project: Path | None, as_json: bool, **places: Any) -> None:
    """Keep these classes only, in this order."""
    with working("removing", project, **places) as found:
        change = found.restrict([label_of(label) for label in labels])
    print_change(found, change, as_json=as_json)
    if not as_json and change.locked is not None:
        printing.note(f"the classes are {', '.join(label for label, _ in change.locked.classes)}")
