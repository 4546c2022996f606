"""``modhub lock``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.compose_options import agreement_line
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.outputs import check_free, force_option
from modhub.cli.project_options import accuracy_text, change_fields, print_change, project_option, working
from modhub.errors import UsageError
from modhub.ops.install import lock
from modhub.spec.places import is_file


@click.command(
    "lock",
    cls=Command,
    examples=[
        "modhub lock                                 the project in this folder",
        "modhub lock --data cifar10_test.npz         and measure it on these images",
        "modhub lock c10:cat c100:apple",
        "modhub lock 'cifar10/r56@^1' --out pets.lock",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the lock of REFs here.  [default: modhub.lock]",
)
@force_option
@click.option("--data", metavar="DATA", help="Measure the project's accuracy on this .npz file, folder, or data set.")
@click.option("--no-accuracy", is_flag=True, help="Measure nothing, also where modhub.toml names data.")
@project_option
@registry_option
@cache_option
@json_option
def command(
    refs: tuple[str, ...],
    out: Path | None,
    force: bool,
    data: str | None,
    no_accuracy: bool,
    project: Path | None,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Write down exactly which modules a project asks for, so that others build the same: modhub sync.

    Releases that are locked and still satisfy modhub.toml stay; modhub upgrade moves them. Where modhub.toml names
    data, the classifier's accuracy on it is measured and written down as well, in the mode and dtype of modhub.toml.
    Where these are not exact, how far its answers are those of isolated modules in float32 is measured and printed.

    With REFs it is about those and no project: what they mean now, for modhub install --locked FILE. The file pins
    versions and digests; a later release, alias or yank changes nothing for those who install from it.
    """
    if refs:
        if data is not None or no_accuracy or project is not None:
            raise UsageError(
                "a lock of names has no project and no accuracy.",
                kind="bad-option",
                hint="leave out the names to lock the project.",
            )
        _lock_names(refs, _own_file(out, force), registry, cache, as_json=as_json)
        return
    if out is not None or force:
        raise UsageError(
            f"{'--force' if out is None else '--out'} is for a lock of names; a project's lock is its modhub.lock.",
            kind="bad-option",
            hint="name modules.",
        )
    if data is not None and no_accuracy:
        raise UsageError("--data and --no-accuracy exclude each other.", kind="bad-option", hint="give one of the two.")
    _lock_project(project, data, measure=not no_accuracy, as_json=as_json, registry=registry, cache=cache)


def _lock_project(project: Path | None, data: str | None, *, measure: bool, as_json: bool, **places: Any) -> None:
    with working("finding modules", project, **places) as found:
        change = found.lock(data=data, measure=measure)
    if as_json:
        agreement = None if change.agreement is None else change.agreement.to_dict()
        printing.document(change_fields(found, change) | {"agreement": agreement})
        return
    print_change(found, change, as_json=False)
    if change.locked is not None and change.locked.accuracy is not None:
        printing.line(accuracy_text(change.locked))
    if change.agreement is not None:
        printing.line(agreement_line(change.agreement))


def _own_file(out: Path | None, force: bool) -> Path:
    """Where to write a lock of names: not over a project's, unless that was asked for."""
    if out is None and is_file("modhub.toml"):
        raise UsageError(
            "modhub.lock belongs to the project in this folder.",
            kind="project-lock",
            hint="leave out the names to lock the project, or choose another file with --out.",
        )
    out = out or Path("modhub.lock")
    check_free(out, force=force)
    return out


def _lock_names(
    refs: tuple[str, ...], out: Path, registry: tuple[str, ...] | None, cache: Path | None, *, as_json: bool
) -> None:
    locked = lock(refs, out, registry=registry, cache=cache)
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
