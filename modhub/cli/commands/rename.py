"""``modhub rename``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli.options import Command
from modhub.cli.project_options import pairs, print_change, project_options, working
from modhub.spec.quoting import label_of


@click.command("rename", cls=Command, examples=["modhub rename cat=kitten", "modhub rename cat=dog dog=cat"])
@click.argument("labels", nargs=-1, required=True, metavar="OLD=NEW...")
@project_options
def command(labels: tuple[str, ...], project: Path | None, as_json: bool, **places: Any) -> None:
    """Give classes other labels, all at once."""
    wanted = {old: label_of(new) for old, new in pairs(labels, "OLD=NEW", label_of).items()}
    with working("renaming", project, **places) as found:
        change = found.rename(wanted)
    print_change(found, change, as_json=as_json, lines=[f"~ {old} -> {new}" for old, new in wanted.items()])
