"""``modhub cache``: what was installed, whether it is still right, and making it smaller."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from modhub.cache.cache import Cache
from modhub.cache.prune import take_out
from modhub.cli import printing
from modhub.cli.confirming import confirm
from modhub.cli.options import Command, json_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.removed import print_removed, removed_fields
from modhub.cli.root import CommandGroup, help_alone
from modhub.cli.size_option import size_in_bytes
from modhub.errors import IntegrityError
from modhub.installation.seen_names import forget_names
from modhub.settings.config import load_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modhub.cache.prune import Pruned
    from modhub.cache.verify import CacheCheck

_NAMED: Final = 4

cache_option = click.option(
    "--cache", "folder", type=click.Path(path_type=Path), metavar="DIR", help="This cache.  [env: MODHUB_CACHE]"
)


@click.group("cache", cls=CommandGroup)
@click.pass_context
def command(ctx: click.Context) -> None:
    """The modules on this machine: where they are, whether they are still right, how much they take.

    Only installing writes here; prune, clean and modhub uninstall delete.
    """
    help_alone(ctx)


@command.command(
    "dir",
    cls=Command,
    short_help="Say where the cache is.",
    examples=["modhub cache dir", 'du -sh "$(modhub cache dir)"'],
)
@cache_option
@json_option
def show_folder(folder: Path | None, as_json: bool) -> None:
    """Print the cache's folder, existing or not."""
    cache = _cache(folder)
    if as_json:
        printing.document({"cache": str(cache.root)})
    else:
        printing.line(str(cache.root))


@command.command(
    "list",
    cls=Command,
    short_help="List the releases in it.",
    examples=["modhub cache list", "modhub cache list --json"],
)
@cache_option
@json_option
def list_releases(folder: Path | None, as_json: bool) -> None:
    """List the releases of which something is installed, with their bytes and their last use."""
    cache = _cache(folder)
    releases, size = cache.releases(), cache.size()
    if as_json:
        rows = [
            {
                "release": str(release.ref),
                "digest": release.digest,
                "modules": list(release.classes),
                "size": release.size,
                "used": datetime.fromtimestamp(release.used, UTC).isoformat(timespec="seconds"),
                "problem": release.problem,
            }
            for release in releases
        ]
        printing.document({"cache": str(cache.root), "size": size, "releases": rows})
        return
    printing.table(
        [Column("release"), Column("modules", wraps=True), Column("size", right=True), Column("last used")],
        [
            (
                str(release.ref),
                _classes(release.classes),
                "damaged" if release.problem else printing.bytes_text(release.size),
                f"{datetime.fromtimestamp(release.used):%Y-%m-%d %H:%M}",
            )
            for release in releases
        ],
    )
    for release in releases:
        if release.problem:
            printing.warn(f"{release.ref}: {release.problem} See modhub cache verify")
    where = printing.place(str(cache.root))
    printing.note(f"{printing.bytes_text(size)} in {where}." if releases else f"nothing is installed in {where}.")


@command.command(
    "verify",
    cls=Command,
    short_help="Hash everything in it again.",
    examples=["modhub cache verify", "modhub cache verify --json"],
)
@cache_option
@json_option
def verify_command(folder: Path | None, as_json: bool) -> None:
    """Hash everything in the cache again; what is damaged is named, with the modules that need it.

    Installing does the same for what it installs, and repairs it.
    """
    cache = _cache(folder)
    with ProgressLine("hashing the cache") as progress:
        checked = cache.verify(progress.steps("hashing the cache", "bytes"))
    if not checked.damaged:
        if as_json:
            printing.document({"cache": str(cache.root), "files": checked.files, "size": checked.size, "damaged": []})
        else:
            printing.line(f"{_files(checked.files)}, {printing.bytes_text(checked.size)}: all as they should be.")
        return
    if not as_json:
        printing.table(
            [Column("damaged file"), Column("what"), Column("needed by", wraps=True)],
            [
                (damage.path, damage.kind, ", ".join(map(str, damage.modules)) or "nothing installed")
                for damage in checked.damaged
            ],
        )
    raise _damaged(cache, checked)


