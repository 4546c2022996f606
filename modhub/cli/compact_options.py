"""How a network is made smaller: the options that ``modhub compact`` and ``modhub build`` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar, cast

import click

from modhub.cli.options import number
from modhub.compaction.selections import selection_named
from modhub.engine.compact.settings import SELECTS, CompactKeywords, CompactSettings

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _number(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    return None if value is None else number(ctx, parameter, value)


class _Selection(click.Choice[str]):
    """One of modhub's own selections, which complete, or one that a package brings."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        selection_named(value)
        return value


_OPTIONS: Final = (
    click.option(
        "--flops", callback=_number, metavar="X", help="Share of the multiply-adds that may stay, such as 0.5."
    ),
    click.option("--parameters", callback=_number, metavar="X", help="Share of the parameters that may stay, instead."),
    click.option("--points", callback=_number, metavar="X", help="The smallest that loses at most so many points."),
    click.option(
        "--size", callback=_number, metavar="BYTES", help="The largest whose stored weights take at most so many."
    ),
    click.option(
        "--milliseconds", callback=_number, metavar="X", help="The largest that takes so long for 256 images here."
    ),
    click.option(
        "--jaccard", callback=_number, metavar="X", help="Share of the nodes at ReLUs that may stay, as well."
    ),
    click.option(
        "--select",
        type=_Selection(SELECTS),
        metavar="NAME",
        default="blocks+channels",
        show_default=True,
        help="What goes: blocks (whole residual branches), channels, blocks+channels, never; or PACKAGE/NAME.",
    ),
    click.option(
        "--polish",
        is_flag=True,
        help="Train afterwards, towards the whole network's answers; of several with labels too.",
    ),
    click.option(
        "--polish-steps",
        type=click.IntRange(min=1),
        metavar="N",
        help="Of 128 images each. Default: 700; of several networks 250 to 800, by the number of images.",
    ),
    click.option("--minutes", callback=_number, metavar="X", help="Bound the polish: it ends when X have passed."),
    click.option(
        "--use-labels", is_flag=True, help="Of several networks: correct the vote by the labels, if that helps."
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="Decides which images are used.",
    ),
)


def compact_options(function: _Command) -> _Command:
    """The options, handed on under the names of ``CompactKeywords``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def is_compact_asked(options: Mapping[str, Any]) -> bool:
    """Whether any of them was given another value than it has by default."""
    return any(options[each.name] != each.default for each in fields(CompactSettings))


def compact_keywords(options: dict[str, Any]) -> CompactKeywords:
    """What ``compact_options`` gave, taken out of a command's other options."""
    return cast(CompactKeywords, {name: options.pop(name) for name in CompactKeywords.__annotations__})
