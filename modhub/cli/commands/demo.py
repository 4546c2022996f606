"""``modhub demo``: the story of ``modhub.demo`` as a table that grows while it happens."""

from __future__ import annotations

import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from modhub.cli import printing
from modhub.cli.options import Command, json_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.demo.story import Step, run
from modhub.engine.keras_backend import require_keras_backend
from modhub.errors import Conflict
from modhub.spec.places import is_folder, is_there
from modhub.spec.text import percent
from modhub.storage.files import visible

_STEP: Final = 9
_FIGURE: Final = 8
_FIGURES: Final = ("accuracy", "balanced", "origin", "time")


@click.command("demo", cls=Command, examples=["modhub demo", "modhub demo --keep modhub-demo"])
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the registry and the cache there. Without it nothing is left.",
)
@json_option
def command(keep: Path | None, as_json: bool) -> None:
    """Train three small networks, decompose them, publish, install, compose, swap; offline.

    \b
    accuracy  on test images of exactly the classes that can be answered
    balanced  the same, every class counting equally
    origin    the network that the modules come from, on the same images
    """
    require_keras_backend()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def emit(step: Step) -> None:
        if not as_json:
            printing.echo(row(step, width))

    with ExitStack() as stack:
        workdir = _made(keep) if keep else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modhub-demo-")))
        if not as_json:
            printing.echo(header(width))
        started = time.perf_counter()
        progress = stack.enter_context(ProgressLine("starting"))
        load_engine()

        steps = run(workdir, emit, doing=progress.doing)
        seconds = time.perf_counter() - started
    if as_json:
        printing.document({"steps": [asdict(step) for step in steps], "seconds": seconds})
        return
    printing.line(f"\n{len(steps)} steps in {seconds:.0f} s. Composing, swapping and removing trained nothing.")
    printing.note(_next(keep))


def _made(folder: Path) -> Path:
    if is_there(folder) and (not is_folder(folder) or visible(folder)):
        raise Conflict(f"--keep {folder} exists and is not empty.", kind="not-empty", hint="name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _next(keep: Path | None) -> str:
    there = f" --registry {keep / 'registry'}" if keep else ""
    lines = [
        f"modhub list --available{there}",
        "modhub compose c10:cat c100:apple --out both.keras",
        "modhub decompose net.keras --data data.npz --rescale 1/255 --as me/net --out net.modules",
    ]
    return "\n".join(["", "try next:", *(f"  {line}" for line in lines)])


def header(width: int | None) -> str:
    """The titles of the columns. ``width`` is the terminal's, None where there is none."""
    return printing.styled(_laid_out("step", "what", _FIGURES, _what_width(width)), bold=True)


def row(step: Step, width: int | None) -> str:
    """One step: its figures, and its note below; without a terminal all on one line."""
    shares = (step.accuracy, step.balanced, step.baseline)
    figures = [*("" if share is None else percent(share) for share in shares), f"{step.seconds:.1f} s"]
    what, note = printing.printable(step.what), printing.printable(step.note)
    if width is None:
        return f"{_laid_out(step.name, what, figures, _what_width(width))}  {note}".rstrip()
    first, *rest = textwrap.wrap(what, _what_width(width), break_on_hyphens=False) or [""]
    notes = textwrap.wrap(note, max(20, width - _STEP - 2), break_on_hyphens=False)
    lines = [_laid_out(step.name, first, figures, _what_width(width))]
    lines += [" " * (_STEP + 2) + text for text in rest]
    lines += [printing.styled(" " * (_STEP + 2) + text, dim=True) for text in notes]
    return "\n".join(lines)


def _laid_out(name: str, what: str, figures: Sequence[str], what_width: int) -> str:
    return "  ".join([name.ljust(_STEP), what.ljust(what_width), *(figure.rjust(_FIGURE) for figure in figures)])


def _what_width(width: int | None) -> int:
    return 60 if width is None else min(60, max(20, width - _STEP - len(_FIGURES) * (_FIGURE + 2) - 2))
