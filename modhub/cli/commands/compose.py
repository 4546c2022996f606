"""``modhub compose``."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.printing import Column
from modhub.cli.progress import Progress
from modhub.cli.quiet import load_engine
from modhub.errors import UsageError


@click.command(
    "compose",
    cls=Command,
    examples=["modhub compose c10:cat c100:apple", "modhub compose c10 c100:apple --out pets.keras"],
)
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE.keras", help="Write the classifier as one Keras model."
)
@click.option("--reject", is_flag=True, help='It may answer "none of these"; shows the thresholds for that.')
@registry_option
@cache_option
@json_option
def command(
    refs: tuple[str, ...],
    out: Path | None,
    reject: bool,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Make one classifier of modules of any origins, and show its plan. No training.

    What is not installed is installed first. The Keras model takes raw images and gives one margin a class, in the
    plan's order; the largest wins, and none is positive where no margin exceeds its threshold. It loads without modhub.
    """
    if out is not None:
        _check_out(out)
    from modhub import api

    with Progress("finding modules") as progress:
        composite = api.compose(refs, registry=registry, cache=cache, reject=reject)
        if out is not None:
            from modhub.engine.loading import save_model

            progress.doing("building the model")
            load_engine()
            save_model(composite.to_keras(), out)
    plan = composite.plan
    if as_json:
        document = plan.to_dict() | {"reject": reject, "out": None if out is None else str(out)}
        for member, module in zip(document["members"], plan.modules, strict=True):
            member |= {"threshold": module.threshold, "scale": module.scale}
        printing.document(document)
        return
    printing.line(str(plan).splitlines()[0])
    printing.table(
        [Column("label", wraps=True), Column("module"), *([Column("threshold", right=True)] if reject else [])],
        [
            (label, module.ref, *([f"{module.threshold:.3f}"] if reject else []))
            for label, module in zip(plan.labels, plan.modules, strict=True)
        ],
    )
    if out is not None:
        printing.line(f"saved {out} ({printing.size(out.stat().st_size)})")


def _check_out(out: Path) -> None:
    """Before any work: would it be possible to write there?"""
    if out.suffix != ".keras":
        raise UsageError(f"--out is {str(out)!r}; Keras models end in .keras.", hint=f"use --out {out.stem}.keras")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UsageError(
            f"--out {out} is a folder." if out.is_dir() else f"--out {out}: there is no folder {out.parent}.",
            hint="name a file in a folder that exists.",
        )
