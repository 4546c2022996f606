"""``modhub export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.compose_options import ComposeOptions, composite_of_options, shape_options
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.engine.export.formats import FORMATS
from modhub.engine.keras_backend import require_keras_backend
from modhub.ops.export import check_export, export


@click.command(
    "export",
    cls=Command,
    examples=[
        "modhub export c10:cat c100:apple --out both.keras",
        "modhub export c10 --remove ship --out pets.onnx --check photos/",
        "modhub export c10 --format saved-model --out pets",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Write the artifact here.")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="What to write.  [default: by the end of --out]")
@click.option(
    "--check",
    metavar="PATH",
    help="Compare on these raw images: a file, a folder, an .npz with x.  [default: synthetic images]",
)
@click.option("--force", is_flag=True, help="Replace an artifact that exists.")
@shape_options
@registry_option
@cache_option
@json_option
def command(
    refs: tuple[str, ...],
    out: Path,
    kind: Any,
    check: str | None,
    force: bool,
    shape: ComposeOptions,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Write a classifier composed of REFs as one artifact that needs no modhub, with its class names inside.

    A REF is a name, a folder that modhub decompose wrote (net.modules:cat), or a file that modhub compose --save wrote
    (pets.modhub). Without a REF it is the classifier of the project in this folder or above. The artifact takes raw
    images and gives one margin a class, in the plan's order; the largest wins. Before it gets its name it is read back
    without modhub and compared with the classifier; if a margin differs by more than 1e-4 nothing is kept.

    \b
    keras        FILE.keras  one Keras model of standard layers; equal classifiers give equal bytes
    saved-model  FOLDER      TensorFlow, with a signature that gives margins and labels
    onnx         FILE.onnx   runs in onnxruntime; needs pip install 'modhub[onnx]'
    """
    require_keras_backend()
    check_export(out, kind, force=force)
    with ProgressLine("finding modules") as progress:
        composite = composite_of_options(refs, shape, registry=registry, cache=cache)
        load_engine()
        done = export(composite, out, format=kind, check=check, force=force, doing=progress.doing)
    if as_json:
        printing.document(
            {
                "out": str(done.path),
                "format": done.format,
                "size": done.size,
                "classes": list(done.classes),
                "check": {"on": done.checked_on, "count": done.images, "difference": done.difference},
            }
        )
        return
    printing.line(composite.plan.summary)
    printing.line(f"saved {done.path} ({done.format}, {printing.bytes_text(done.size)})")
    printing.line(f"read back without modhub: margins differ by {done.difference:.1e} at most, on {done.checked_on}")
    printing.note(f"its class names:\n{done.snippet}")
