"""``modhub compose``."""

from __future__ import annotations

from pathlib import Path

import click

from modhub.cli import printing
from modhub.cli.compose_options import ComposeOptions, agreement_line, composite_of_options, shape_options
from modhub.cli.forecasts import dry_run_option, forecast_fields, print_forecast
from modhub.cli.image_options import ImageOptions, print_account
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.outputs import check_free, force_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.composition.recipe import ClassifierSettings
from modhub.data.unlabelled import find_images, read_images
from modhub.engine.export.formats import plan_description
from modhub.engine.read.files import check_place, save_model
from modhub.errors import UsageError
from modhub.installation.classifier_file import check_place_of_classifier
from modhub.installation.forecast import Forecast
from modhub.ops.install_forecast import install_forecast
from modhub.project.project import Project
from modhub.spec.folder_refs import classifier_ref, folder_ref


@click.command(
    "compose",
    cls=Command,
    examples=[
        "modhub compose c10:cat c100:apple",
        "modhub compose c10 --swap cat=cifar10/r20:cat --remove ship --out pets.keras",
        "modhub compose c10:cat c100:apple --save pets.modhub --bundle",
        "modhub compose cifar10/r20:cat imagenet200/r20:goldfish --adapt resize",
        "modhub compose c10 --mode fused --check test.npz",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE.keras", help="Write the classifier as one Keras model."
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE.modhub",
    help="Keep the classifier in one file, which every command takes in the place of a REF.",
)
@click.option("--bundle", is_flag=True, help="With --save: all bytes too, so that it loads without any registry.")
@click.option(
    "--check",
    metavar="IMAGES",
    help="Measure how far --mode and --dtype answer these raw images as the exact way: a file, a folder, an .npz.",
)
@force_option
@dry_run_option
@shape_options
@registry_option
@cache_option
@json_option
def command(
    refs: tuple[str, ...],
    out: Path | None,
    save: Path | None,
    bundle: bool,
    force: bool,
    dry_run: bool,
    check: str | None,
    shape: ComposeOptions,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Make one classifier of modules of any origins, and show its plan. No training.

    A REF is a name, a folder that modhub decompose wrote (net.modules:cat), or a file that --save wrote (pets.modhub).
    Without a REF it is the classifier of the project in this folder or above. What is not installed is installed first.
    The Keras model takes raw images and gives one margin a class, in the plan's order; the largest wins, and none is
    positive where no margin exceeds its threshold. It loads without modhub.
    """
    _check_places(out, save, bundle=bundle, force=force)
    if dry_run:
        found_bytes = _forecast(refs, shape, registry, cache)
        if as_json:
            printing.document(forecast_fields(found_bytes))
        else:
            print_forecast(found_bytes)
        return
    agreement = None
    with ProgressLine("finding modules") as progress:
        found = None if check is None else find_images([check])
        composite = composite_of_options(refs, shape, registry=registry, cache=cache)
        if found is not None:
            _check_differs(composite.plan.settings)
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
        if save is not None:
            progress.doing("saving the classifier")
            composite.save(save, bundle=bundle, force=force)
    plan = composite.plan
    if as_json:
        document = plan.to_dict() | {"reject": composite.reject, "out": None if out is None else str(out)}
        document["save"] = None if save is None else str(save)
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
    for remark in plan.counting.remarks:
        printing.line(remark)
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
    for written in (out, save):
        if written is not None:
            printing.line(f"saved {written} ({printing.bytes_text(written.stat().st_size)})")


def _forecast(
    refs: tuple[str, ...], shape: ComposeOptions, registry: tuple[str, ...] | None, cache: Path | None
) -> list[Forecast]:
    """What would be fetched for the classifier: of the REFs and of what the options put in, or of the project here."""
    more = [ref for _, ref in shape.swap] + [ref for _, modules in shape.verify_with for ref in modules]
    if not refs:
        project = Project.open(registry=registry, cache=cache).would_sync()[1]
        return project + (install_forecast(more, registry=registry, cache=cache) if more else [])
    # Folders and files of classifiers have their bytes with them.
    named = [ref for ref in [*refs, *more] if folder_ref(ref) is None and classifier_ref(ref) is None]
    adapt = shape.given.adapt is not None
    return install_forecast(named, registry=registry, cache=cache, together=True, adapt=adapt) if named else []


def _check_places(out: Path | None, save: Path | None, *, bundle: bool, force: bool) -> None:
    """Raise what keeps files from being written, before any work."""
    if out is not None:
        check_place(out)
        check_free(out, force=force)
    if save is not None:
        check_place_of_classifier(save, force=force)
    elif bundle:
        raise UsageError("--bundle was given without --save.", kind="bad-option", hint="add --save pets.modhub.")


def _check_differs(settings: ClassifierSettings) -> None:
    """Raise UsageError where ``--check`` has nothing to measure."""
    if (settings.mode, settings.dtype) == ("isolated", "float32"):
        raise UsageError(
            "--check was given, but modules run isolated in float32, which is what others are compared with.",
            kind="bad-option",
            hint="add --mode fused, --mode auto or --dtype bfloat16.",
        )
