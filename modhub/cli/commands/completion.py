"""``modhub completion``."""

from __future__ import annotations

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.shells import SCRIPTS


@click.command(
    "completion",
    cls=Command,
    examples=[
        "source <(modhub completion bash)                                   in ~/.bashrc",
        "modhub completion zsh > ~/.zfunc/_modhub",
        "modhub completion fish > ~/.config/fish/completions/modhub.fish",
    ],
)
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def command(shell: str) -> None:
    """Print a script by which SHELL completes commands, options, and names of models, classes, labels and registries.

    Its first lines say where to put it. Names come from the cache and from what is on this machine of the registries'
    indexes, so that completing never waits for a network.
    """
    printing.echo(SCRIPTS[shell].rstrip("\n"))
