"""What the commands on a project share: their options, the project they are about, and how a change is printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from modhub.cli import printing
from modhub.cli.findings import print_some
from modhub.cli.options import cache_option, json_option, offline_option, registry_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.errors import UsageError
from modhub.project.compact import again, is_stale, stale_text
from modhub.project.project import Project
from modhub.spec.quoting import RULE, split_labels
from modhub.spec.text import percent

if TYPE_CHECKING:
    from modhub.installation.lockfile import LockedProject
    from modhub.project.session import Change

_Command = TypeVar("_Command", bound=Callable[..., Any])

project_option = click.option(
    "--project",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The project's folder.  [default: this folder, or the nearest above it with a modhub.toml]",
)


def place_options(function: _Command) -> _Command:
    """``--registry``, ``--cache``, ``--offline``, ``--json``: where modules come from, and how results are printed."""
    for option in (json_option, cache_option, offline_option, registry_option):
        function = option(function)
    return function


def project_options(function: _Command) -> _Command:
    """``--project``, and ``place_options``."""
    return place_options(project_option(function))


@contextmanager
def working(doing: str, project: Path | None, **places: Any) -> Iterator[Project]:
    """The project, while one line says what is being done. ``places`` are registry, cache and offline."""

    with ProgressLine(doing) as progress:
        found = Project.open(project, progress=progress.at, **places)
        yield replace(found, options=replace(found.options, before_running=load_engine))


def pairs(texts: Sequence[str], form: str, read: Callable[[str], str] = str.strip) -> dict[str, str]:
    """``cat=kitty`` arguments as a dictionary; ``read`` is what names mean, ``form`` says how they are written.

    Raises UsageError.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, *values = split_labels(text, "=", 1)
        value = values[0] if values else ""
        if not name.strip() or not value.strip():
            raise UsageError(
                f"{text!r} is not {form}.", hint=f"write it as {form}; {RULE}", kind="bad-pair", argument=text
            )
        name = read(name)
        if name in found:
            raise UsageError(f"{name!r} is named twice.", hint="name it once.", kind="duplicate-class", argument=text)
        found[name] = value.strip()
    return found


def refs(text: str) -> list[str]:
    """``me/two:cat,me/two:dog@>=1,<2`` as names: a comma inside a range ends none."""
    return [part.strip() for part in re.split(r",(?=[^,]*:)", text) if part.strip()]


def change_fields(project: Project, change: Change) -> dict[str, Any]:
    """A change for ``--json``, with all that is locked now."""
    locked = change.locked
    return {
        "project": str(project.folder),
        "changes": [vars(move) for move in change.moves],
        "settings": [vars(each) for each in change.settings],
        "fetched": sum(each.fetched for each in change.installed),
        **({} if locked is None else locked_fields(locked)),
    }


def locked_fields(locked: LockedProject) -> dict[str, Any]:
    """A lock of a project for ``--json``."""
    return {
        "name": locked.name,
        "requests": locked.requests,
        **locked.settings.to_dict(),
        "classes": [
            {"label": label, "ref": str(pin.ref), "class": pin.name, "digest": pin.digest, "registry": pin.registry}
            for label, pin in locked.classes
        ],
        "verify": [
            {"classes": list(classes), "modules": [str(pin.ref) for pin in modules]}
            for classes, modules in locked.recipe.named_stages()
        ],
        "scales": {label: vars(scale) for label, scale in locked.scales},
        "accuracy": None if locked.accuracy is None else locked.accuracy.model_dump(mode="json"),
        "compact": None
        if locked.compact is None
        else {**locked.compact.model_dump(mode="json"), "stale": is_stale(locked)},
    }


def print_change(project: Project, change: Change, *, as_json: bool, lines: Sequence[str] | None = None) -> None:
    """What changed, a class a line, or ``lines`` in its place; and how many classes are locked now."""
    if as_json:
        printing.document(change_fields(project, change))
        return
    if lines is None:
        width = max((len(move.label) for move in change.moves), default=0)
        lines = [move_text(move.label.ljust(width), move.before, move.after) for move in change.moves]
        lines += setting_lines(change)
    print_some(lines)
    locked = change.locked
    if locked is None:
        printing.note("the project has no classes")
        return
    if change.before is not None and change.before.accuracy is not None and locked.accuracy is None:
        printing.note("the accuracy that was measured is not this classifier's any more: modhub lock measures it again")
    note_stale(project, locked)
    same = "nothing changed; " if not lines else ""
    count = len(locked.classes)
    printing.note(
        f"{same}{count} {'class is' if count == 1 else 'classes are'} locked in {project.folder / 'modhub.lock'}"
    )


def setting_lines(change: Change) -> list[str]:
    """``~ mode: isolated -> fused`` for each setting of the project file that is another one now."""
    return [f"~ {each.name}: {each.before or 'none'} -> {each.after or 'none'}" for each in change.settings]


def move_text(label: str, before: str | None, after: str | None) -> str:
    """``+ apple  cifar100/r20:apple@1.0.0``, with ``-`` for what went and ``~`` for what is another one now."""
    if before is None or after is None:
        return f"{'+' if before is None else '-'} {label}  {after or before}"
    return f"~ {label}  {before} -> {after}"


def note_stale(project: Project, locked: LockedProject) -> None:
    """Say it where the compact network that is locked is not this classifier's."""
    if locked.compact is not None and is_stale(locked):
        printing.warn(f"{stale_text(project.folder)} {again(locked.compact, project.folder)} makes it again.")


def compact_text(locked: LockedProject) -> list[str]:
    """What the compact network that is locked is and answers, in two lines."""
    table = locked.compact
    assert table is not None
    found = table.accuracy
    return [
        f"one compact network: {percent(table.flops)} of the multiply-adds, made with {table.data}",
        f"{percent(found.top_1)} right, {percent(found.balanced)} balanced, on {found.examples:,} images of "
        f"{found.data}; it costs {table.points:.2f} points against the whole classifier",
    ]


def accuracy_text(locked: LockedProject) -> str:
    """One line for the accuracy that was measured."""
    accuracy = locked.accuracy
    if accuracy is None:
        return "no accuracy"
    shares = f"{percent(accuracy.top_1)} right, {percent(accuracy.balanced)} balanced"
    # Of five classes or fewer every one is among the best five.
    if len(locked.classes) > 5:
        shares += f", {percent(accuracy.top_5)} in the top 5"
    return f"{shares}, on {accuracy.examples:,} images of {accuracy.data}"
