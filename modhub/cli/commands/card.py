"""``modhub card``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.errors import UsageError
from modhub.limits import KIB
from modhub.ops.card import card, put_card

#: Characters of a card that are drawn; what is longer is printed as it is written, because drawing takes its time.
_DRAWN = 256 * KIB


@click.command(
    "card",
    cls=Command,
    examples=[
        "modhub card cifar10/r56",
        "modhub card net.modules --put README.md",
        "modhub card me/net --raw > README.md",
    ],
)
@click.argument("ref")
@click.option("--raw", is_flag=True, help="Only the README, as it was published.")
@click.option(
    "--put",
    type=click.Path(path_type=Path),
    metavar="README.md",
    help="Put this card into the folder of modules REF, before it is signed or published.",
)
@registry_option
@cache_option
@json_option
def command(
    ref: str, raw: bool, put: Path | None, registry: tuple[str, ...] | None, cache: Path | None, as_json: bool
) -> None:
    """Show the card of a release or of a folder of modules: what its publisher says of it, and what modhub knows.

    In a terminal it is drawn, anywhere else it is Markdown. Nothing in it is opened, loaded or run.
    """
    if raw and as_json:
        raise UsageError("--raw and --json exclude each other.", kind="bad-option", hint="leave one of them out.")
    found = card(ref, registry=registry, cache=cache) if put is None else put_card(ref, put)
    if as_json:
        printing.document(found.to_dict())
    elif raw:
        _print_raw(found.readme)
    else:
        show(str(found))


def _print_raw(readme: str) -> None:
    """The very bytes to a file or a pipe; to a terminal without what steers it."""
    if sys.stdout.isatty():
        printing.line(readme.rstrip("\n"))
    else:
        sys.stdout.write(readme)
    if not readme:
        printing.note("it was published without a README.")


def show(markdown: str) -> None:
    """Draw a document in a terminal; print it as it is anywhere else."""
    text = printing.printable(markdown.replace("\t", "    "))
    if not sys.stdout.isatty() or len(text) > _DRAWN:
        printing.echo(text.rstrip("\n"))
        return
    from rich.console import Console  # as in printing: what only a terminal is worth
    from rich.markdown import Markdown

    try:
        # Links are written out: where one leads is seen before it is followed.
        drawn = Markdown(text, hyperlinks=False)
        for token in drawn.parsed:
            # Colours for code come from hundreds of lexers that were not made for hostile text.
            token.info = ""
        Console(highlight=False, color_system=None if printing.no_styles() else "auto").print(drawn)
    except RecursionError:
        # Quotations in quotations, by the thousand.
        printing.echo(text.rstrip("\n"))
