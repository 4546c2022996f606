"""``--format``: rows as a table for people, one JSON document (also ``--json``), JSON lines, or CSV."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import click

from modhub.cli import printing
from modhub.errors import UsageError

OutputFormat = Literal["table", "json", "jsonl", "csv"]
FORMATS: Final = ("table", "json", "jsonl", "csv")


def format_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--format`` and ``--json``, given to the command as ``form``."""

    @functools.wraps(command)
    def with_form(form: OutputFormat | None, as_json: bool, **values: Any) -> None:
        if as_json and form not in (None, "json"):
            raise UsageError(f"--json and --format {form} exclude each other.", hint="give one of them.")
        command(form="json" if as_json else form or "table", **values)

    options = [
        click.Option(
            ["--format", "form"],
            type=click.Choice(FORMATS),
            help="Print a table, one JSON document, a JSON object a row, or CSV with a line of headers.  "
            "[default: table]",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document, as --format json."),
    ]
    # Where click's own decorators collect options, last first.
    collected: list[click.Parameter] = getattr(command, "__click_params__", [])
    with_form.__click_params__ = [*collected, *reversed(options)]  # type: ignore[attr-defined]
    return with_form


def print_rows(form: OutputFormat, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows as JSON lines or CSV. ``columns`` are the names of all fields, for CSV without a row too; lists of texts are
    joined by a blank there."""
    if form == "jsonl":
        for row in rows:
            printing.echo(printing.json_text(dict(row)))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    printing.echo(text.getvalue().removesuffix("\n"))


def _cell(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
