"""``modhub lock``."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.options import Command, cache_option, json_option, registry_option


@click.command(
    "lock",
    cls=Command,
    examples=["modhub lock c10:cat c100:apple", "modhub lock 'cifar10/r56@^1' --out pets.lock"],
)
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("modhub.lock"),
    show_default=True,
    metavar="FILE",
    help="Write it here.",
)
@registry_option
@cache_option
@json_option
def command(
    refs: tuple[str, ...], out: Path, registry: tuple[str, ...] | None, cache: Path | None, as_json: bool
) -> None:
    """Write down exactly which modules REF... mean now, so that others install the same: modhub install --locked FILE.

    The file pins versions and digests. A later release, alias or yank changes nothing for those who install from it.
    """
    from modhub import api

    locked = api.lock(refs, out, registry=registry, cache=cache)
    if as_json:
        rows = [
            {"ref": str(pin.ref), "class": pin.name, "digest": pin.digest, "registry": pin.registry}
            for pin in locked.modules
        ]
        printing.document({"lock": str(out), "modules": rows})
        return
    for pin in locked.modules:
        printing.line(f"{pin.ref}  {pin.digest[:19]}  {printing.place(pin.registry)}")
    printing.note(f"wrote {out}")
