"""``modhub deprecate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option, one_registry_option, sign_option
from modhub.ops.advise import deprecate

if TYPE_CHECKING:
    from modhub.signing.keys import Signer


@click.command(
    "deprecate",
    cls=Command,
    examples=[
        "modhub deprecate me/net --use other/net 'trained on few images'",
        "modhub deprecate me/net --undo 'it is maintained again'",
    ],
)
@click.argument("model", metavar="NAMESPACE/MODEL")
@click.argument("reason")
@click.option("--use", metavar="NAMESPACE/MODEL", help="The model to use in its place.")
@click.option("--undo", is_flag=True, help="Take it back.")
@sign_option
@one_registry_option
@json_option
def command(
    model: str, reason: str, use: str | None, undo: bool, sign: Signer | None, registry: str | None, as_json: bool
) -> None:
    """Say wherever a model is used that another one is to take its place. Nothing stops working."""
    changed = deprecate(model, reason, use=use, undo=undo, registry=registry, sign=sign)
    if as_json:
        printing.document({"model": model, "deprecated": not undo, "reason": reason, "use": use, "changed": changed})
    elif changed:
        instead = f"; use {use}" if use else ""
        printing.line(f"{model} is deprecated no more" if undo else f"deprecated {model}: {reason}{instead}")
    else:
        printing.line(f"{model} was not deprecated" if undo else f"{model} was deprecated so already")