@command.command(
    "prune",
    cls=Command,
    short_help="Delete what nothing needs, or more.",
    examples=["modhub cache prune --dry-run", "modhub cache prune --max-size 2GB"],
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=size_in_bytes,
    help="Delete modules too, the least recently used first, until the rest fits: 2GB, 500MB, 1.5GiB.",
)
@cache_option
@json_option
def prune_command(dry_run: bool, max_size: int | None, folder: Path | None, as_json: bool) -> None:
    """Delete what no installed module needs. Modules are only deleted for a --max-size.

    What was used within the last hour stays, so that nothing is taken from an installation that is running.
    """
    cache = _cache(folder)
    pruned = cache.prune(max_size=max_size, dry_run=dry_run)
    if as_json:
        printing.document(_fields(cache, pruned, dry_run))
        return
    for release, modules in groupby(sorted(pruned.modules), key=lambda ref: ref.release):
        classes = _classes([ref.cls for ref in modules])
        printing.line(f"{'would delete' if dry_run else 'deleted'} {classes} of {release}")
    freed = f"{'would free' if dry_run else 'freed'} {printing.bytes_text(pruned.freed)} in {_files(len(pruned.files))}"
    printing.line(f"{freed}; {printing.bytes_text(pruned.left)} {'would stay' if dry_run else 'stay'}.")
    if pruned.waiting:
        printing.note(
            f"{printing.bytes_text(pruned.waiting)} that nothing needs were used within the last hour; "
            "prune again later."
        )
    if max_size is not None and pruned.left - pruned.waiting > max_size:
        printing.warn(
            f"more than --max-size stays: {printing.bytes_text(max_size)} is less than what was used in the last hour."
        )


@command.command(
    "clean",
    cls=Command,
    short_help="Empty it.",
    examples=["modhub cache clean --dry-run", "modhub cache clean --yes"],
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cache_option
@json_option
def clean_command(dry_run: bool, yes: bool, folder: Path | None, as_json: bool) -> None:
    """Delete everything that was installed. What registries still have is installed again when it is needed.

    To delete only what nothing needs: modhub cache prune. To take out single modules: modhub uninstall.
    """
    cache = _cache(folder)
    if not dry_run and not yes:
        confirm(
            f"emptying the cache {printing.place(str(cache.root))}",
            f"delete {len(cache.marked())} modules, {printing.bytes_text(cache.size())}, "
            f"from {printing.place(str(cache.root))}?",
        )
    removed = take_out(cache.root, None, dry_run=dry_run)
    if not dry_run:
        forget_names(cache.root)
    if as_json:
        printing.document({"cache": str(cache.root), "dry_run": dry_run, **removed_fields(removed)})
    else:
        print_removed(removed, dry_run=dry_run)


def _fields(cache: Cache, pruned: Pruned, dry_run: bool) -> dict[str, Any]:
    return {
        "cache": str(cache.root),
        "dry_run": dry_run,
        "modules": [str(ref) for ref in pruned.modules],
        "files": list(pruned.files),
        "freed": pruned.freed,
        "left": pruned.left,
        "waiting": pruned.waiting,
    }


def _damaged(cache: Cache, checked: CacheCheck) -> IntegrityError:
    affected = [str(ref) for ref in checked.affected]
    again = f"install again what needs them: modhub install {' '.join(affected)}"
    return IntegrityError(
        f"{len(checked.damaged)} of {_files(checked.files)} in the cache {cache.root} "
        f"{'is' if len(checked.damaged) == 1 else 'are'} damaged or missing.",
        kind="damaged-cache",
        hint=again if affected else "nothing installed needs them: delete those files.",
        damaged=[
            {
                "path": damage.path,
                "kind": damage.kind,
                "message": damage.message,
                "modules": [str(ref) for ref in damage.modules],
            }
            for damage in checked.damaged
        ],
        modules=affected,
    )


def _classes(slugs: Sequence[str]) -> str:
    return ", ".join(slugs) if len(slugs) <= _NAMED else f"{len(slugs)} classes"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _cache(folder: Path | None) -> Cache:
    return Cache(folder if folder is not None else load_config().cache_folder)
