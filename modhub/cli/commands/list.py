"""``modhub list``."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.formats import OutputFormat, format_options, print_rows
from modhub.cli.hits import HIT_COLUMNS, hit_fields, print_hits, remark_fields
from modhub.cli.options import Command, cache_option, registry_option
from modhub.cli.printing import Column
from modhub.errors import UsageError
from modhub.ops import search


@click.command("list", cls=Command, examples=["modhub list", "modhub list --available", "modhub list --json"])
@click.option(
    "--available", is_flag=True, help="List the releases in the registries instead, the newest of each model."
)
@registry_option
@cache_option
@format_options
def command(available: bool, registry: tuple[str, ...] | None, cache: Path | None, form: OutputFormat) -> None:
    """List the modules that are installed, and what registries said against them when they were last asked."""
    if available:
        _list_available(registry, form)
    elif registry:
        raise UsageError("the installed modules are in the cache, in no registry.", hint="add --available.")
    else:
        _list_installed(cache, form)


def _list_available(registry: tuple[str, ...] | None, form: OutputFormat) -> None:
    hits = search.list_available(registry=registry)
    rows = [hit_fields(hit) for hit in hits]
    if form == "json":
        printing.document({"available": rows})
        return
    if form == "table":
        print_hits(hits)
    else:
        print_rows(form, rows, HIT_COLUMNS)
    for remark in search.remarks_on_hits(hits, registry=registry):
        printing.warn(str(remark))
    if not hits:
        printing.note("the registries are empty.")


def _list_installed(cache: Path | None, form: OutputFormat) -> None:
    installed = search.list_installed(cache=cache)
    remarks = search.remarks_on_installed(installed, cache=cache)
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
    if form == "json":
        printing.document({"installed": rows})
        return
    if form == "table":
        printing.table(
            [Column("module"), Column("class", wraps=True), Column("from", wraps=True)],
            [(str(each.ref), each.name, printing.place(each.registry)) for each in installed],
        )
    else:
        print_rows(form, rows, ("ref", "class", "digest", "registry"))
    for text in dict.fromkeys(str(remark) for each in installed for remark in remarks.get(each.ref, ())):
        printing.warn(text)
    if not installed:
        printing.note("nothing is installed. See what there is: modhub list --available")
