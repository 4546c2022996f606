"""``modhub sync``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.findings import print_some
from modhub.cli.forecasts import dry_run_option, forecast_fields, print_forecast
from modhub.cli.options import Command
from modhub.cli.project_options import change_fields, move_text, note_stale, project_options, setting_lines, working


@click.command("sync", cls=Command, examples=["modhub sync", "modhub sync --frozen      fail rather than lock again"])
@click.option("--frozen", is_flag=True, help="Fail when modhub.lock is not of what modhub.toml asks for.")
@dry_run_option
@project_options
def command(frozen: bool, dry_run: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """Install what modhub.lock pins; when modhub.toml has changed since, lock again first."""
    with working("looking up modules", project, **places) as found:
        if dry_run:
            change, forecasts = found.would_sync(frozen=frozen)
        else:
            change, forecasts = found.sync(frozen=frozen), None
    if forecasts is not None:
        if as_json:
            printing.document(forecast_fields(forecasts) | {"changes": [vars(move) for move in change.moves]})
            return
        print_some([move_text(move.label, move.before, move.after) for move in change.moves] + setting_lines(change))
        print_forecast(forecasts)
        return
    if as_json:
        printing.document(change_fields(found, change))
        return
    lines = [move_text(move.label, move.before, move.after) for move in change.moves]
    print_some(lines + setting_lines(change))
    if change.locked is None:
        printing.note("the project has no classes")
        return
    note_stale(found, change.locked)
    new = sum(not each.already for each in change.installed)
    size = printing.bytes_text(sum(each.fetched for each in change.installed))
    count = len(change.installed)
    modules = "1 module is" if count == 1 else f"{count} modules are"
    printing.note(f"{modules} installed" + (f", {new} of them now ({size} fetched)" if new else " already"))
