"""``modhub registry add``, ``list`` and ``remove``: the registries in the configuration, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.errors import Conflict, ModhubError, NotFound, did_you_mean
from modhub.installation.registries import STARTER_FOLDER, default_registry
from modhub.registry.reader import RegistryReader
from modhub.settings.config import edit_config, load_config
from modhub.settings.table import found_value
from modhub.spec.refs import check_new_name
from modhub.spec.url import RegistryUrl, is_url
from modhub.storage import files
from modhub.storage.urls import open_store

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from modhub.settings.values import Config

_KEY: Final = "registries"


@click.command(
    "add",
    cls=Command,
    short_help="Add a registry to those that are searched.",
    examples=[
        "modhub registry add team ~/team-registry",
        "modhub registry add company s3://bucket/modules --first",
    ],
)
@click.argument("name")
@click.argument("url")
@click.option("--first", is_flag=True, help="Search it before the others, and publish there.")
@json_option
def add_registry(name: str, url: str, first: bool, as_json: bool) -> None:
    """Add the registry at URL to the configuration file, under NAME, which --registry then takes too.

    It is searched after those that are there. A registry that cannot be read now is added all the same, with a warning.
    """
    check_new_name(name, "name of a registry")
    before = load_config()
    if name in before.names:
        raise Conflict(
            f"{name} is a registry already, at {RegistryUrl(before.names[name])}.",
            kind="registry-exists",
            hint=f"choose another name, or take it out first: modhub registry remove {name}",
            name=name,
        )
    url = url if is_url(url) else str(files.absolute(url))
    store = open_store(url)
    config = edit_config(lambda document: _insert(document, name, url, first=first))
    with ProgressLine(f"looking at {printing.place(store.url)}"):
        problem = None if config.offline else _problem(RegistryReader(store))
    if as_json:
        fields = {"name": name, "url": store.url, "config": str(config.path)}
        printing.document(fields | {"problem": None if problem is None else problem.to_dict()})
    else:
        printing.line(f"added {name}, {printing.place(store.url)}")
    if problem is not None:
        printing.warn(f"it cannot be read now: {problem}")
    own = default_registry()
    if not before.registries and own.is_dir():
        printing.warn(
            f"your own registry {printing.place(str(own))} is searched only where none is configured; to keep it: "
            f"modhub registry add own {own}"
        )


@click.command(
    "list",
    cls=Command,
    short_help="List the registries that are searched.",
    examples=["modhub registry list", "modhub registry list --json"],
)
@json_option
def list_registries(as_json: bool) -> None:
    """List the registries in the order in which names are looked up, and where each comes from."""
    rows = _searched(load_config())
    if as_json:
        fields = [{"name": name or None, "url": url, "from": where} for name, url, where in rows]
        printing.document({"registries": fields})
        return
    printing.table(
        [Column("name"), Column("registry", wraps=True), Column("from", wraps=True)],
        [(name, printing.place(url) if name != "starter" else "in the package", where) for name, url, where in rows],
    )


@click.command(
    "remove",
    cls=Command,
    short_help="Take a registry out of those that are searched.",
    examples=["modhub registry remove team"],
)
@click.argument("name", metavar="NAME|URL")
@json_option
def remove_registry(name: str, as_json: bool) -> None:
    """Take a registry out of the configuration file. Nothing in the registry itself changes."""
    before = load_config()
    url = before.names.get(name, name)
    if url not in before.registries:
        known = [*before.names, *before.registries]
        raise NotFound(
            f"no registry {RegistryUrl(name)!r} is configured.",
            kind="no-registry",
            hint=did_you_mean(name, known) or "see modhub registry list.",
            name=RegistryUrl(name),
        )
    number = before.registries.index(url)
    config = edit_config(lambda document: _take_out(document, number))
    if as_json:
        printing.document({"name": name, "url": RegistryUrl(url), "config": str(config.path)})
    else:
        printing.line(f"removed {name}, {RegistryUrl(url)}")


def _insert(document: TOMLDocument, name: str, url: str, *, first: bool) -> None:
    listed = document.setdefault(_KEY, [])
    listed.insert(0 if first else len(listed), {"name": name, "url": url})
    if hasattr(listed, "multiline"):
        listed.multiline(True)


def _take_out(document: TOMLDocument, number: int) -> None:
    del document[_KEY][number]
    if not len(document[_KEY]):
        del document[_KEY]


def _searched(config: Config) -> list[tuple[str, str, str]]:
    """Name, URL and origin of every registry, in order."""
    found = found_value(config, _KEY)
    names = {RegistryUrl(config.named_registry(name)): name for name in config.names}
    rows = [(names.get(url, ""), str(url), found.where or found.source) for url in config.registry_urls]
    rows = rows or [("", str(default_registry()), "default")]
    return [*rows, ("starter", str(STARTER_FOLDER), "the package")]


def _problem(registry: RegistryReader) -> ModhubError | None:
    try:
        registry.check()
    except ModhubError as error:
        return error
    return None
