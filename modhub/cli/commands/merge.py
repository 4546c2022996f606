"""``modhub merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli.options import Command
from modhub.cli.project_options import print_change, project_options, working


@click.command("merge", cls=Command, examples=["modhub merge ../fruit", "modhub merge ../fruit/modhub.toml"])
@click.argument("other", type=click.Path(path_type=Path), metavar="OTHER")
@project_options
def command(other: Path, project: Path | None, as_json: bool, **places: Any) -> None:
    """Join the classes and verifying stages of the project in OTHER.

    Classes that are the same in both stay once; a label that means another module in each is an error. The
    name and all settings, such as adapters, size, mode and data, stay this project's.
    """
    with working("finding modules", project, **places) as found:
        change = found.merge(other)
    print_change(found, change, as_json=as_json)
