"""``modhub predict``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from modhub.cli import printing
from modhub.cli.compose_options import ComposeOptions, composite_of_options, shape_options
from modhub.cli.energy_options import metered, with_energy
from modhub.cli.formats import OutputFormat, format_options, print_rows
from modhub.cli.image_options import ImageOptions, image_options, print_account
from modhub.cli.options import Command, cache_option, registry_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.composition.ranking import ranked_rows
from modhub.data.pictures import has_name_of_picture
from modhub.data.unlabelled import FoundImages, find_images, read_images
from modhub.engine.keras_backend import require_keras_backend
from modhub.errors import UsageError
from modhub.spec.contract import check_images
from modhub.spec.input_contract import ArrayContract
from modhub.spec.places import is_file

if TYPE_CHECKING:
    from modhub.composition.composite import Composite

_FIGURES: Final = ("probability", "margin", "module_score")


@click.command(
    "predict",
    cls=Command,
    examples=[
        "modhub predict c10:cat c100:apple --images photo.png",
        "modhub predict c10 --images photos/ --top 3 --reject",
        "modhub predict c10 --images 'photos/**/*.heic' --images scans/ --fit letterbox",
        "find . -newer last.json -name '*.jpg' | modhub predict c10 --images -",
        "modhub predict c10 --images test.npz --format csv > answers.csv",
        "modhub predict me/wine --inputs bottles.csv",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option(
    "--images",
    "--inputs",
    "images",
    required=True,
    multiple=True,
    metavar="PATH",
    help="An image file, a folder with all below it, a pattern, an .npz with x, a .npy or .csv of numbers, or - for "
    "paths on standard input, one a line; repeatable.",
)
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, metavar="K", help="Show the K best.")
@image_options
@shape_options
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=256, show_default=True, metavar="N", help="Images at a time."
)
@registry_option
@cache_option
@metered
@format_options
def command(
    refs: tuple[str, ...],
    images: tuple[str, ...],
    top: int,
    pictures: ImageOptions,
    shape: ComposeOptions,
    batch_size: int,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    form: OutputFormat,
) -> None:
    """Classify images, or rows of numbers, with a classifier composed of REFs.

    A REF is a name, a folder that modhub decompose wrote (net.modules:cat), or a file that modhub compose --save wrote
    (pets.modhub). Without a REF it is the classifier of the project in this folder or above.

    \b
    probability   the vote's, given that the image is of one of the classes: the largest wins
    module score  what the class's module says by itself, whatever the others say: its
                  calibrated probability of its class. These need not add up to 1, and the
                  largest need not win.

    Pictures of any size, grey, transparent, of 16 bits, turned by EXIF or in CMYK are brought to what the classifier
    takes, and a line on stderr says what was done. One that cannot be read is named and skipped. A .csv has a number in
    every cell, and a header or none.
    """
    require_keras_backend()
    refs, found = _found(refs, images)
    with ProgressLine("finding modules") as progress:
        composite = composite_of_options(refs, shape, registry=registry, cache=cache)
        if top > len(composite):
            raise UsageError(
                f"--top {top} of a classifier of {len(composite)} classes.", hint=f"ask for 1 to {len(composite)}."
            )
        progress.doing(f"reading {len(found.files):,} files")
        reader = pictures.reader(composite.plan.contract)
        x, names = read_images(found, reader)
        check_images(x, composite.plan.contract)
        progress.doing(f"classifying {len(x):,} images")
        load_engine()
        prediction = composite.predict(x, batch_size=batch_size)
    print_account(reader)
    rows = ranked_rows(prediction, names, top)
    if form == "json":
        document: dict[str, Any] = {"classes": list(prediction.classes), "reject": composite.reject, "images": rows}
        document["pictures"] = reader.to_dict()
        printing.document(with_energy(document))
    elif form == "table":
        _print(rows, top, composite)
    elif form == "jsonl":
        print_rows(form, rows, ())
    else:
        print_rows(form, _flat(rows), _flat_columns(top))


def _found(refs: Sequence[str], images: Sequence[str]) -> tuple[tuple[str, ...], FoundImages]:
    """The names of modules, and the files to classify.

    What a shell makes of ``--images photos/*.jpg`` is one value of the option and many REFs behind it.
    """
    more = [ref for ref in refs if has_name_of_picture(Path(ref)) and is_file(ref)]
    sources = [source for source in (*images, *more) if source != "-"]
    lines = sys.stdin.buffer.readlines() if "-" in images and sys.stdin else []
    listed = [os.fsdecode(line.rstrip(b"\r\n")) for line in lines if line.strip()]
    return tuple(ref for ref in refs if ref not in more), find_images(sources, listed)


def _flat_columns(top: int) -> list[str]:
    """The columns of CSV: those of ``Prediction.to_csv``, and for every further rank the same with its number."""
    columns = ["image", "label", *_FIGURES, "positive"]
    return columns + [f"{name} {rank}" for rank in range(2, top + 1) for name in ("label", *_FIGURES)]


def _flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each image as one level; the label is the answer, which may be that it is none of the classes."""
    flat = []
    for row in rows:
        first, *others = row["top"]
        values = {"image": row["image"], "label": row["label"], "positive": row["positive"]}
        values |= {name: first[name] for name in _FIGURES}
        for rank, each in enumerate(others, 2):
            values |= {f"{name} {rank}": each[name] for name in ("label", *_FIGURES)}
        flat.append(values)
    return flat


def _print(rows: list[dict[str, Any]], top: int, composite: Composite) -> None:
    """The best classes of every input side by side; of one that rejects, the answer is in front of them."""
    reject, is_array = composite.reject, isinstance(composite.plan.contract, ArrayContract)
    columns = [Column("input" if is_array else "image"), *([Column("answer")] if reject else [])]
    for place in range(1, top + 1):
        columns += [Column("label" if place == 1 else f"label {place}")]
        columns += [Column("probability", right=True), Column("module score", right=True)]
    cells = []
    for row in rows:
        best = [
            text
            for each in row["top"]
            for text in (each["label"], f"{each['probability']:.3f}", f"{each['module_score']:.3f}")
        ]
        cells.append([row["image"], *([row["label"]] if reject else []), *best])
    printing.table(columns, cells)
