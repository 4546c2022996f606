"""``modhub publish``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option, one_registry_option, sign_option
from modhub.cli.progress import Progress

if TYPE_CHECKING:
    from modhub.signing import Signer


@click.command(
    "publish",
    cls=Command,
    examples=["modhub publish net.modules", "modhub publish net.modules --version 1.0.0 --registry ~/team-registry"],
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", metavar="X.Y.Z", help="Publish under this version. Default: the next minor one.")
@sign_option
@one_registry_option
@json_option
def command(folder: Path, version: str | None, sign: Signer | None, registry: str | None, as_json: bool) -> None:
    """Publish FOLDER, which modhub decompose wrote, as an immutable release.

    Publishing equal content again changes nothing. Other content under a version that exists is refused.
    """
    from modhub import api

    with Progress("reading the package") as progress:
        release = api.publish(folder, version=version, registry=registry, sign=sign, progress=progress.at)
    for text in release.warnings:
        printing.warn(text)
    if as_json:
        printing.document(
            {
                "ref": str(release.ref),
                "digest": release.digest,
                "registry": release.registry,
                "created": release.created,
                "classes": list(release.classes),
                "size": release.size,
                "warnings": list(release.warnings),
            }
        )
        return
    what = f"{release.ref}: {len(release.classes)} modules, {printing.size(release.size)}"
    where = printing.place(release.registry)
    printing.line(f"published {what}, in {where}" if release.created else f"{what}, was in {where} already")
