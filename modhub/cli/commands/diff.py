"""``modhub diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.printing import Column
from modhub.cli.project_options import move_text, place_options
from modhub.errors import UsageError
from modhub.project.diff import LockDifference, ReleaseDifference, compared_locks, compared_releases
from modhub.spec.folder_refs import classifier_ref
from modhub.spec.places import is_file
from modhub.spec.text import percent


@click.command(
    "diff",
    cls=Command,
    examples=[
        "modhub diff cifar10/r56@1.0.0 cifar10/r56@1.1.0",
        "modhub diff cifar10/r56 cifar10/r20",
        "modhub diff me/net net.modules",
        "modhub diff old/modhub.lock modhub.lock",
    ],
)
@click.argument("first", metavar="REF|LOCKFILE")
@click.argument("second", metavar="REF|LOCKFILE")
@place_options
def command(first: str, second: str, as_json: bool, **places: Any) -> None:
    """Show what differs between two releases or folders of modules, or between two lockfiles of projects.

    Of releases: input, data, origin's accuracy, what the network costs, and for each class threshold, nodes kept, JI
    and figures. A module's blob, its masks and head, is equal to the byte or not; so are the weights of the networks.
    Of a compact network nodes kept and JI are counted over the nodes of the network from which it was made.
    """
    for each in (first, second):
        if classifier_ref(each) is not None:
            raise UsageError(
                f"{each} is the file of a classifier; releases, folders of modules and lockfiles can be compared.",
                kind="local-file",
                hint=f"see which modules are in it: modhub info {each}",
            )
    is_lock = [is_file(each) or is_file(Path(each) / "modhub.lock") for each in (first, second)]
    if is_lock[0] != is_lock[1]:
        lock, other = (first, second) if is_lock[0] else (second, first)
        raise UsageError(
            f"{lock} is a lockfile, and {other} is none.",
            kind="not-comparable",
            hint="compare two releases, or two lockfiles.",
        )
    if is_lock[0]:
        locks = compared_locks(first, second)
        printing.document(_lock_document(locks)) if as_json else _print_locks(locks)
        return
    releases = compared_releases(first, second, **places)
    printing.document(_release_document(releases)) if as_json else _print_releases(releases)


def _print_locks(found: LockDifference) -> None:
    for move in found.moves:
        printing.line(move_text(move.label, move.before, move.after))
    _print_settings(found.settings)
    if not found.moves and not found.settings:
        printing.note("nothing differs")


def _print_releases(found: ReleaseDifference) -> None:
    printing.line(f"{found.first} -> {found.second}")
    if found.compact is not None:
        other = found.first if found.compact == found.second else found.second
        printing.line(
            f"  {found.compact} is a compact network of {other}: JI and nodes kept are over the nodes of {other}"
        )
    _print_settings(found.settings)
    printing.line(f"  the network's weights are {'the same' if found.same_weights else 'others'}")
    rows: list[tuple[str, ...]] = []
    for each in found.classes:
        texts = [f"{name} {_value(name, a)} -> {_value(name, b)}" for name, (a, b) in each.values.items()]
        if each.same_masks is None:
            rows.append(
                (each.name, "only in the " + ("second" if each.values["module"][0] is None else "first"), "", "")
            )
        else:
            same = ["same" if equal else "other" for equal in (each.same_masks, each.same_head)]
            rows.append((each.name, *same, "; ".join(texts)))
    printing.table([Column("class", wraps=True), Column("masks"), Column("head"), Column("figures", wraps=True)], rows)
    if not found.classes:
        printing.note("every class is the same")


def _print_settings(settings: Any) -> None:
    if settings:
        printing.fields([(each.name, f"{_short(each.before)} -> {_short(each.after)}") for each in settings])


def _short(value: str | None) -> str:
    """A setting as people read it: the start of a digest is enough."""
    return "-" if value is None else value[:19] if value.startswith("sha256:") else value


def _value(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "kept" or name.startswith(("recall", "precision")):
        return percent(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _lock_document(found: LockDifference) -> dict[str, Any]:
    return {"classes": [vars(move) for move in found.moves], "settings": [vars(each) for each in found.settings]}


def _release_document(found: ReleaseDifference) -> dict[str, Any]:
    return {
        "first": found.first,
        "second": found.second,
        "same_weights": found.same_weights,
        "compact": found.compact,
        "settings": [vars(each) for each in found.settings],
        "classes": [
            {
                "class": each.name,
                "same_masks": each.same_masks,
                "same_head": each.same_head,
                "values": {name: list(values) for name, values in each.values.items()},
            }
            for each in found.classes
        ],
    }
