"""``modhub add``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli.options import Command
from modhub.cli.project_options import print_change, project_options, working
from modhub.spec.quoting import label_of


@click.command(
    "add",
    cls=Command,
    examples=[
        "modhub add c10:cat 'cifar100/r20:apple@~1.2'",
        "modhub add cifar10/r20                 all of its classes",
        "modhub add me/two:cat --as kitten",
    ],
)
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.option("--as", "label", metavar="LABEL", help="Call the class this; for one class.")
@project_options
def command(refs: tuple[str, ...], label: str | None, project: Path | None, as_json: bool, **places: Any) -> None:
    """Add classes to the project, after the others; a REF without a class adds all of its model's.

    Without a range of its own a REF gets the one of all releases that are compatible with the newest. An alias becomes
    a short name of the project, so that it means the same on every machine.
    """
    with working("finding modules", project, **places) as found:
        change = found.add(*refs, label=None if label is None else label_of(label))
    print_change(found, change, as_json=as_json)
