"""``modhub search``."""

from __future__ import annotations

import re

import click

from modhub.cli import printing
from modhub.cli.formats import OutputFormat, format_options, print_rows
from modhub.cli.hits import HIT_COLUMNS, hit_fields, print_hits
from modhub.cli.options import Command, registry_option
from modhub.cli.size_option import size_in_bytes
from modhub.ops import search


def axes(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """An option's value such as ``32x32`` or ``32x32x3``."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}(x[0-9]{1,6})*", value, re.ASCII):
        raise click.BadParameter(f"{value!r} is not a shape such as 32x32 or 32x32x3.", ctx, parameter)
    return tuple(map(int, value.split("x")))


def share(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """An option's value such as ``0.9`` or ``90%`` as a share of 1."""
    if value is None:
        return None
    try:
        found = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise click.BadParameter(f"{value!r} is not a share such as 0.9 or 90%.", ctx, parameter)
    return found


@click.command(
    "search",
    cls=Command,
    examples=[
        "modhub search cat",
        "modhub search r20 apple",
        "modhub search --class cat --license MIT --license Apache-2.0 --min-accuracy 90%",
        "modhub search --signer team-ci --input 224x224 --max-size 50MB",
    ],
)
@click.argument("words", nargs=-1, metavar="[WORDS...]")
@click.option("--dataset", metavar="NAME", help="Only what was decomposed with this data set.")
@click.option("--namespace", metavar="NAME", help="Only what is in this namespace.")
@click.option("--class", "cls", metavar="NAME", help="Only modules of this class.")
@click.option("--keyword", metavar="WORD", help="Only what has this keyword.")
@click.option("--license", "licenses", multiple=True, metavar="SPDX", help="Only what can be used under it; repeat it.")
@click.option("--signer", metavar="KEY", help="Only what this key signed: its name, its id, or ed25519:...; verified.")
@click.option("--input", "input_shape", callback=axes, metavar="HxW[xC]", help="Only what takes such images: 32x32.")
@click.option(
    "--min-accuracy", callback=share, metavar="X", help="Only networks at least so good on images held out: 90%."
)
@click.option("--max-size", callback=size_in_bytes, metavar="SIZE", help="Only releases of at most 10MB, 1.5GiB.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@registry_option
@format_options
def command(
    words: tuple[str, ...],
    dataset: str | None,
    namespace: str | None,
    cls: str | None,
    keyword: str | None,
    licenses: tuple[str, ...],
    signer: str | None,
    input_shape: tuple[int, ...] | None,
    min_accuracy: float | None,
    max_size: int | None,
    limit: int | None,
    registry: tuple[str, ...] | None,
    form: OutputFormat,
) -> None:
    """Find modules whose name, class, data set, keywords or description contain every one of WORDS.

    A model whose own text matches is one line, else each of its classes that matches is one. What a registry says here
    of its releases is not signed; info and card show the verified release.
    """
    hits = search.search(
        " ".join(words),
        registry=registry,
        dataset=dataset,
        namespace=namespace,
        cls=cls,
        keyword=keyword,
        license=licenses or None,
        signer=signer,
        input_shape=input_shape,
        min_accuracy=min_accuracy,
        max_size=max_size,
        limit=limit,
    )
    rows = [hit_fields(hit) for hit in hits]
    if form == "json":
        printing.document({"hits": rows})
        return
    if form == "table":
        print_hits(hits)
    else:
        print_rows(form, rows, HIT_COLUMNS)
    for remark in search.remarks_on_hits(hits, registry=registry):
        printing.warn(str(remark))
    if not hits:
        printing.note("nothing matches. See what there is: modhub list --available")
