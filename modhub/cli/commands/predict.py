"""``modhub predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.compose_options import ComposeOptions, composite_of_options, shape_options
from modhub.cli.energy_options import metered, with_energy
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.data.images import load_images
from modhub.errors import UsageError

if TYPE_CHECKING:
    from modhub.composition.votes import Prediction


@click.command(
    "predict",
    cls=Command,
    examples=[
        "modhub predict c10:cat c100:apple --images photo.png",
        "modhub predict c10 --images photos/ --top 3 --reject",
        "modhub predict c10 --remove cat --images test.npz --json > answers.json",
    ],
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option(
    "--images", required=True, metavar="PATH", help="An image file, a folder of images, or an .npz with x; raw images."
)
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, metavar="K", help="Show the K best.")
@shape_options
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=256, show_default=True, metavar="N", help="Images at a time."
)
@registry_option
@cache_option
@metered
@json_option
def command(
    refs: tuple[str, ...],
    images: str,
    top: int,
    shape: ComposeOptions,
    batch_size: int,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Classify images with a classifier composed of REFs.

    Without a REF it is the classifier of the project in this folder or above. The largest margin wins. A score is a
    module's own calibrated probability that the image is of its class, whatever the others say, so the scores of one
    image need not add up to 1.
    """
    with ProgressLine("reading images") as progress:
        x, names = load_images(images)
        progress.doing("finding modules")
        composite = composite_of_options(refs, shape, registry=registry, cache=cache)
        if top > len(composite):
            raise UsageError(
                f"--top {top} of a classifier of {len(composite)} classes.", hint=f"ask for 1 to {len(composite)}."
            )
        progress.doing(f"classifying {len(x):,} images")
        load_engine()
        prediction = composite.predict(x, batch_size=batch_size)
    rows = _rows(prediction, names, top)
    if as_json:
        document = {"classes": list(prediction.classes), "reject": composite.reject, "images": rows}
        printing.document(with_energy(document))
    else:
        _print(rows, top, composite.reject)


def _rows(prediction: Prediction, names: tuple[str, ...], top: int) -> list[dict[str, Any]]:
    """One dictionary an image: the answer, whether any module is positive, and the best classes."""
    scores, margins, positive = prediction.scores, prediction.margins, prediction.positive
    column = {label: number for number, label in enumerate(prediction.classes)}
    return [
        {
            "image": name,
            "label": label,
            "positive": bool(positive[row].any()),
            "top": [
                {
                    "label": best,
                    "score": round(float(scores[row, column[best]]), 6),
                    "margin": round(float(margins[row, column[best]]), 6),
                }
                for best in ranked
            ],
        }
        for row, (name, label, ranked) in enumerate(zip(names, prediction.labels, prediction.top(top), strict=True))
    ]


def _print(rows: list[dict[str, Any]], top: int, reject: bool) -> None:
    """The best classes of every image side by side; with ``reject`` the answer is in front of them."""
    columns = [Column("image"), *([Column("answer")] if reject else [])]
    for place in range(1, top + 1):
        columns += [Column("label" if place == 1 else f"label {place}"), Column("score", right=True)]
    cells = []
    for row in rows:
        best = [text for each in row["top"] for text in (each["label"], f"{each['score']:.3f}")]
        cells.append([row["image"], *([row["label"]] if reject else []), *best])
    printing.table(columns, cells)
