"""``modhub outdated``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.printing import Column
from modhub.cli.project_options import project_options, working


@click.command("outdated", cls=Command, examples=["modhub outdated", "modhub outdated --all"])
@click.option("--all", "every", is_flag=True, help="Show the classes that are up to date as well.")
@project_options
def command(every: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """Show which of the project's modules have newer releases: in their ranges, where modhub upgrade takes them, and
    beyond. Releases that were yanked or taken down are none to move to."""
    with working("looking up releases", project, **places) as found:
        ages = found.outdated()
    if as_json:
        printing.document({"classes": [{**vars(age), "current": age.is_current} for age in ages]})
        return
    shown = [age for age in ages if every or not age.is_current]
    printing.table(
        [
            Column("label", wraps=True),
            Column("module"),
            Column("locked"),
            Column("in range"),
            Column("newest"),
            Column("yanked", wraps=True),
        ],
        [
            (age.label, age.module, age.locked, age.in_range or "-", age.newest or "-", age.yanked or "no")
            for age in shown
        ],
    )
    current = sum(age.is_current for age in ages)
    printing.note(f"{current} of {len(ages)} classes {'is' if current == 1 else 'are'} up to date")
