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
from modhub.cli.quiet import load_engine
from modhub.errors import RegistryUnreachable, UsageError
from modhub.ops.audit import audit, ignored_until
from modhub.ops.mend import MendedProject, mend
from modhub.project.measuring import Measurement
from modhub.project.mending import WAYS, MendingOption, MendingWay
from modhub.spec.text import percent

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
        "modhub audit --fix --data test.npz",
        "modhub audit --fix --apply --by instead",
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
@click.option("--fix", is_flag=True, help="Propose what to do about each class of the project, smallest change first.")
@click.option("--apply", is_flag=True, help="With --fix: do it.")
@click.option("--by", type=click.Choice(WAYS), help="With --fix: this way, not the smallest that harms none.")
@click.option("--data", metavar="PATH", help="With --fix: measure each way on these labelled images.")
@click.option("--allow", multiple=True, metavar="SPDX", help="In the place of [licenses] allow; repeat it.")
@place_options
def command(
    targets: tuple[str, ...],
    form: str | None,
    ignore: tuple[str, ...],
    until: datetime | None,
    fix: bool,
    apply: bool,
    by: MendingWay | None,
    data: str | None,
    allow: tuple[str, ...],
    as_json: bool,
    **places: Any,
) -> None:
    """Look whether anything is to be said against the modules of a project, a lockfile, some names, or this machine.

    Advisories, yanks and takedowns; keys that were revoked, and signatures where they are required; licences that are
    not allowed; accuracy that was measured only on images of the training. Without an argument it looks at the project
    in this folder or above, else at all that is installed. Offline, and where a registry does not answer, what it said
    when it was last asked counts.

    --fix proposes what can be done about each class: a newer release; the module that an advisory names, on the scale
    of the one that goes where that is needed, or measured to be better; other modules that decide again when the class
    is answered; or no such class. With --data, or data in modhub.toml, each is measured.

    Exit code 7 when something is found. [[ignore]] in modhub.toml, with id, until and reason, keeps what is known quiet
    until that day.
    """
    if fix:
        _fix(targets, data, by, apply=apply, as_json=as_json or form == "json", **places)
        return
    if apply or by is not None or data is not None:
        raise UsageError("--apply, --by and --data go with --fix.", kind="bad-option", hint="add --fix.")
    ignored = ignored_until(ignore, None if until is None else until.date(), "given with --ignore")
    with ProgressLine("asking registries"):
        report = audit(targets, ignore=ignored, allow=allow or None, **places)
    form = form or ("json" if as_json else "text")
    if form == "text":
        _print(report, offline=places["offline"])
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


def _fix(
    targets: tuple[str, ...],
    data: str | None,
    by: MendingWay | None,
    *,
    apply: bool,
    as_json: bool,
    **places: Any,
) -> None:
    """Mend one project; what is left to do ends with the exit code of an audit."""
    if len(targets) > 1:
        raise UsageError("one project is mended at a time.", kind="bad-option", hint="name one.")
    project = targets[0] if targets else None
    with ProgressLine("looking for ways out"):
        done = mend(project, data=data, by=by, apply=apply, before_running=load_engine, **places)
    if as_json:
        printing.document(done.to_dict())
    else:
        _print_plans(done)
    if len(done.done) < len(done.plans) or done.left:
        click.get_current_context().exit(FOUND)


def _print_plans(mended: MendedProject) -> None:
    for plan in mended.plans:
        faulty, before = plan.faulty, plan.before
        now = "" if before is None else f": {_figures(before, faulty.label)}"
        printing.line(f"{faulty.label}  {faulty.pin.ref}{now}")
        chosen = mended.done.get(faulty.label)
        for option in plan.options:
            sign = "*" if option is chosen else "-"
            printing.line(f"  {sign} {option.way:<7}  {option.text}")
            if option.measured is not None:
                printing.line(f"             {_figures(option.measured, faulty.label)}{_fallen(option)}")
    for found in mended.left:
        printing.note(f"no edit of the project's classes changes {found}")
    if not mended.plans:
        printing.note("there is no class to mend")
    elif not mended.done:
        printing.note("nothing was changed; --apply makes the first that harms no other class, --by WAY another")
    else:
        printing.note(f"mended {', '.join(mended.done)}; modhub verify replays what is locked now")


def _figures(measured: Measurement, label: str) -> str:
    """The whole and the class's own share of right answers."""
    recall = dict(measured.recalls).get(label)
    own = "" if recall is None else f", {percent(recall)} of {label}"
    return f"{percent(measured.accuracy.top_1)} right{own}, on {measured.accuracy.examples:,} images"


def _fallen(option: MendingOption) -> str:
    if option.fallen is None:
        return "; no other class's recall falls"
    return f"; the recall of {option.fallen[0]} falls by {percent(option.fallen[1])}"


def _print(report: AuditReport, *, offline: bool) -> None:
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
    if offline and not report.silent:
        printing.warn("no registry was asked about these modules before, so nothing is known offline.")
    count, modules = len(report.findings), report.modules
    what = "nothing" if not count else f"{count} finding{'s' if count != 1 else ''}"
    printing.note(f"{what} against {modules} module{'s' if modules != 1 else ''}")


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''} ago"
    return "less than a minute ago"
