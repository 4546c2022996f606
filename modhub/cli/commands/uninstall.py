"""``modhub uninstall``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.options import Command, cache_option, json_option
from modhub.cli.removed import print_removed, removed_fields
from modhub.errors import ModhubError
from modhub.installation.context import load_lock
from modhub.ops.uninstall import uninstall
from modhub.spec.places import is_file

if TYPE_CHECKING:
    from modhub.spec.refs import ModuleRef


@click.command(
    "uninstall",
    cls=Command,
    examples=[
        "modhub uninstall cifar10/r56:cat",
        "modhub uninstall c100 'cifar10/r56@<1'",
        "modhub uninstall cifar100/r20 --dry-run",
    ],
)
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@cache_option
@json_option
def command(refs: tuple[str, ...], dry_run: bool, cache: Path | None, as_json: bool) -> None:
    """Remove modules from the local cache, with the bytes that no other module needs.

    Without a class a REF means every installed class, without a version every installed version. What still needs
    something of them is named: other modules, whose bytes stay, and the project in this folder or above, which modhub
    sync installs again. To empty the cache: modhub cache clean.
    """
    removed = uninstall(refs, cache=cache, dry_run=dry_run)
    locks = {str(file): pinned for file in _locks_here() if (pinned := _pinned(file, removed.modules))}
    if as_json:
        fields = {"dry_run": dry_run, **removed_fields(removed)}
        printing.document(fields | {"locked_by": {file: list(map(str, pinned)) for file, pinned in locks.items()}})
        return
    print_removed(removed, dry_run=dry_run)
    for file, pinned in locks.items():
        names = ", ".join(map(str, pinned[:4])) + (f" and {len(pinned) - 4} more" if len(pinned) > 4 else "")
        printing.warn(f"{file} still needs {names}; modhub sync installs it again")


def _locks_here() -> Iterator[Path]:
    """The lockfile in this folder, or the nearest above."""
    here = Path.cwd()
    return (folder / "modhub.lock" for folder in [here, *here.parents][:20] if is_file(folder / "modhub.lock"))


def _pinned(file: Path, modules: Sequence[ModuleRef]) -> list[ModuleRef]:
    """Those of ``modules`` that a lockfile pins; a lockfile that cannot be read pins none."""
    try:
        pinned = {pin.ref for pin in load_lock(file).modules}
    except ModhubError:
        return []
    return [ref for ref in modules if ref in pinned]
