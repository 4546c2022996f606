"""``modhub build``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.compact_options import compact_keywords, compact_options, is_compact_asked
from modhub.cli.options import Command
from modhub.cli.outputs import check_free, force_option
from modhub.cli.project_options import compact_text, project_options, working
from modhub.engine.read.files import check_place


@click.command(
    "build",
    cls=Command,
    examples=[
        "modhub build --out pets.keras",
        "modhub build --frozen --out pets.keras",
        "modhub build --flops 0.5 --data photos/ --out small.keras",
        "modhub build --whole --out pets.keras",
    ],
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE.keras", help="Write the model here."
)
@force_option
@click.option("--frozen", is_flag=True, help="Fail when modhub.lock is not of what modhub.toml asks for.")
@click.option("--whole", is_flag=True, help="Write the whole classifier, also where a compact network is locked.")
@click.option("--data", metavar="DATA", help="Make one compact network with these labelled images; see above.")
@compact_options
@project_options
def command(
    out: Path,
    force: bool,
    frozen: bool,
    whole: bool,
    data: str | None,
    project: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write the project's classifier as one Keras model, of exactly what is locked.

    It takes raw images and gives one margin a class, in the order of modhub.toml, and loads without modhub. Equal locks
    give equal bytes. What runs fused is written as the one network that it is; what runs in bfloat16 is written in
    float32.
    """
    check_place(out)
    check_free(out, force=force)
    asked = data is not None or is_compact_asked(options)
    compacting = compact_keywords(options)
    with working("building the model", project, **options) as found:
        say = found.options.progress
        composite = found.build(
            out,
            frozen=frozen,
            whole=whole,
            data=data,
            progress=None if say is None else lambda what, done, total: say(what, done, total),
            **(compacting if asked else {}),
        )
        locked = found.locked
    size = out.stat().st_size
    table = None if whole or locked is None else locked.compact
    if as_json:
        written = None if table is None else table.model_dump(mode="json")
        document = {"out": str(out), "size": size, "classes": composite.classes, **composite.plan.to_dict()}
        printing.document(document | {"compact": written})
        return
    printing.line(composite.plan.summary)
    for text in composite.plan.running():
        printing.line(text)
    for text in () if locked is None or table is None else compact_text(locked):
        printing.line(text)
    printing.line(f"saved {out} ({printing.bytes_text(size)})")
