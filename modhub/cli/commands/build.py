"""``modhub build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.outputs import check_free, force_option
from modhub.cli.project_options import project_options, working
from modhub.engine.read.files import check_place


@click.command(
    "build", cls=Command, examples=["modhub build --out pets.keras", "modhub build --frozen --out pets.keras"]
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE.keras", help="Write the model here."
)
@force_option
@click.option("--frozen", is_flag=True, help="Fail when modhub.lock is not of what modhub.toml asks for.")
@project_options
def command(out: Path, force: bool, frozen: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """Write the project's classifier as one Keras model, of exactly what is locked.

    It takes raw images and gives one margin a class, in the order of modhub.toml, and loads without modhub. Equal locks
    give equal bytes. What runs fused is written as the one network that it is; what runs in bfloat16 is written in
    float32.
    """
    check_place(out)
    check_free(out, force=force)
    with working("building the model", project, **places) as found:
        composite = found.build(out, frozen=frozen)
    size = out.stat().st_size
    if as_json:
        printing.document({"out": str(out), "size": size, "classes": composite.classes, **composite.plan.to_dict()})
        return
    printing.line(composite.plan.summary)
    for text in composite.plan.running():
        printing.line(text)
    printing.line(f"saved {out} ({printing.bytes_text(size)})")
