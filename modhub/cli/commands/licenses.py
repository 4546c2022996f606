"""``modhub licenses``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.printing import Column
from modhub.cli.project_options import project_options, working
from modhub.errors import Conflict
from modhub.ops.licenses import licenses

if TYPE_CHECKING:
    from modhub.ops.licenses import LicenseReport


@click.command(
    "licenses",
    cls=Command,
    examples=[
        "modhub licenses",
        "modhub licenses --allow MIT --allow Apache-2.0 --check",
        "modhub licenses cifar10/r56 me/net:cat net.modules",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option("--allow", multiple=True, metavar="SPDX", help="In the place of [licenses] allow; repeat it.")
@click.option("--check", is_flag=True, help="Exit code 4 when something conflicts or is not allowed.")
@project_options
def command(
    refs: tuple[str, ...], allow: tuple[str, ...], check: bool, project: Path | None, as_json: bool, **places: Any
) -> None:
    """List the licences of releases, or of all that the project locks: what conflicts, and what is not allowed.

    This is no legal advice: two licences conflict here when the source that is named says so, and of many nothing is
    known. The list of what is allowed is allow under [licenses] in modhub.toml.
    """
    wanted = allow or None
    if refs:
        report = licenses(refs, allow=wanted, registry=places["registry"], cache=places["cache"])
    else:
        with working("looking up licences", project, **places) as found:
            report = licenses(found, allow=wanted)
    if as_json:
        if report.is_clean or not check:
            printing.document(report.to_dict())
    else:
        _print(report)
    if check and not report.is_clean:
        count = len(report.conflicts) + len(report.findings)
        raise Conflict(
            f"{count} of the licences' rules {'is' if count == 1 else 'are'} not kept.",
            kind="licenses",
            hint="use other modules, or list the licence under [licenses] allow.",
            **report.to_dict(),
        )


def _print(report: LicenseReport) -> None:
    printing.table(
        [Column("release"), Column("licence", wraps=True)],
        [(each.release, each.license or "none stated") for each in report.releases],
    )
    for conflict in report.conflicts:
        printing.warn(f"conflict: {conflict} ({conflict.source})")
    for finding in report.findings:
        printing.warn(f"not allowed: {finding.message}")
    if report.unknown and len(report.releases) > 1:
        names = ", ".join(each.release for each in report.unknown)
        printing.note(f"nothing is known of how these go together with the others: {names}")
    printing.note("what is said here of licences is no legal advice")
