"""``modhub publish``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.forecasts import dry_run_option
from modhub.cli.options import Command, card_option, json_option, one_registry_option, sign_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.errors import UsageError
from modhub.ops.check import Check
from modhub.ops.publish import publish
from modhub.ops.publish_forecast import publish_forecast

if TYPE_CHECKING:
    from modhub.ops.publish_forecast import PublishForecast
    from modhub.signing.keys import Signer


@click.command(
    "publish",
    cls=Command,
    examples=[
        "modhub publish net.modules",
        "modhub publish net.modules --version 1.0.0 --registry ~/team-registry",
        "modhub publish net.modules --card README.md",
        "modhub publish net.modules --check --data test.npz --margin 0.01",
    ],
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", metavar="X.Y.Z", help="Publish under this version. Default: the next minor one.")
@sign_option
@click.option("--check", is_flag=True, help="Refuse a release that recognises a class worse than the one it replaces.")
@click.option("--data", metavar="DATA", help="With --check: images with labels, as for modhub evaluate.")
@click.option("--margin", type=float, metavar="X", help="With --check: how far a recall may fall.  [default: 0.02]")
@card_option
@click.option(
    "--model-signature",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep this OpenSSF model signature of FOLDER beside the release.",
)
@dry_run_option
@one_registry_option
@json_option
def command(
    folder: Path,
    version: str | None,
    sign: Signer | None,
    check: bool,
    data: str | None,
    margin: float | None,
    card: Path | None,
    model_signature: Path | None,
    dry_run: bool,
    registry: str | None,
    as_json: bool,
) -> None:
    """Publish FOLDER, which modhub decompose wrote, as an immutable release.

    Publishing equal content again changes nothing. Other content under a version that exists is refused.

    With --check, all modules of FOLDER and all of the newest release of the model in the registry vote on DATA, and
    nothing is published when the recall of a class falls by more than the margin (0.02: two points of a hundred).
    """
    wanted = _check(check, data, margin)
    if dry_run:
        if wanted is not None:
            raise UsageError("--check publishes when it passes.", kind="bad-option", hint="leave out --dry-run.")
        _print_forecast(publish_forecast(folder, version=version, registry=registry, card=card), as_json)
        return
    with ProgressLine("reading the package") as progress:
        if wanted is not None:
            load_engine()
        release = publish(
            folder,
            version=version,
            registry=registry,
            sign=sign,
            check=wanted,
            card=card,
            model_signature=model_signature,
            progress=progress.bytes,
        )
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
                "checked": None if release.checked is None else release.checked.to_dict(),
            }
        )
        return
    if release.checked is not None:
        printing.line(str(release.checked))
    what = f"{release.ref}: {len(release.classes)} modules, {printing.bytes_text(release.size)}"
    where = printing.place(release.registry)
    printing.line(f"published {what}, in {where}" if release.created else f"{what}, was in {where} already")


def _print_forecast(found: PublishForecast, as_json: bool) -> None:
    if as_json:
        fields = vars(found) | {"ref": str(found.ref), "classes": list(found.classes), "dry_run": True}
        printing.document(fields)
        return
    where = printing.place(found.registry)
    if not found.created:
        printing.line(f"{found.ref} is in {where} already; nothing would be sent.")
        return
    made = ", which would be created" if found.new_registry else ""
    send = f"would send {printing.bytes_text(found.send)}"
    printing.line(f"would publish {found.ref}: {len(found.classes)} modules, in {where}{made}")
    printing.line(send + (f"; {printing.bytes_text(found.there)} are there." if found.there else "."))


def _check(check: bool, data: str | None, margin: float | None) -> Check | None:
    """The check that was asked for. Raises UsageError for half of one."""
    if not check:
        if data is not None or margin is not None:
            raise UsageError("--data and --margin go with --check.", kind="bad-option", hint="add --check.")
        return None
    if data is None:
        raise UsageError("--check needs images.", kind="bad-option", hint="give them with --data.")

    return Check(data) if margin is None else Check(data, margin)
