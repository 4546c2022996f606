"""``modhub demo``: the story of ``modhub.demo`` as a table that grows while it happens."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option
from modhub.cli.printing import percent
from modhub.cli.progress import Progress
from modhub.cli.quiet import load_engine
from modhub.errors import Conflict

if TYPE_CHECKING:
    from rich.table import Table

    from modhub.demo.story import Step

_WIDE = 110


@click.command("demo", cls=Command, examples=["modhub demo", "modhub demo --keep modhub-demo"])
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the registry and the cache there. Without it nothing is left.",
)
@json_option
def command(keep: Path | None, as_json: bool) -> None:
    """Train two small networks, cut them into modules, publish, install, compose; in about a minute, without a network.

    \b
    accuracy  on test images of exactly the classes that can be answered
    balanced  the same, every class counting equally
    origin    the network that the modules were cut from, on the same images
    """
    with ExitStack() as stack:
        workdir = _made(keep) if keep else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modhub-demo-")))
        started = time.perf_counter()
        with _silent() if as_json else _drawn() as (emit, doing):
            load_engine()
            from modhub.demo.story import run

            steps = run(workdir, emit, doing=doing)
        seconds = time.perf_counter() - started
    if as_json:
        printing.document({"steps": [asdict(step) for step in steps], "seconds": seconds})
        return
    printing.line()
    printing.line(f"{len(steps)} steps in {seconds:.0f} s. Nothing was retrained for the last four.")
    for text in _next(keep):
        printing.note(text)


def _made(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"--keep {folder} exists and is not empty.", kind="not-empty", hint="name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _next(keep: Path | None) -> Sequence[str]:
    lines = [
        "",
        "try next:",
        "  modhub list --available                         the modules that came with modhub",
        "  modhub compose c10:cat c100:apple               a cat of one network, an apple of another",
        "  modhub decompose net.keras --data data.npz --rescale 1/255 --as me/net   your own network",
    ]
    if keep:
        lines.insert(3, f"  modhub search --registry {keep / 'registry'}          the modules of this demo")
    return lines


Callbacks = tuple[Callable[["Step"], None], Callable[[str], None]]


@contextmanager
def _silent() -> Iterator[Callbacks]:
    """For programs: what is happening in a terminal's stderr, the steps all together at the end."""
    with Progress("starting") as progress:
        yield lambda step: None, progress.doing


@contextmanager
def _drawn() -> Iterator[Callbacks]:
    """For people: the table in a terminal, else every step as a line when it is done."""
    if not sys.stdout.isatty():
        with Progress("starting") as progress:
            yield lambda step: printing.line(plain(step)), progress.doing
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.spinner import Spinner

    console = Console(highlight=False)
    steps: list[Step] = []
    spinner = Spinner("dots")

    with Live(console=console, refresh_per_second=8) as live:

        def doing(text: str) -> None:
            spinner.update(text=printing.printable(text))
            live.update(Group(table(steps, console.width), spinner) if steps else spinner)

        def emit(step: Step) -> None:
            steps.append(step)
            live.update(table(steps, console.width))

        doing("starting")
        try:
            yield emit, doing
        finally:
            live.update(table(steps, console.width) if steps else "")


def table(steps: Sequence[Step], width: int) -> Table:
    """The steps so far; the notes stand beside them where the terminal is wide, else below."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    wide = width >= _WIDE
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column("step", no_wrap=True)
    drawn.add_column("what", overflow="fold", ratio=2 if wide else None)
    for title in ("accuracy", "balanced", "origin", "time"):
        drawn.add_column(title, justify="right", no_wrap=True)
    if wide:
        drawn.add_column("", overflow="fold", style="dim", ratio=3)
    for step in steps:
        what = Text(step.what)
        if not wide:
            what.append(f"\n{step.note}", style="dim")
        drawn.add_row(step.name, what, *_figures(step), *([Text(step.note)] if wide else []))
    return drawn


def plain(step: Step) -> str:
    """One step as one line, for where there is no terminal."""
    accuracy, balanced, origin, seconds = _figures(step)
    return f"{step.name:<9}  {accuracy:>6}  {balanced:>6}  {origin:>6}  {seconds:>6}  {step.what}  ({step.note})"


def _figures(step: Step) -> tuple[str, str, str, str]:
    shares = [percent(share) if share is not None else "" for share in (step.accuracy, step.balanced, step.baseline)]
    return shares[0], shares[1], shares[2], f"{step.seconds:.1f} s"
