"""``modhub`` itself: which commands there are, found and imported only when they are used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

import click

from modhub.cli.meanings import meant_command
from modhub.cli.options import common_options
from modhub.errors import UsageError, did_you_mean
from modhub.spec.url import RegistryUrl

#: Section -> command -> what it is for, as ``modhub --help`` shows them. ``commands/<command>.py`` has it.
COMMANDS: Final[Mapping[str, Mapping[str, str]]] = {
    "See it work": {
        "demo": "Train three small networks, decompose them, compose their classes.",
    },
    "Make modules": {
        "decompose": "Make one module per class of a trained Keras classifier.",
        "compact": "Make one smaller network for some classes, without training.",
        "update": "Adapt modules to classes that their origin never saw.",
        "publish": "Publish a folder of modules as an immutable release.",
        "advise": "Say that classes of some releases are faulty.",
        "deprecate": "Say that another model is to be used.",
        "yank": "Let names and ranges skip a release, or a class of it.",
    },
    "Use modules": {
        "search": "Find modules by name, class or data set.",
        "info": "Show what a release or a module is.",
        "card": "Show a release's card: licence, description, figures.",
        "verify-signature": "Verify who signed a release.",
        "licenses": "List licences, what conflicts, and what is not allowed.",
        "sbom": "Write a bill of materials: CycloneDX, with model cards.",
        "install": "Bring modules into the local cache, verified.",
        "lock": "Write down exactly which modules names or a project mean.",
        "uninstall": "Remove modules from the local cache.",
        "list": "List installed modules, or all that there are.",
        "compose": "Make one classifier of modules of any origins.",
        "predict": "Classify images with a composed classifier.",
        "serve": "Answer over HTTP: /predict, Open Inference Protocol, metrics.",
        "explain": "Show which module said what about an image, and why.",
        "export": "Write a classifier as one file that needs no modhub.",
        "evaluate": "Measure how good a model or a classifier is.",
    },
    "Projects": {
        "new": "Make a project: a folder with a modhub.toml.",
        "add": "Add classes to the project.",
        "remove": "Remove classes from the project.",
        "swap": "Put another module in the place of a class.",
        "rename": "Give a class another label.",
        "restrict": "Keep some classes only, in the order given.",
        "verify-with": "Let other modules decide again between some classes.",
        "merge": "Join another project's classes.",
        "sync": "Install what the project's lockfile pins.",
        "upgrade": "Move the project's modules to newer releases.",
        "build": "Write the project's classifier as one Keras model.",
        "audit": "Look whether anything is to be said against modules.",
        "verify": "Replay the lock: digests, data, accuracy.",
        "tree": "Show the project's models and modules.",
        "outdated": "Show which modules have newer releases.",
        "diff": "Show what differs between two releases, or two locks.",
    },
    "Names and places": {
        "alias": "Short names for models, such as c10 for cifar10/r56.",
        "registry": "Name, create and keep registries.",
        "site": "Write a registry as web pages.",
        "ui": "Show registries in the browser, and try classifiers on photos.",
        "cache": "What is installed here: verify it, make it smaller.",
        "key": "Make, trust and revoke the keys that sign releases.",
        "config": "Settings: what they are, where each comes from, and changing them.",
    },
    "Help": {
        "doctor": "Check the installation, the registries, the keys and the cache.",
        "completion": "Let bash, zsh or fish complete commands, names and labels.",
        "help": "Show what a command does.",
    },
}

_SUMMARIES: Final = {name: text for section in COMMANDS.values() for name, text in section.items()}


class CommandGroup(click.Group):
    """Commands under one name; for a command that it does not have, it names the nearest."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["invoke_without_command"] = True
        super().__init__(*arguments, **options)
        self.params += common_options()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            hint = meant_command(ctx.command_path, name) or did_you_mean(name, self.list_commands(ctx))
            raise UsageError(
                f"{ctx.command_path} has no command {RegistryUrl(name)!r}.",
                kind="no-command",
                hint=hint or f"see {ctx.command_path} --help",
            )
        return super().resolve_command(ctx, args)


def help_alone(ctx: click.Context) -> None:
    """What a group does by itself: show its help when no command was named."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class Root(CommandGroup):
    """The commands of ``COMMANDS``, each imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUMMARIES:
            return None
        return cast(click.Command, import_module(f"modhub.cli.commands.{cmd_name.replace('-', '_')}").command)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_text(
                "0 fine, 2 usage, 3 not found, 4 conflict or incompatible, 5 damaged bytes, 6 registry unreachable, "
                "7 an audit found something, "
                "1 anything else. Data goes to stdout, all else to stderr, where --json makes an error one JSON object."
            )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()), col_max=12)


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version  # for --version alone

        click.echo(f"modhub {version('modhub')}")
        ctx.exit()


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.pass_context
def root(ctx: click.Context) -> None:
    """Decompose a trained Keras image classifier into one module per class; publish, install and compose modules.

    \b
    modhub decompose net.keras --data data.npz --rescale 1/255 --as me/net --out net.modules
    modhub publish net.modules --version 1.0.0
    modhub install me/net:cat cifar100/r20:apple
    modhub predict me/net:cat cifar100/r20:apple --images photos/
    """
    help_alone(ctx)
