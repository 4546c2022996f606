"""``modhub yank``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option, one_registry_option, sign_option
from modhub.ops.publish import yank

if TYPE_CHECKING:
    from modhub.signing.keys import Signer


@click.command(
    "yank",
    cls=Command,
    examples=[
        "modhub yank me/net@1.0.0 --reason 'its dog module answers wolf'",
        "modhub yank me/net:dog@1.0.0 --reason 'it answers wolf'",
        "modhub yank me/net@1.0.0 --undo --reason 'it was the data after all'",
    ],
)
@click.argument("ref", metavar="NAMESPACE/MODEL[:CLASS]@VERSION")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for all who meet it.")
@click.option("--undo", is_flag=True, help="Let it be found again.")
@sign_option
@one_registry_option
@json_option
def command(ref: str, reason: str, undo: bool, sign: Signer | None, registry: str | None, as_json: bool) -> None:
    """Let names and ranges skip a release, or one class of it, from now on, without removing it.

    Its exact version, and lockfiles that pin it, still install it, with a warning. Nothing is deleted.
    """
    changed = yank(ref, reason, undo=undo, sign=sign, registry=registry)
    if as_json:
        printing.document({"release": ref, "yanked": not undo, "reason": reason, "changed": changed})
    elif changed:
        printing.line(f"{ref} is found again" if undo else f"yanked {ref}: {reason}")
    else:
        printing.line(f"{ref} was not yanked" if undo else f"{ref} was yanked already")
