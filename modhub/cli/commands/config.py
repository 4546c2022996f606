"""``modhub config``: the settings, where each comes from, and changing them in the configuration file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.options import Command, cache_option, json_option, offline_option, registry_option
from modhub.cli.printing import Column
from modhub.cli.root import CommandGroup, help_alone
from modhub.errors import UsageError
from modhub.settings.config import config_path, edit_config, load_config
from modhub.settings.table import (
    VARIABLES,
    found_value,
    found_values,
    parsed_value,
    put_value,
    setting_named,
)
from modhub.spec.url import RegistryUrl

if TYPE_CHECKING:
    from modhub.settings.table import FoundValue, SettingValue

#: Shown as set, whatever it is.
_SECRET = "MODHUB_KEY_PASSPHRASE"


@click.group("config", cls=CommandGroup)
@click.pass_context
def command(ctx: click.Context) -> None:
    """What modhub is set to, and where each value comes from: an option, the environment, the file, or the default.

    An option comes before the environment, that before the file. docs/configuration.md has all settings and variables.
    """
    help_alone(ctx)


@command.command(
    "list",
    cls=Command,
    short_help="List all settings, with where each value comes from.",
    examples=["modhub config list", "modhub config list --cache /big/cache", "modhub config list --json"],
)  # fmt: skip
@registry_option
@cache_option
@offline_option
@json_option
def list_settings(registry: tuple[str, ...] | None, cache: Path | None, offline: bool, as_json: bool) -> None:
    """List every setting with its value and where that comes from, and the environment variables that are set."""
    config = load_config()
    flags: dict[str, SettingValue] = {
        "registries": registry and tuple(map(RegistryUrl, registry)),
        "cache": None if cache is None else str(cache),
        "offline": offline or None,
    }
    found = found_values(config, flags)
    variables = {name: value for name, value in _environment().items() if value}
    if as_json:
        printing.document(
            {
                "config": str(config.path),
                "exists": config.path.is_file(),
                "settings": [_fields(each) for each in found],
                "environment": variables,
            }
        )
        return
    printing.table(
        [Column("setting"), Column("value", wraps=True), Column("from", wraps=True)],
        [(each.name, _shown(each.value), _place(each)) for each in found]
        + [(name, value, "environment") for name, value in variables.items()],
    )
    there = "" if config.path.is_file() else ", which does not exist yet"
    printing.note(f"the file is {printing.place(str(config.path))}{there}")


@command.command(
    "get",
    cls=Command,
    short_help="Print one value.",
    examples=["modhub config get cache", "modhub config get energy.pue --json"],
)
@click.argument("name")
@json_option
def get_setting(name: str, as_json: bool) -> None:
    """Print the value of the setting NAME, a URL a line; nothing where it has none."""
    found = found_value(load_config(), name)
    if as_json:
        printing.document(_fields(found))
    elif isinstance(found.value, tuple):
        for each in found.value:
            printing.line(each)
    elif found.value is not None:
        printing.line(_shown(found.value))


@command.command(
    "set",
    cls=Command,
    short_help="Set a value in the configuration file.",
    examples=[
        "modhub config set cache /big/cache",
        "modhub config set registries ~/team-registry https://host/modules",
        "modhub config set require_signature true",
        "modhub config set energy.pue 1.2",
    ],
)
@click.argument("name")
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@json_option
def set_setting(name: str, values: tuple[str, ...], as_json: bool) -> None:
    """Write the setting NAME into the configuration file, whose comments and order stay."""
    value = parsed_value(setting_named(name), values)
    config = edit_config(lambda document: put_value(document, name, value))
    found = found_value(config, name)
    if found.source == "environment":
        printing.warn(f"{found.where} is set, and comes before the file.")
    _report(found, config.path, as_json)


@command.command(
    "unset",
    cls=Command,
    short_help="Take a value out of the configuration file.",
    examples=["modhub config unset cache"],
)
@click.argument("name")
@json_option
def unset_setting(name: str, as_json: bool) -> None:
    """Take the setting NAME out of the configuration file, so that its default counts again."""
    setting_named(name)
    before = load_config()
    if name not in before.written:
        raise UsageError(
            f"{name} is not in {before.path}.", kind="not-set", hint="see modhub config list.", setting=name
        )
    config = edit_config(lambda document: put_value(document, name, None))
    _report(found_value(config, name), config.path, as_json)


@command.command(
    "path", cls=Command, short_help="Say where the configuration file is.", examples=["modhub config path"]
)
@json_option
def show_path(as_json: bool) -> None:
    """Print the path of the configuration file, existing or not."""
    path = config_path()
    if as_json:
        printing.document({"config": str(path), "exists": path.is_file()})
    else:
        printing.line(str(path))


def _report(found: FoundValue, path: Path, as_json: bool) -> None:
    if as_json:
        printing.document(_fields(found))
    else:
        printing.line(f"{found.name} = {_shown(found.value)}, from {_place(found)}")
        printing.note(f"wrote {printing.place(str(path))}")


def _fields(found: FoundValue) -> dict[str, object]:
    value = list(found.value) if isinstance(found.value, tuple) else found.value
    return {"setting": found.name, "value": value, "from": found.source, "where": found.where or None}


def _shown(value: SettingValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(value) or "your own registry, then the starter"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else value


def _place(found: FoundValue) -> str:
    return found.where if found.source in ("flag", "environment") else found.source


def _environment() -> dict[str, str]:
    """The variables that no setting stands for, as far as they are set."""
    found = {name: os.environ.get(name, "") for name in VARIABLES}
    return found | ({_SECRET: "(set)"} if found[_SECRET] else {})
