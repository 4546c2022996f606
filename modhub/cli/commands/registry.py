"""``modhub registry``: creating registries."""

from __future__ import annotations

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option
from modhub.cli.root import Group, help_alone


@click.group("registry", cls=Group)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Create registries, the places that releases are published to."""
    help_alone(ctx)


@command.command(
    "init",
    cls=Command,
    short_help="Create a registry.",
    examples=["modhub registry init", "modhub registry init ~/team-registry"],
)
@click.argument("url", required=False)
@json_option
def init(url: str | None, as_json: bool) -> None:
    """Create a registry at URL, a folder; without URL, the one that modhub publish would use.

    A registry that stands there is left as it is.
    """
    from modhub.config import load_config, publishing_registry

    registry = publishing_registry(url, load_config())
    created = registry.initialise()
    if as_json:
        printing.document({"registry": registry.url, "created": created})
    else:
        where = printing.place(registry.url)
        printing.line(f"created the registry {where}" if created else f"{where} is a registry already")
