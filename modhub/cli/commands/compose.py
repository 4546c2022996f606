"""``modhub compose``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.compose_options import (
    ComposeOptions,
    agreement_line,
    composite_of_options,
    settings_asked,
    shape_options,
)
from modhub.cli.image_options import ImageOptions, print_account
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.outputs import check_free, force_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.data.unlabelled import FoundImages, find_images, read_images
from modhub.engine.export.formats import plan_description
from modhub.engine.read.files import check_place, save_model
from modhub.errors import UsageError


@click.command(
    "compose",
    cls=Command,
    examples=[
        "modhub compose c10:cat c100:apple",
        "modhub compose c10 --swap cat=cifar10/r20:cat --remove ship --out pets.keras",
        "modhub compose cifar10/r20:cat imagenet200/r20:goldfish --adapt resize",
        "modhub compose c10 --mode fused --check test.npz",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE.keras", help="Write the classifier as one Keras model."
)
@click.option(
    "--check",
    metavar="IMAGES",
    help="Measure how far --mode and --dtype answer these raw images as the exact way: a file, a folder, an .npz.",
)
@force_option
@shape_options
@registry_option
@cache_option
@json_option
def command(
    refs: tuple[str, ...],
    out: Path | None,
    check: str | None,
    force: bool,
    shape: ComposeOptions,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Make one classifier of modules of any origins, and show its plan. No training.

    A REF is a name, or a folder that modhub decompose wrote: net.modules:cat. Without a REF it is the classifier of the
    project in this folder or above. What is not installed is installed first. The Keras model takes raw images and
    gives one margin a class, in the plan's order; the largest wins, and none is positive where no margin exceeds its
    threshold. It loads without modhub.
    """
    if out is not None:
        check_place(out)
        check_free(out, force=force)
    agreement = None
    with ProgressLine("finding modules") as progress:
        found = _found(check, refs, shape)
        composite = composite_of_options(refs, shape, registry=registry, cache=cache)
        if found is not None:
            images, _ = read_images(found, reader := ImageOptions().reader(composite.plan.contract))
            progress.doing(f"classifying {len(images):,} images both ways")
            load_engine()
            agreement = composite.agreement(images)
            print_account(reader)
        if out is not None:
            progress.doing("building the model")
            load_engine()
            save_model(composite.to_keras(), out, plan_description(composite.plan))
    plan = composite.plan
    if as_json:
        document = plan.to_dict() | {"reject": composite.reject, "out": None if out is None else str(out)}
        document["agreement"] = None if agreement is None else agreement.to_dict()
        for member, module in zip(document["members"], plan.modules, strict=True):
            member |= {"threshold": module.threshold, "scale": module.scale}
        printing.document(document)
        return
    printing.line(plan.summary)
    # Thresholds decide only where the classifier may reject an image.
    columns = [Column("label", wraps=True), Column("module"), Column("threshold", right=True)]
    rows = [
        (label, module.ref, f"{module.threshold:.3f}") for label, module in zip(plan.labels, plan.modules, strict=True)
    ]
    shown = 3 if composite.reject else 2
    printing.table(columns[:shown], [row[:shown] for row in rows])
    for names, adapter in plan.adapted():
        printing.line(f"adapter of {names}: {adapter}")
    for classes, modules in plan.stages():
        printing.line(f"between {classes} decide again: {modules}")
    for text in plan.running():
        printing.line(text)
    if not plan.is_exact:
        printing.line(agreement_line(agreement or "not measured; give images to measure it on: --check IMAGES"))
    elif agreement is not None:
        printing.line(agreement_line(agreement))
    if out is not None:
        printing.line(f"saved {out} ({printing.bytes_text(out.stat().st_size)})")


def _found(check: str | None, refs: Sequence[str], shape: ComposeOptions) -> FoundImages | None:
    """The images of ``--check``. Raises UsageError where there is nothing to measure."""
    if check is None:
        return None
    settings = settings_asked(refs, shape)
    if (settings.mode, settings.dtype) == ("isolated", "float32"):
        raise UsageError(
            "--check was given, but modules run isolated in float32, which is what others are compared with.",
            kind="bad-option",
            hint="add --mode fused, --mode auto or --dtype bfloat16.",
        )
    return find_images([check])
