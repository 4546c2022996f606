"""``modhub list``."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.hits import hit_fields, print_hits, remark_fields
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.printing import Column
from modhub.errors import UsageError
from modhub.ops import search


@click.command("list", cls=Command, examples=["modhub list", "modhub list --available", "modhub list --json"])
@click.option(
    "--available", is_flag=True, help="List the releases in the registries instead, the newest of each model."
)
@registry_option
@cache_option
@json_option
def command(available: bool, registry: tuple[str, ...] | None, cache: Path | None, as_json: bool) -> None:
    """List the modules that are installed, and what registries said against them when they were last asked."""
    if available:
        _list_available(registry, as_json)
    elif registry:
        raise UsageError("the installed modules are in the cache, in no registry.", hint="add --available.")
    else:
        _list_installed(cache, as_json)


def _list_available(registry: tuple[str, ...] | None, as_json: bool) -> None:
    hits = search.list_available(registry=registry)
    if as_json:
        printing.document({"available": [hit_fields(hit) for hit in hits]})
        return
    print_hits(hits)
    for remark in search.remarks_on_hits(hits, registry=registry):
        printing.warn(str(remark))
    if not hits:
        printing.note("the registries are empty.")


def _list_installed(cache: Path | None, as_json: bool) -> None:
    installed = search.list_installed(cache=cache)
    remarks = search.remarks_on_installed(installed, cache=cache)
    if as_json:
        rows = [
            {
                "ref": str(each.ref),
                "class": each.name,
                "digest": each.digest,
                "registry": each.registry,
                "remarks": [remark_fields(remark) for remark in remarks.get(each.ref, ())],
            }
            for each in installed
        ]
        printing.document({"installed": rows})
        return
    printing.table(
        [Column("module"), Column("class", wraps=True), Column("from", wraps=True)],
        [(str(each.ref), each.name, printing.place(each.registry)) for each in installed],
    )
    for text in dict.fromkeys(str(remark) for each in installed for remark in remarks.get(each.ref, ())):
        printing.warn(text)
    if not installed:
        printing.note("nothing is installed. See what there is: modhub list --available")
