"""``modhub evaluate``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from modhub.cli import printing
from modhub.cli.compose_options import ComposeOptions, composite_of_options, shape_options
from modhub.cli.data_options import class_names_option, find_labelled
from modhub.cli.energy_options import metered, with_energy
from modhub.cli.image_options import ImageOptions, image_options, print_account
from modhub.cli.options import Command, cache_option, json_option, number, numbers_option, registry_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.composition.recipe import GivenSettings
from modhub.engine.keras_backend import require_keras_backend
from modhub.errors import UsageError
from modhub.evaluation import evaluation as text
from modhub.evaluation.intervals import Resampling
from modhub.ops.evaluate import Composing, EvaluateOptions, Preprocessing, evaluate_all, images_of, opened_of, place_of
from modhub.plots.drawing import check_folder
from modhub.plots.evaluation import save_plots
from modhub.spec.input_contract import TrainedColor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modhub.evaluation.evaluation import Evaluation
    from modhub.evaluation.paired import Comparison


@click.command(
    "evaluate",
    cls=Command,
    examples=[
        "modhub evaluate cifar10/r56 --data cifar10",
        "modhub evaluate net.keras --data test.npz --rescale 1/255 --plots plots/",
        "modhub evaluate c10 --swap cat=cifar10/r20:cat --compare c10 --data test.npz",
    ],
)
@click.argument("what", nargs=-1, required=True, metavar="WHAT...")
@click.option("--data", required=True, metavar="DATA", help="Raw images with labels; see above.")
@click.option("--split", type=click.Choice(["train", "test"]), default="test", show_default=True, help="Part of DATA.")
@click.option(
    "--compare", metavar="OTHER", help="Evaluate OTHER too, and say whether the difference is more than noise."
)
@click.option("--drop-unknown", is_flag=True, help="Leave out images of classes that the classifier does not know.")
@click.option("--plots", type=click.Path(path_type=Path), metavar="FOLDER", help="Draw plots there, as PNG files.")
@click.option("--force", is_flag=True, help="With --plots: write into a folder that holds something.")
@click.option("--layers", is_flag=True, help="Show the nodes kept in every layer as well.")
@click.option(
    "--classes", metavar="FILE|A,B,C", help="A Keras model's classes, by output.  [default: the data's order]"
)
@click.option("--rescale", default="1", show_default=True, callback=number, metavar="X", help="A Keras model's: 1/255.")
@click.option(
    "--mean", callback=numbers_option, metavar="X[,X...]", help="Subtracted after that; one number, or one a channel."
)
@click.option(
    "--std", callback=numbers_option, metavar="X[,X...]", help="Divided by after that; one number, or one a channel."
)
@click.option(
    "--color",
    type=click.Choice(get_args(TrainedColor)),
    default="rgb",
    show_default=True,
    help="The order of colours that a Keras model was trained on; images are given as RGB either way.",
)
@click.option(
    "--confidence", type=float, default=0.95, show_default=True, metavar="X", help="Of intervals, and of a verdict."
)
@click.option(
    "--resamples", type=int, default=2000, show_default=True, metavar="N", help="Resamples that intervals come from."
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Decides which resamples those are.")
@image_options
@shape_options
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=256, show_default=True, metavar="N", help="Images at a time."
)
@registry_option
@cache_option
@metered
@json_option
def command(
    what: tuple[str, ...],
    data: str,
    split: Any,
    compare: str | None,
    plots: Path | None,
    force: bool,
    layers: bool,
    pictures: ImageOptions,
    shape: ComposeOptions,
    as_json: bool,
    **settings: Any,
) -> None:
    """How good is WHAT: names of modules or folders of them, a .modhub file, a .keras model, or a project?

    DATA is cifar10 or cifar100, an .npz file with x (images, rows, columns, channels; or arrays as WHAT takes them), y
    and classes, a folder with one folder of images a class, with all below it, or a CSV file with the columns path and
    label. Its classes are matched to the classifier's by name, its pictures brought to the images that WHAT takes.
    OTHER is what WHAT can be, several names with commas between; --adapt and --size hold for both, every other change
    for WHAT alone.

    \b
    The figures, with intervals in brackets:
    top-1, top-5  share of images whose class is the answer, or among the five best
    balanced      the mean recall of the classes
    ECE           expected calibration error: how far confidence is from accuracy
    positive      how many modules were above their thresholds, and how often
                  the answer was right then
    JI            Jaccard index of a module with its network, of two modules with each other
    recall        share of the class's images that are answered so
    precision     share of such answers that are right
    own           the same for the class's module alone, at its own threshold
    """
    require_keras_backend()
    _check_plots(plots, force)
    with ProgressLine("reading data") as progress:
        found = find_labelled(data, split)
        progress.doing("finding modules")
        options = _options(settings)
        whats = [_subject(what, shape, settings, options)]
        if compare is not None:
            plain = ComposeOptions(GivenSettings(adapt=shape.given.adapt, size=shape.given.size))
            whats.append(_subject([part.strip() for part in compare.split(",")], plain, settings, options))
        progress.doing("reading data")
        reader = pictures.reader(images_of(whats[0][1]))
        images = found(reader)
        progress.doing(f"classifying {len(images):,} images")
        load_engine()
        evaluations = evaluate_all(whats, images, options)
        first = evaluations[0]
        comparison = first.compare(evaluations[1]) if compare is not None else None
        drawn: Sequence[Path] = ()
        if plots is not None:
            progress.doing("drawing")
            drawn = save_plots(first, plots)
    print_account(reader)
    if as_json:
        document = _document(first, evaluations[1:], comparison, drawn) | {"pictures": reader.to_dict()}
        printing.document(with_energy(document))
        return
    for evaluation in evaluations:
        _print(evaluation, layers)
    if comparison is not None:
        printing.line(comparison.heading)
        printing.fields(comparison.lines())
    if plots is not None:
        printing.line(f"drew {', '.join(path.name for path in drawn)} in {plots}")


def _subject(
    refs: Sequence[str], shape: ComposeOptions, settings: dict[str, Any], options: EvaluateOptions
) -> tuple[str | None, Any]:
    """What to evaluate, opened, with its name. Raises UsageError for changes to what has none."""
    places = [place_of(ref) for ref in refs]
    name = " ".join(refs)
    if len(refs) > 1 and any(places):
        raise UsageError(
            f"a model or a project is evaluated by itself, but {len(refs)} things were named.",
            kind="several-things",
            hint="compare two with --compare.",
        )
    if places[0] in ("model", "project"):
        if shape != ComposeOptions():
            raise UsageError(
                f"{name} is a {places[0]}, which no option changes.",
                kind="bad-option",
                hint="evaluate names of modules, or change the project with modhub's project commands.",
            )
        load_engine()
        return opened_of(refs[0], options)
    composite = composite_of_options(refs, shape, registry=settings["registry"], cache=settings["cache"])
    plain = ComposeOptions(GivenSettings(adapt=shape.given.adapt, size=shape.given.size))
    usual = replace(shape, given=replace(shape.given, mode=None, dtype=None)) if composite.plan.is_exact else shape
    return name if usual == plain else f"{name} (changed)", composite


def _options(settings: dict[str, Any]) -> EvaluateOptions:
    classes = class_names_option(settings["classes"])
    return EvaluateOptions(
        Preprocessing(classes, *(settings[name] for name in ("rescale", "mean", "std", "color"))),
        Composing(settings["registry"], settings["cache"]),
        Resampling(settings["confidence"], settings["resamples"], settings["seed"]),
        settings["drop_unknown"],
        settings["batch_size"],
    )


def _check_plots(plots: Path | None, force: bool) -> None:
    """Refuse before the work what would be refused after it."""
    if plots is None:
        if force:
            raise UsageError("--force was given without --plots.", kind="bad-option", hint="add --plots FOLDER.")
        return

    check_folder(plots, force=force)


def _document(
    first: Evaluation, others: Sequence[Evaluation], comparison: Comparison | None, drawn: Sequence[Path]
) -> dict[str, Any]:
    document = first.to_dict() | {"plots": [str(path) for path in drawn], "comparison": None, "other": None}
    if comparison is not None:
        document |= {"comparison": comparison.to_dict(), "other": others[0].to_dict()}
    return document


def _print(evaluation: Evaluation, layers: bool) -> None:
    printing.line(text.heading(evaluation))
    printing.fields(text.summary(evaluation))
    printing.line()
    tables = [text.class_table(evaluation), *([text.layer_table(evaluation)] if layers and evaluation.layers else [])]
    for titles, rows in tables:
        columns = [Column(title, right=number > 0, wraps=number == 0) for number, title in enumerate(titles)]
        printing.table(columns, rows)
        printing.line()
