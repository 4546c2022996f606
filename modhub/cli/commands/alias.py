"""``modhub alias``: short names, in the user's configuration or as records of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option, one_registry_option, registry_option, sign_option
from modhub.cli.printing import Column
from modhub.cli.root import CommandGroup, help_alone
from modhub.errors import NotFound, did_you_mean
from modhub.installation.registries import publishing_registry, registries
from modhub.registry.unreachable import reachable
from modhub.settings.config import load_config, write_alias
from modhub.spec.refs import parse_model_name

if TYPE_CHECKING:
    from modhub.registry.writer import Registry
    from modhub.signing.keys import Signer


@click.group("alias", cls=CommandGroup)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Short names for models: c10:cat for cifar10/r56:cat.

    Yours are in your configuration and come first; those that a registry has are for everybody who reads it.
    """
    help_alone(ctx)


@command.command(
    "set",
    cls=Command,
    short_help="Let a name stand for a model.",
    examples=["modhub alias set mine me/net", "modhub alias set best team/net --registry ~/team-registry"],
)
@click.argument("name")
@click.argument("target", metavar="NAMESPACE/MODEL")
@sign_option
@one_registry_option
@json_option
def set_alias(name: str, target: str, sign: Signer | None, registry: str | None, as_json: bool) -> None:
    """Let NAME stand for NAMESPACE/MODEL: for you, or with --registry for everybody who reads that registry."""
    where = _write(name, target, registry, sign)
    if not _exists(target, registry):
        printing.warn(f"no registry has {target} yet.")
    if as_json:
        printing.document({"name": name, "target": target, "in": where})
    else:
        printing.line(f"{name} -> {target}, in {printing.place(where)}")


@command.command("remove", cls=Command, short_help="Take a name back.", examples=["modhub alias remove mine"])
@click.argument("name")
@sign_option
@one_registry_option
@json_option
def remove_alias(name: str, sign: Signer | None, registry: str | None, as_json: bool) -> None:
    """Take NAME back."""
    known, where = _known(registry)
    if name not in known:
        raise NotFound(
            f"there is no alias {name!r} in {where}.",
            kind="no-alias",
            hint=did_you_mean(name, known) or "see modhub alias list",
            name=name,
        )
    _write(name, None, registry, sign)
    if as_json:
        printing.document({"name": name, "target": None, "in": where})
    else:
        printing.line(f"removed {name} -> {known[name]}, from {printing.place(where)}")


@command.command(
    "list", cls=Command, short_help="List all aliases in the order in which they count.", examples=["modhub alias list"]
)
@registry_option
@json_option
def list_aliases(registry: tuple[str, ...] | None, as_json: bool) -> None:
    """List all aliases in the order in which they count: yours, then those of every registry."""
    config = load_config()
    rows = [(name, config.aliases[name], str(config.path)) for name in sorted(config.aliases)]
    for place in reachable(registries(registry, config)):
        rows += [(name, target, place.url) for name, target in sorted(place.aliases().items())]
    if as_json:
        printing.document({"aliases": [{"name": name, "target": target, "in": url} for name, target, url in rows]})
        return
    printing.table(
        [Column("alias"), Column("stands for"), Column("in", wraps=True)],
        [(name, target, printing.place(url)) for name, target, url in rows],
    )
    if not rows:
        printing.note("there are no aliases. Set one: modhub alias set NAME NAMESPACE/MODEL")


@command.command(
    "log",
    cls=Command,
    short_help="Show what a registry's alias stood for, and when.",
    examples=["modhub alias log best --registry ~/team-registry"],
)
@click.argument("name")
@registry_option
@json_option
def log_alias(name: str, registry: tuple[str, ...] | None, as_json: bool) -> None:
    """Show the history of NAME in the first registry that has one, oldest first. It is never overwritten."""
    places = registries(registry, load_config())
    found = next(((place, history) for place in places if (history := place.alias_history(name))), None)
    if found is None:
        known = {each for place in places for each in place.alias_names()}
        raise NotFound(
            f"no registry has a history of the alias {name!r}.",
            kind="no-alias",
            hint=did_you_mean(name, known) or "see modhub alias list; your own aliases have none.",
            name=name,
        )
    place, history = found
    if as_json:
        entries = [{"number": each.number, "target": each.target, "created": each.created} for each in history]
        printing.document({"name": name, "in": place.url, "history": entries})
        return
    printing.table(
        [Column("entry", right=True), Column("when"), Column("stands for")],
        [(str(each.number), each.created, each.target or "(taken back)") for each in history],
    )


def _write(name: str, target: str | None, registry: str | None, sign: Signer | None) -> str:
    """Write it where it belongs, and say where that is."""
    if registry is None:
        return str(write_alias(name, target).path)
    place = _registry(registry)
    place.set_alias(name, target, signer=sign)
    return place.url


def _known(registry: str | None) -> tuple[dict[str, str], str]:
    """The aliases in the registry, or the user's own, and where they are."""
    if registry is None:
        config = load_config()
        return dict(config.aliases), str(config.path)
    place = _registry(registry)
    place.check()
    return place.aliases(), place.url


def _registry(url: str) -> Registry:
    return publishing_registry(url, load_config())


def _exists(target: str, registry: str | None) -> bool:
    places = registries(registry, load_config(), skip_missing=True)
    return any(place.versions(*parse_model_name(target)) for place in places)
