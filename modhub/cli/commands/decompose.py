"""``modhub decompose``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from modhub.cards.read import card_file
from modhub.cli import printing
from modhub.cli.data_options import class_names_option, find_labelled, holds_pictures
from modhub.cli.energy_options import metered, with_energy
from modhub.cli.hits import measured_on
from modhub.cli.image_options import ImageOptions, image_options, print_account
from modhub.cli.options import Command, card_option, delta, json_option, number, numbers_option
from modhub.cli.outputs import check_free_for_modules, force_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.data.class_files import ClassFiles, find_class_files
from modhub.data.given import Split
from modhub.data.images import ImageData, read_class_files
from modhub.data.large import streamed, streamed_files
from modhub.data.listed import find_listed_files
from modhub.data.picture_reader import PictureReader
from modhub.data.shards import are_shards
from modhub.decomposition.settings import EngineName
from modhub.engine.keras_backend import require_keras_backend
from modhub.engine.read.file_kinds import check_model_file
from modhub.engine.read.files import load_model
from modhub.engine.read.inputs import picture_contract
from modhub.engine.run.memory import free
from modhub.errors import UsageError
from modhub.ops.decompose import decompose
from modhub.spec.input_contract import TrainedColor
from modhub.spec.places import is_folder
from modhub.spec.refs import parse_new_model_name
from modhub.spec.text import is_observed, kept_share, percent

if TYPE_CHECKING:
    from modhub.package.decomposition import Decomposition


@click.command(
    "decompose",
    cls=Command,
    examples=[
        "modhub decompose net.keras --data data.npz --rescale 1/255 --as me/net --out net.modules",
        "modhub decompose r56.keras --data cifar10 --validation cifar10 --rescale 1/255 --as me/r56",
        "modhub decompose net.keras --data photos/ --classes cat,dog,fox --mean 127.5 --std 127.5 --as me/net",
        "modhub decompose net.keras --data s3://bucket/shards --engine ray --workers 8 --rescale 1/255 --as me/net",
    ],
)
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.keras")
@click.option("--data", metavar="DATA", help="Raw images with labels; see above.")
@click.option("--as", "name", metavar="NAMESPACE/MODEL", help="What the modules will be called.")
@click.option("--dry-run", is_flag=True, help="Only read MODEL, without data: what is in the way, or what it will be.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: MODEL.modules, here.")
@force_option
@click.option(
    "--classes", metavar="FILE|A,B,C", help="Names in the order of the model's outputs. Default: the data's order."
)
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True, help="Part of DATA.")
@click.option("--validation", metavar="DATA", help="Measure every module on this data (its test split) as well.")
@click.option("--rescale", default="1", show_default=True, callback=number, metavar="X", help="Such as 1/255.")
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
    help="The order of colours that MODEL was trained on; images are given as RGB either way.",
)
@click.option(
    "--keep-rescale", is_flag=True, help="Go on with --rescale, --mean and --std where others fit the network better."
)
@click.option(
    "--observe",
    type=click.Choice(["relu", "conv"]),
    default="relu",
    show_default=True,
    help="Where masks sit: on every ReLU's output, or every convolution's own.",
)
@click.option(
    "--backtrack",
    type=click.Choice(["none", "last-conv", "input"]),
    default="last-conv",
    show_default=True,
    help="How far back from the output nodes are removed.",
)
@click.option(
    "--rule",
    type=click.Choice(["text", "printed"]),
    default="text",
    show_default=True,
    help="Which reading of the paper's rule removes nodes.",
)
@click.option(
    "--delta",
    default="0.5",
    show_default=True,
    callback=delta,
    metavar="X|qNN",
    help="From which weight on an edge counts; q95 is a quantile.",
)
@click.option(
    "--samples-per-class",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Images observed of every class, at most.",
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Decides which images those are.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=256, show_default=True, metavar="N", help="Images at a time."
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Observe the images in this process, or on a Ray cluster (RAY_ADDRESS, else processes here).",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="With --engine ray: so many at a time. Default: all."
)
@card_option
@image_options
@metered
@json_option
def command(
    model: Path,
    data: str | None,
    name: str | None,
    dry_run: bool,
    out: Path | None,
    force: bool,
    classes: str | None,
    split: Split,
    validation: str | None,
    engine: EngineName,
    card: Path | None,
    pictures: ImageOptions,
    as_json: bool,
    **options: Any,
) -> None:
    """Make one module per class of a trained Keras classifier (Pan & Rajan, ICSE 2022).

    DATA is cifar10 or cifar100, an .npz file with x (images, rows, columns, channels; or arrays as MODEL takes them), y
    and classes, a folder with one folder of images a class, with all below it, a CSV file with the columns path and
    label, or the URL of an .npz or of a folder of them. Files that would fill more than half of the free memory, and
    folders of .npz, are read in batches. Pictures in folders are brought to the images that the model takes, and a line
    on stderr says how; choose the way in which it was trained. Images are raw: the modules themselves apply
    (x * rescale - mean) / std, which must be what the model was trained on. The usual scalings are compared on a few
    images; where another one is clearly right, nothing is made and the line to use said.

    \b
    The columns of the report:
    kept      share of the network's nodes that the module keeps
    CI        nodes active for the class
    TI +      added by inputs of other classes; ratio: how many of those for each of its own
    BLC, BI - removed by backtracking to the last convolution, to the input
    JI        Jaccard index with the whole network; lower is more distinct
    recall    share of the class's validation images that it wins
    prec.     share of what it wins that is of its class
    """
    require_keras_backend()
    if dry_run:
        _print_reading(model, as_json)
        return
    data, name = _given("--data", data), _given("--as", name)
    _, short = parse_new_model_name(name)
    out = out or Path(f"{short}.modules")
    check_model_file(model)
    check_free_for_modules(out, force=force)
    if card is not None:
        card_file(card)
    with ProgressLine("reading data") as progress:
        found = _found(data, split, class_names_option(classes), engine)
        held_out = None if validation is None else _found(validation, "test", found.classes, "local")
        progress.doing(f"loading {model.name}")
        load_engine()
        network = load_model(model)
        progress.doing("reading data")
        reader = pictures.reader(picture_contract(network))
        images = found.read(reader)
        measured = None if held_out is None else held_out.read(reader)
        decomposition = decompose(
            network,
            images.x,
            images.y,
            classes=images.classes,
            name=name,
            validation=None if measured is None else measured.both,
            dataset=images.name,
            validation_dataset=None if measured is None else measured.name,
            engine=engine,
            card=card,
            progress=progress.steps(f"decomposing {model.name}", "batches"),
            **options,
        )
        progress.doing(f"writing {out}")
        decomposition.save(out)
    print_account(reader)
    if as_json:
        printing.document(with_energy(_document(decomposition, out) | {"pictures": reader.to_dict()}))
    else:
        _print(decomposition, out)


def _given(option: str, value: str | None) -> str:
    if value is None:
        raise UsageError(
            f"{option} is missing.", kind="bad-option", hint="only --dry-run works without --data and --as."
        )
    return value


def _print_reading(model: Path, as_json: bool) -> None:
    """What the model would be decomposed as. Raises UnsupportedModel naming all that is in the way."""
    check_model_file(model)
    load_engine()
    from modhub.engine.read.examine import examine  # imports keras, whose start-up messages load_engine hides

    found = examine(load_model(model))
    if as_json:
        printing.document(found.to_dict())
        return
    printing.fields(list(found.fields()))
    for line in found.lowered:
        printing.line(f"  {line}")


class _Data(NamedTuple):
    """What ``decompose`` takes: arrays, or without ``y`` something that it reads in batches."""

    x: Any
    y: Any
    classes: Sequence[str] | None
    name: str

    @property
    def both(self) -> Any:
        return self.x if self.y is None else (self.x, self.y)


class _Found(NamedTuple):
    """Data that is there: its classes where they are known, and what reads it."""

    classes: Sequence[str] | None
    read: Callable[[PictureReader], _Data]


def _found(spec: str, split: Split, classes: Sequence[str] | None, engine: EngineName) -> _Found:
    """Pictures are read when the model has told what images it takes, everything else now."""
    if "://" not in spec and holds_pictures(spec) and not are_shards(spec):
        place = Path(spec)
        files = find_class_files(place, split) if is_folder(place) else find_listed_files(place, classes)
        return _Found(classes or files.classes, partial(_pictures, files, classes))
    if large := streamed(spec, split, classes, free=free(), for_workers=engine != "local"):
        data = _Data(large.data, None, large.classes, large.name)
    else:
        data = _in_memory(find_labelled(spec, split, classes)(PictureReader()))
    return _Found(data.classes, lambda reader: data)


def _pictures(files: ClassFiles, classes: Sequence[str] | None, reader: PictureReader) -> _Data:
    if large := streamed_files(files, classes, free=free(), reader=reader):
        return _Data(large.data, None, large.classes, large.name)
    return _in_memory(read_class_files(files, classes, reader))


def _in_memory(images: ImageData) -> _Data:
    return _Data(images.x, images.y, images.classes, images.name)


def _document(decomposition: Decomposition, out: Path) -> dict[str, Any]:
    report = decomposition.report()
    rows = [
        {"class": row.cls, "slug": module.slug, **_without_class(row), "metrics": [_plain(m) for m in module.metrics]}
        for row, module in zip(report.classes, decomposition.modules, strict=True)
    ]
    return {
        "name": decomposition.name,
        "folder": str(out),
        "size": _size(decomposition),
        "accuracy": [_plain(accuracy) for accuracy in decomposition.origin.accuracy],
        "jaccard": report.jaccard,
        "classes": rows,
        "sites": [{"class": row.cls, **_without_class(row)} for row in report.sites],
    }


def _plain(record: Any) -> dict[str, Any]:
    plain: dict[str, Any] = record.model_dump(mode="json")
    return plain


def _without_class(row: Any) -> dict[str, Any]:
    return {key: value for key, value in asdict(row).items() if key != "cls"}


def _size(decomposition: Decomposition) -> int:
    return sum(blob.size for blob in decomposition.package.manifest.blobs.values())


def _print(decomposition: Decomposition, out: Path) -> None:
    report = decomposition.report()
    printing.line(f"{decomposition.name}: {len(decomposition.modules)} modules, {report.distinctness}")
    for accuracy in decomposition.origin.accuracy:
        printing.line(
            f"the network answers {percent(accuracy.top_1)} of {accuracy.data} right "
            f"({accuracy.examples:,} {measured_on(accuracy.top_1, not is_observed(accuracy.data))})"
        )
    printing.line()
    measured = any(module.metrics for module in decomposition.modules)
    titles = ["kept", "CI", "TI +", "BLC -", "BI -", "JI", "ratio"]
    titles += ["recall", "prec."] if measured else ["threshold"]
    rows = []
    for row, module in zip(report.classes, decomposition.modules, strict=True):
        cells = [row.cls, percent(kept_share(row.kept, row.nodes))]
        cells += [f"{count:,}" for count in (row.concern, row.tangled, row.last_conv, row.input)]
        cells += [f"{row.jaccard:.3f}", f"1:{row.ratio:.2f}"]
        if measured:
            cells += [percent(module.metrics[-1].vote_recall), percent(module.metrics[-1].vote_precision)]
        else:
            cells += [f"{row.threshold:.3f}"]
        rows.append(cells)
    printing.table([Column("class", wraps=True), *(Column(title, right=True) for title in titles)], rows)
    printing.line()
    printing.line(f"saved {out} ({printing.bytes_text(_size(decomposition))})")
    printing.note(f"next: modhub predict {out} --images PATH tries it out; modhub publish {out} shares it")
