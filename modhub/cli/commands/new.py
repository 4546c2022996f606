"""``modhub new``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.findings import print_some
from modhub.cli.options import Command
from modhub.cli.progress import ProgressLine
from modhub.cli.project_options import locked_fields, move_text, place_options
from modhub.errors import UsageError
from modhub.project.project import Project


@click.command(
    "new",
    cls=Command,
    examples=["modhub new pets c10:cat c10:dog cifar100/r20:apple", "modhub new --here", "modhub new pets"],
)
@click.argument("name", required=False)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option("--here", is_flag=True, help="Make it in this folder, as NAME . does; all arguments are REFs then.")
@place_options
def command(name: str | None, refs: tuple[str, ...], here: bool, as_json: bool, **places: Any) -> None:
    """Make a project: a folder NAME with a modhub.toml, which names the modules of one classifier.

    With REFs their classes are added, and modhub.lock pins them. Where a REF cannot be had, nothing is made.
    """
    if here:
        name, refs = ".", ((name, *refs) if name is not None else refs)
    if name is None:
        raise UsageError(
            "the project has no name.", kind="no-name", hint="write modhub new NAME, or modhub new --here."
        )
    if not name.strip():
        raise UsageError("a project's name cannot be empty.", kind="bad-label", hint="for example modhub new pets.")

    with ProgressLine("finding modules") as progress:
        project = Project.new(Path(name), refs, progress=progress.at, **places)
        locked = project.locked
    if as_json:
        fields = {"name": project.file.project.name} if locked is None else locked_fields(locked)
        printing.document({"project": str(project.folder), **fields})
        return
    classes = () if locked is None else locked.classes
    width = max((len(label) for label, _ in classes), default=0)
    print_some([move_text(label.ljust(width), None, str(pin.ref)) for label, pin in classes])
    printing.note(f"made {project.folder / 'modhub.toml'}")
    if locked is None:
        printing.note("add classes to it: modhub add REF" + ("" if name == "." else f" --project {name}"))
