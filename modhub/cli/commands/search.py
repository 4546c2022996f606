"""``modhub search``."""

from __future__ import annotations

import click

from modhub.cli import printing
from modhub.cli.hits import hit_fields, print_hits
from modhub.cli.options import Command, json_option, registry_option
from modhub.ops import search


@click.command(
    "search",
    cls=Command,
    examples=["modhub search cat", "modhub search r20 apple", "modhub search --namespace cifar100 --limit 5"],
)
@click.argument("words", nargs=-1, metavar="[WORDS...]")
@click.option("--dataset", metavar="NAME", help="Only what was decomposed with this data set.")
@click.option("--namespace", metavar="NAME", help="Only what is in this namespace.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@registry_option
@json_option
def command(
    words: tuple[str, ...],
    dataset: str | None,
    namespace: str | None,
    limit: int | None,
    registry: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Find modules whose name, class or data set contains every one of WORDS.

    A model whose own name matches is one line, else each of its classes that matches is one.
    """
    hits = search.search(" ".join(words), registry=registry, dataset=dataset, namespace=namespace, limit=limit)
    if as_json:
        printing.document({"hits": [hit_fields(hit) for hit in hits]})
        return
    print_hits(hits)
    if not hits:
        printing.note("nothing matches. See what there is: modhub list --available")
