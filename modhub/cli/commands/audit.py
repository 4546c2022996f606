"""``modhub audit``."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from modhub.advisories.osv import osv_document
from modhub.advisories.sarif import sarif_document
from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.project_options import place_options
from modhub.errors import RegistryUnreachable
from modhub.ops.audit import audit, ignored_until

if TYPE_CHECKING:
    from modhub.advisories.findings import AuditReport

#: The exit code when something was found that counts; all others are those of errors.
FOUND: Final = 7


@click.command(
    "audit",
    cls=Command,
    examples=[
        "modhub audit",
        "modhub audit cifar10/r56:cat other/modhub.lock --json",
        "modhub audit --format sarif > modhub.sarif",
        "modhub audit --ignore modhub-y3yd-4svl-64pb --until 2027-01-31",
    ],
)
@click.argument("targets", nargs=-1, metavar="[REF|PROJECT|LOCKFILE...]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "osv"]),
    help="How to print it; sarif is for code scanning, osv has the advisories alone.  [default: text]",
)
@click.option("--ignore", multiple=True, metavar="ID", help="Let this finding count for nothing; repeatable.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The last day of --ignore.")
@click.option("--allow", multiple=True, metavar="SPDX", help="In the place of [licenses] allow; repeat it.")
@place_options
def command(
    targets: tuple[str, ...],
    form: str | None,
    ignore: tuple[str, ...],
    until: datetime | None,
    allow: tuple[str, ...],
    as_json: bool,
    **places: Any,
) -> None:
    """Look whether anything is to be said against the modules of a project, a lockfile, some names, or this machine.

    Advisories, yanks and takedowns; keys that were revoked, and signatures where they are required; licences that are
    not allowed; accuracy that was measured only on images of the training. Without an argument it looks at the project
    in this folder or above, else at all that is installed. Offline, and where a registry does not answer, what it said
    when it was last asked counts.

    Exit code 7 when something is found. [[ignore]] in modhub.toml, with id, until and reason, keeps what is known quiet
    until that day.
    """
    ignored = ignored_until(ignore, None if until is None else until.date(), "given with --ignore")
    with ProgressLine("asking registries"):
        report = audit(targets, ignore=ignored, allow=allow or None, **places)
    form = form or ("json" if as_json else "text")
    if form == "text":
        _print(report)
    elif form == "json":
        printing.document(report.to_dict())
    else:
        document = (
            osv_document(report)
            if form == "osv"
            else sarif_document(report, version=version("modhub"), base=Path.cwd())
        )
        printing.document(document)
    if report.is_clean and not places["offline"] and report.is_unknown:
        raise RegistryUnreachable(
            "no registry answered, and nothing is known of what they said before, so this is no clean audit.",
            kind="nothing-known",
            hint="run it again when they can be reached, or with --offline if they never will.",
            registries=[each.registry for each in report.silent],
        )
    if not report.is_clean:
        click.get_current_context().exit(FOUND)


def _print(report: AuditReport) -> None:
    several = len({found.source.name for found in report.findings}) > 1
    columns = [Column("severity"), Column("what", wraps=True), Column("id")]
    columns += [Column("in", wraps=True)] if several else []
    columns.insert(1, Column("class", wraps=True))
    rows = []
    for found in report.findings:
        row = [found.severity, ", ".join(found.labels) or "-", found.message, found.id]
        rows.append([*row, printing.place(found.source.name)] if several else row)
    printing.table(columns, rows)
    for found in report.ignored:
        assert found.ignored is not None
        printing.note(f"ignored until {found.ignored.until}: {found.message} ({found.ignored.reason})")
    for text in report.deprecated:
        printing.note(f"note: {text}")
    for silent in report.silent:
        age = "nothing is known of it" if silent.age is None else f"what counts is what it said {_ago(silent.age)}"
        printing.warn(f"{printing.place(silent.registry)} was not asked now; {age}.")
    count, modules = len(report.findings), report.modules
    what = "nothing" if not count else f"{count} finding{'s' if count != 1 else ''}"
    printing.note(f"{what} against {modules} module{'s' if modules != 1 else ''}")


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''} ago"
    return "less than a minute ago"
