"""``modhub install``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.forecasts import dry_run_option, forecast_fields, print_forecast
from modhub.cli.options import Command, cache_option, json_option, offline_option, registry_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.errors import UsageError
from modhub.ops.install import install
from modhub.ops.install_forecast import install_forecast

if TYPE_CHECKING:
    from modhub.cache.markers import Installed

_NAMED = 4


@click.command(
    "install",
    cls=Command,
    examples=[
        "modhub install cifar10/r56:cat",
        "modhub install c100:apple 'cifar10/r56:dog@^1'",
        "modhub install cifar100/r20            every class",
        "modhub install --locked modhub.lock    exactly what modhub lock wrote down",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option("--locked", type=click.Path(path_type=Path), metavar="FILE", help="Install what this lockfile pins.")
@dry_run_option
@offline_option
@click.option(
    "--require-signature/--no-require-signature",
    default=None,
    help="Believe only what a key that you trust has signed.  [default: as configured]",
)
@registry_option
@cache_option
@json_option
def command(
    refs: tuple[str, ...],
    locked: Path | None,
    dry_run: bool,
    offline: bool,
    require_signature: bool | None,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Bring modules into the local cache, verified.

    A REF is namespace/model:class@version. Without the class it means every class, without the version the newest.
    A namespace with one model may leave the model out, and an alias may stand for both.
    """
    if locked is None and not refs:
        raise UsageError("name modules, or give a lockfile with --locked.", hint="see modhub search for what there is.")
    if locked is not None and refs:
        raise UsageError("give either names or a lockfile.", hint="a lockfile says itself which modules it pins.")

    if dry_run:
        places: dict[str, Any] = {"registry": registry, "cache": cache, "offline": offline}
        found = install_forecast(refs, locked=locked, require_signature=require_signature, **places)
        if as_json:
            printing.document(forecast_fields(found))
        else:
            print_forecast(found)
        return
    with ProgressLine("looking up names") as progress:
        installed = install(
            refs,
            locked=locked,
            registry=registry,
            cache=cache,
            offline=offline,
            require_signature=require_signature,
            progress=progress.bytes,
        )
    if as_json:
        printing.document({"installed": [_fields(each) for each in installed]})
        return
    rows: dict[tuple[str, str], list[Installed]] = {}
    for each in dict.fromkeys(installed):
        rows.setdefault((str(each.ref.release), each.registry), []).append(each)
    printing.table(
        [Column("release"), Column("modules", wraps=True), Column("fetched", right=True), Column("from", wraps=True)],
        [
            (release, _classes(modules), _fetched(modules), printing.place(url))
            for (release, url), modules in rows.items()
        ],
    )


def _fields(each: Installed) -> dict[str, object]:
    return {
        "ref": str(each.ref),
        "class": each.name,
        "digest": each.digest,
        "registry": each.registry,
        "fetched": each.fetched,
        "already": each.already,
    }


def _classes(modules: list[Installed]) -> str:
    return ", ".join(each.ref.cls for each in modules) if len(modules) <= _NAMED else f"{len(modules)} classes"


def _fetched(modules: list[Installed]) -> str:
    return (
        "was here"
        if all(each.already for each in modules)
        else printing.bytes_text(sum(each.fetched for each in modules))
    )
