"""``modhub doctor``."""

from __future__ import annotations

from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from modhub.cli import printing
from modhub.cli.options import Command, cache_option, json_option, offline_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.errors import ModhubError
from modhub.ops.doctor import doctor

if TYPE_CHECKING:
    from modhub.ops.doctor import Checked

_MARKS: Final = {"fine": ("ok", "green"), "note": ("note", "yellow"), "broken": ("BROKEN", "red")}


@click.command(
    "doctor",
    cls=Command,
    examples=["modhub doctor", "modhub doctor --offline --no-backend", "modhub doctor --json"],
)
@click.option(
    "--backend/--no-backend", default=True, show_default=True, help="Load the backend and ask for its device."
)
@cache_option
@offline_option
@json_option
def command(backend: bool, cache: Path | None, offline: bool, as_json: bool) -> None:
    """Check the installation, the backend, the configuration, the registries, the keys and every byte of the cache.

    Nothing is changed. Exit code 1 when something is broken; a note is worth knowing, and no fault.
    """
    with ProgressLine("looking at versions") as progress:
        checks = []
        for checked in doctor(
            cache=cache,
            offline=offline,
            devices=_devices if backend else None,
            progress=progress.steps("hashing the cache", "bytes"),
        ):
            progress.doing(f"looking at {checked.area}")
            checks.append(checked)
    broken = [checked for checked in checks if checked.health == "broken"]
    if as_json:
        printing.document({"healthy": not broken, "checks": [vars(checked) for checked in checks]})
    else:
        _print(checks)
    if broken:
        count = f"{len(broken)} thing{'s' if len(broken) > 1 else ''}"
        raise ModhubError(
            f"{count} broken: {', '.join(f'{each.area} {each.name}' for each in broken)}.",
            kind="unhealthy",
            hint=broken[0].hint,
        )
    if not as_json:
        printing.note("nothing is broken")


def _devices() -> list[str]:
    load_engine()
    # Imports keras, after load_engine has silenced it.
    found: list[str] = import_module("modhub.engine.run.devices").device_names()
    return found


def _print(checks: list[Checked]) -> None:
    for area, own in groupby(checks, key=lambda checked: checked.area):
        printing.line(area)
        for checked in own:
            mark, colour = _MARKS[checked.health]
            printing.mark(mark, colour, f"{checked.name}: {checked.text}")
            if checked.hint and checked.health != "fine":
                printing.mark("", colour, f"-> {checked.hint}")
