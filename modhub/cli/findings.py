"""What the commands of ``modhub registry`` print, and the spans of time that they take."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from modhub.cli import printing
from modhub.cli.printing import Column
from modhub.errors import ModhubError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modhub.registry.admin.findings import FsckReport
    from modhub.registry.admin.mirror import Mirrored

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])|0", re.ASCII)
_SHOWN: Final = 20


def duration(ctx: click.Context | None, parameter: click.Parameter | None, value: str) -> timedelta:
    """An option's value such as ``7d``, ``12h``, ``30m`` or ``0`` as a span of time."""
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a span of time such as 7d, 12h, 30m or 0.", ctx, parameter)
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match[2] else timedelta()


def print_findings(report: FsckReport) -> None:
    """What an examination found, the gravest first, and a line that sums it up."""
    groups = [("repaired", report.repaired), ("damaged", report.damage), ("untidy", report.untidy)]
    rows = [(title, found.kind, found.message) for title, group in groups for found in group[:_SHOWN]]
    printing.table([Column("state"), Column("kind"), Column("what", wraps=True)], rows)
    for title, group in groups:
        if len(group) > _SHOWN:
            printing.note(f"and {len(group) - _SHOWN} more that are {title}; see all with --json")
    looked = f"{count(report.releases, 'release')}, {count(report.blobs, 'blob')} of {printing.bytes_text(report.size)}"
    histories = f"{count(report.records, 'record')}, {count(report.signatures, 'signature')}"
    state = "everything is as it should be" if report.clean else f"{len(report.damage)} damaged"
    extra = f", {len(report.repaired)} repaired" if report.repaired else ""
    untidy = f", {len(report.untidy)} untidy" if report.untidy else ""
    printing.line(f"{looked}, {histories}: {state}{extra}{untidy}.")


def report_fields(report: FsckReport) -> dict[str, Any]:
    """An examination for ``--json``."""
    return {
        "registry": report.registry,
        "clean": report.clean,
        "releases": report.releases,
        "blobs": report.blobs,
        "size": report.size,
        "records": report.records,
        "signatures": report.signatures,
        "findings": [vars(found) for found in report.findings],
    }


def mirrored_fields(done: Mirrored) -> dict[str, Any]:
    """A copy for ``--json``."""
    return {
        "source": done.source,
        "target": done.target,
        "copied": [str(ref) for ref in done.copied],
        "present": [str(ref) for ref in done.present],
        "taken_down": [str(ref) for ref in done.taken_down],
        "entries": done.entries,
        "fetched": done.fetched,
        "problems": [problem.to_dict() for problem in done.problems],
    }


def print_problems(problems: Sequence[ModhubError]) -> None:
    """Warn of everything but the gravest, which ends the command with its exit code."""
    if not problems:
        return
    gravest = max(problems, key=lambda problem: problem.exit_code)
    for problem in problems:
        if problem is not gravest:
            printing.warn(str(problem))
    raise gravest


def print_some(lines: Sequence[str]) -> None:
    """The first of many lines, and how many more there are."""
    for text in lines[:_SHOWN]:
        printing.line(text)
    if len(lines) > _SHOWN:
        printing.line(f"and {len(lines) - _SHOWN} more")


def count(number: int, what: str) -> str:
    """``1 blob``, ``2 blobs``."""
    return f"1 {what}" if number == 1 else f"{number} {what}s"
