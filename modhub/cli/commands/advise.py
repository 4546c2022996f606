"""``modhub advise``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option, one_registry_option, sign_option
from modhub.errors import UsageError
from modhub.ops.advise import advise, change_advisory, withdraw_advisory
from modhub.spec.advisories import SEVERITIES

if TYPE_CHECKING:
    from modhub.registry.advising import Advised
    from modhub.spec.advisories import AdvisorySeverity


@click.command(
    "advise",
    cls=Command,
    examples=[
        "modhub advise 'me/net:cat@^1' --reason 'answers wolf' --severity high --instead other/net:cat",
        "modhub advise me/net:cat me/net:dog --reason 'mistakes one for the other' --evidence report.html",
        "modhub advise --change modhub-y3yd-4svl-64pb --fixed-in 1.2.0",
        "modhub advise --withdraw modhub-y3yd-4svl-64pb",
    ],
)
@click.argument("refs", nargs=-1, metavar="[NAMESPACE/MODEL[:CLASS][@RANGE]...]")
@click.option("--reason", metavar="TEXT", help="What is wrong, in a sentence, for all who meet it.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="How grave it is.  [default: medium]")
@click.option("--fixed-in", metavar="VERSION", help="The version that mends it.")
@click.option("--instead", metavar="REF", help="A module, or a model, to use in its place.")
@click.option(
    "--evidence",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that shows it, kept in the registry; repeatable.",
)
@click.option("--reference", "references", multiple=True, metavar="URL", help="A page to read; repeatable.")
@click.option("--change", metavar="ID", help="Let this advisory say so from now on; what is not given stays.")
@click.option("--withdraw", metavar="ID", help="Take this advisory back.")
@sign_option
@one_registry_option
@json_option
def command(
    refs: tuple[str, ...],
    reason: str | None,
    severity: str | None,
    change: str | None,
    withdraw: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say that classes of some releases are faulty: to all who have them, and to all who will meet them.

    Nothing stops working and nothing is deleted; modhub audit finds it in projects and lockfiles, offline too, and
    proposes what to do. Without a class it is about every class, without a range about every version.
    """
    registry, sign = options["registry"], options["sign"]
    _check_mode(refs, reason, severity, change, withdraw, options)
    if withdraw is not None:
        done = withdraw_advisory(withdraw, registry=registry, sign=sign)
    elif change is not None:
        done = change_advisory(
            change,
            reason=reason,
            severity=cast("AdvisorySeverity | None", severity),
            fixed_in=options["fixed_in"],
            instead=options["instead"],
            registry=registry,
            sign=sign,
        )
    else:
        done = advise(refs, str(reason), severity=cast("AdvisorySeverity", severity or "medium"), **options)
    _print(done, as_json=as_json)


def _check_mode(
    refs: tuple[str, ...],
    reason: str | None,
    severity: str | None,
    change: str | None,
    withdraw: str | None,
    options: dict[str, Any],
) -> None:
    """One of three: a new advisory, a change, a withdrawal. Raises UsageError for what belongs to another."""
    if (change is None) + (withdraw is None) + (not refs) != 2:
        raise UsageError(
            "name modules, or give --change ID or --withdraw ID, one of the three.",
            kind="bad-option",
            hint="modhub advise 'me/net:cat@^1' --reason 'answers wolf'",
        )
    if refs and reason is None:
        raise UsageError("missing option '--reason'.", hint="say in a sentence what is wrong.")
    given = [name for name in ("fixed_in", "instead", "evidence", "references") if options[name]]
    given += [name for name, value in (("reason", reason), ("severity", severity)) if value is not None]
    superfluous = given if withdraw else [name for name in given if change and name in ("evidence", "references")]
    if superfluous:
        mode = "--withdraw" if withdraw else "--change"
        option = superfluous[0].removesuffix("s").replace("_", "-")
        raise UsageError(
            f"{mode} takes no --{option}.",
            kind="bad-option",
            hint="leave it out.",
        )


def _print(done: Advised, *, as_json: bool) -> None:
    advisory = done.advisory
    if as_json:
        printing.document(
            {
                "namespace": done.namespace,
                "registry": done.registry,
                "changed": done.changed,
                "advisory": advisory.model_dump(mode="json"),
            }
        )
        return
    state = "withdrew" if advisory.withdrawn else "changed" if done.entries > 1 else "published"
    printing.line(f"{state} {advisory.id}" if done.changed else f"{advisory.id} says so already")
    for each in advisory.affected:
        classes = f":{','.join(each.classes)}" if each.classes else ""
        printing.line(f"  {done.namespace}/{each.model}{classes}  {', '.join(map(str, each.ranges))}")
    printing.line(f"  {advisory.severity}: {advisory.summary}")
    if advisory.instead:
        printing.line(f"  use {advisory.instead} instead")
