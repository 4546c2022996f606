"""``modhub outdated``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.hits import remark_fields
from modhub.cli.options import Command
from modhub.cli.printing import Column
from modhub.cli.project_options import note_stale, project_options, working

if TYPE_CHECKING:
    from modhub.project.views import Age


@click.command("outdated", cls=Command, examples=["modhub outdated", "modhub outdated --all"])
@click.option("--all", "every", is_flag=True, help="Show the classes that are up to date as well.")
@project_options
def command(every: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """Show which of the project's modules have newer releases: in their ranges, where modhub upgrade takes them, and
    beyond. Releases that were yanked or taken down are none to move to."""
    with working("looking up releases", project, **places) as found:
        ages, locked = found.outdated(), found.locked
    if as_json:
        printing.document({"classes": [_fields(age) for age in ages]})
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
    for text in dict.fromkeys(str(remark) for age in ages for remark in age.remarks if remark.kind != "yanked"):
        printing.warn(text)
    if locked is not None:
        note_stale(found, locked)
    current = sum(age.is_current for age in ages)
    printing.note(f"{current} of {len(ages)} classes {'is' if current == 1 else 'are'} up to date")


def _fields(age: Age) -> dict[str, Any]:
    return {**vars(age), "remarks": [remark_fields(remark) for remark in age.remarks], "current": age.is_current}
