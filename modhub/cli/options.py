"""What commands share: their class with ``--debug``, the options for registries, cache and JSON, kinds of values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import interrupts
from modhub.errors import UsageError
from modhub.spec.url import RegistryUrl

if TYPE_CHECKING:
    from modhub.signing.keys import Signer


def common_options() -> list[click.Parameter]:
    """The options of every command, which ``main`` finds by itself."""
    return [
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            help="Say on stderr what is looked up, requested and found, and how long it takes; -vv says more.",
        ),
        click.Option(
            ["-q", "--quiet"],
            count=True,
            expose_value=False,
            help="No progress and no remarks on stderr; with -qq no warnings either.",
        ),
        click.Option(["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error."),
    ]


class Command(click.Command):
    """A command; its examples are at the end of its help."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += common_options()
        self._examples = examples

    def invoke(self, ctx: click.Context) -> Any:
        with interrupts.as_exceptions():
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self._examples:
            with formatter.section("Examples"):
                for example in self._examples:
                    formatter.write(f"  {example}\n")


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")

registry_option = click.option(
    "--registry",
    "registry",
    multiple=True,
    metavar="URL",
    callback=lambda ctx, parameter, value: value or None,
    help="Look in this registry: a folder, a URL, or its name (modhub registry add); repeat it for several, in order.  "
    "[env: MODHUB_REGISTRY]",
)

cache_option = click.option(
    "--cache", "cache", type=click.Path(path_type=Path), metavar="DIR", help="Install here.  [env: MODHUB_CACHE]"
)

offline_option = click.option("--offline", is_flag=True, help="Use the cache alone.  [env: MODHUB_OFFLINE]")


def _only_one(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> str | None:
    if len(value) > 1:
        given = ", ".join(map(RegistryUrl, value))
        raise UsageError(
            f"{ctx.command_path} writes to one registry, but {len(value)} were given: {given}.",
            kind="several-registries",
            hint="run it once for each.",
        )
    return value[0] if value else None


#: For commands that write: the repeatable option, but only once.
one_registry_option = click.option(
    "--registry",
    "registry",
    multiple=True,
    metavar="URL",
    callback=_only_one,
    help="Write to this registry, a folder or URL.  [env: MODHUB_REGISTRY, the first]",
)


def _signer(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Signer | None:
    if value is None:
        return None
    from modhub.cli import passphrase  # keys, which only signing needs

    return passphrase.signer(value)


sign_option = click.option(
    "--sign",
    metavar="KEY",
    envvar="MODHUB_SIGN",
    callback=_signer,
    help="Sign with this key of yours, as modhub key list names it.  [env: MODHUB_SIGN]",
)


def number(ctx: click.Context | None, parameter: click.Parameter | None, value: str) -> float:
    """An option's value as a number; fractions such as ``1/255`` are numbers too."""
    above, slash, below = value.partition("/")
    try:
        result = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        result = math.nan
    if not math.isfinite(result):
        raise click.BadParameter(f"{value!r} is not a number such as 0.5 or 1/255.", ctx, parameter)
    return result


card_option = click.option(
    "--card",
    type=click.Path(path_type=Path),
    metavar="README.md",
    help="Licence, description and so on: YAML front matter, as of a model on the Hugging Face Hub, and Markdown.",
)


def numbers_option(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[float] | None:
    """An option's value as one number, or one a channel with commas between."""
    return None if value is None else [number(ctx, parameter, part) for part in value.split(",")]


def delta(ctx: click.Context, parameter: click.Parameter, value: str) -> float | str:
    """An option's value as a number or a quantile such as ``q95``."""
    if re.fullmatch(r"q\d{1,2}(\.\d+)?", value):
        return value
    try:
        return number(ctx, parameter, value)
    except click.BadParameter:
        reason = f"{value!r} is neither a number such as 0.5 nor a quantile such as q95."
        raise click.BadParameter(reason, ctx, parameter) from None
