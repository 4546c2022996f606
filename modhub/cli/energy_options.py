"""``--meter`` of the long commands: what the whole command drew, as a line on stderr or as "energy" in ``--json``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from modhub.cli import printing
from modhub.cli.options import number
from modhub.cli.progress import ProgressLine
from modhub.energy.machine import meter as open_meter
from modhub.energy.meter import active
from modhub.errors import UsageError

_WAYS: Final = ("auto", "counter")


def metered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--meter`` and its options. Its JSON document has to go through ``with_energy``."""

    @functools.wraps(command)
    def with_meter(meter: str | None, **values: Any) -> None:
        factors = {name: values.pop(option) for option, name in _FACTORS.items()}
        if meter is None:
            _refuse_without_meter(factors)
            command(**values)
            return

        running = open_meter(require_counter=meter == "counter", **factors)
        with ProgressLine("measuring the power of the machine at rest"):
            running.prepare()
        with running:
            command(**values)
        if not values.get("as_json"):
            # To stderr, as a shell's time does: stdout is the command's own.
            printing.note(f"energy: {running.result}")

    # Where click's own decorators collect options, last first.
    collected: list[click.Parameter] = getattr(command, "__click_params__", [])
    with_meter.__click_params__ = [*collected, *reversed(_OPTIONS)]  # type: ignore[attr-defined]
    return with_meter


def with_energy(document: dict[str, Any]) -> dict[str, Any]:
    """A command's JSON document, with what the command drew so far when it is metered."""
    running = active()
    return document if running is None else {**document, "energy": running.result.to_dict()}


def _way(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in _WAYS:
        raise UsageError(
            f"--meter is {value!r}.",
            kind="bad-option",
            hint="write --meter=auto, or --meter=counter to refuse an estimate; bare --meter goes last.",
        )
    return value


def _factor(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    return None if value is None else number(ctx, parameter, value)


def _refuse_without_meter(factors: dict[str, float | None]) -> None:
    if given := [option for option, name in _FACTORS.items() if factors[name] is not None]:
        raise UsageError(
            f"--{given[0].replace('_', '-')} does nothing without --meter.",
            kind="bad-option",
            hint="add --meter, or leave it out.",
        )


#: Names of options, and what ``modhub.meter`` calls them.
_FACTORS: Final = {"meter_background": "background", "pue": "pue", "intensity": "intensity"}
_OPTIONS: Sequence[click.Option] = (
    click.Option(
        ["--meter"],
        is_flag=False,
        flag_value="auto",
        metavar="[auto|counter]",
        callback=_way,
        help="Measure energy and CO2e; counter refuses where power can only be estimated.",
    ),
    click.Option(
        ["--meter-background"],
        metavar="SECONDS",
        callback=_factor,
        help="With --meter: measure and subtract the machine's power at rest; 0 for not.  [default: 10]",
    ),
    click.Option(
        ["--pue"],
        metavar="X",
        callback=_factor,
        help="With --meter: the data centre's watts for each of the computer's.  [default: 1.58]",
    ),
    click.Option(
        ["--intensity"], metavar="KG", callback=_factor, help="With --meter: CO2e of a kWh.  [default: 0.4327]"
    ),
)
