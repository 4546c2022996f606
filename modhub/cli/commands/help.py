"""``modhub help``."""

from __future__ import annotations

import click

from modhub.cli.options import Command
from modhub.cli.root import root


@click.command("help", cls=Command, examples=["modhub help predict", "modhub help registry init"])
@click.argument("names", nargs=-1, metavar="[COMMAND...]")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show what a command does, as modhub COMMAND --help; without a COMMAND, all commands."""
    root.main([*names, "--help"], prog_name="modhub", standalone_mode=False)
