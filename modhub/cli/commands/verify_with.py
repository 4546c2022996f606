"""``modhub verify-with``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli.options import Command
from modhub.cli.project_options import pairs, print_change, project_options, refs, working
from modhub.errors import UsageError
from modhub.spec.quoting import labels_of, split_labels


@click.command(
    "verify-with",
    cls=Command,
    examples=["modhub verify-with cat,dog=me/two:cat,me/two:dog", "modhub verify-with cat,dog --drop"],
)
@click.argument("stages", nargs=-1, required=True, metavar="CLASS,CLASS=REF,REF...")
@click.option("--drop", is_flag=True, help="Remove the stages of these classes: CLASS,CLASS.")
@project_options
def command(stages: tuple[str, ...], drop: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """When the classifier answers one of some classes, let other modules decide between these again.

    One REF a CLASS: matched by name where the names are the classes', else in order. It takes the place of a stage of
    the same classes.
    """
    if drop:
        if wrong := [stage for stage in stages if len(split_labels(stage, "=", 1)) > 1]:
            raise UsageError(
                f"{wrong[0]!r} names modules, which --drop does not take.", hint="write CLASS,CLASS --drop."
            )
        with working("removing", project, **places) as found:
            for stage in stages:
                change = found.drop_verifier(labels_of(stage))
        lines = [f"- {' | '.join(labels_of(stage))}" for stage in stages]
    else:
        wanted = {tuple(labels_of(c)): refs(r) for c, r in pairs(stages, "CLASS,CLASS=REF,REF").items()}
        with working("finding modules", project, **places) as found:
            change = found.verify_with(wanted)
        new = (
            []
            if change.locked is None
            else [(classes, pins) for classes, pins in change.locked.recipe.named_stages() if classes in wanted]
        )
        lines = [f"+ {' | '.join(classes)}  by {', '.join(str(pin.ref) for pin in pins)}" for classes, pins in new]
    print_change(found, change, as_json=as_json, lines=lines)
