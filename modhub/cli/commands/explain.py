"""``modhub explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modhub.cli import printing
from modhub.cli.compose_options import ComposeOptions, composite_of_options, shape_options
from modhub.cli.image_options import ImageOptions, one_image_options, print_account
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.outputs import check_free, force_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.data.unlabelled import find_images, read_images
from modhub.engine.keras_backend import require_keras_backend
from modhub.ops.explain import explained_by, one_image
from modhub.plots.explanation import check_out, save_explanation

if TYPE_CHECKING:
    from modhub.composition.explanation import Explanation


@click.command(
    "explain",
    cls=Command,
    examples=[
        "modhub explain photo.png c10:cat c100:apple",
        "modhub explain test.npz c10 --index 7 --out why.png",
    ],
)
@click.argument("image", metavar="IMAGE")
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option("--index", type=click.IntRange(min=0), metavar="N", help="Of several images in IMAGE, the N-th from 0.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw it; pip install 'modhub[plot]'.")
@force_option
@one_image_options
@shape_options
@registry_option
@cache_option
@json_option
def command(
    image: str,
    refs: tuple[str, ...],
    index: int | None,
    out: Path | None,
    force: bool,
    pictures: ImageOptions,
    shape: ComposeOptions,
    registry: tuple[str, ...] | None,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Show what each module of a classifier says about one image, and how the vote went.

    IMAGE is an image file of any size, or an .npz with x. A REF is a name, a folder that modhub decompose wrote
    (net.modules:cat), or a file that modhub compose --save wrote (pets.modhub). Without a REF the classifier is that of
    the project in this folder or above. The picture shows the image, the margins, the layers in which modules fire
    otherwise than their whole network (or that none does), and where in the image each of the first modules sees its
    class: exact where the network ends in averages of its last map, else gradient times activation.

    \b
    probability    the vote's, given that the image is of one of the classes: the largest wins
    module margin  what the class's module says by itself; the module is positive above its
                   threshold
    module score   its margin as its own calibrated probability, whatever the others say
    """
    require_keras_backend()
    if out is not None:
        check_out(out)
        check_free(out, force=force)
    found = find_images([image])
    with ProgressLine("finding modules") as progress:
        composite = composite_of_options(refs, shape, registry=registry, cache=cache)
        reader = pictures.reader(composite.plan.contract)
        pixels = one_image(read_images(found, reader)[0], composite.plan.contract, index, what=image)
        progress.doing("asking the modules")
        load_engine()
        explanation = explained_by(composite, pixels)
        if out is not None:
            progress.doing("drawing")
            save_explanation(explanation, pixels, composite.plan.contract, out)
    print_account(reader)
    if as_json:
        printing.document({"out": None if out is None else str(out), **explanation.to_dict()})
        return
    _print(explanation)
    if out is not None:
        printing.line(f"saved {out}")


def _print(explanation: Explanation) -> None:
    printing.table(
        [
            Column("label", wraps=True),
            Column("module"),
            *(Column(title, right=True) for title in ("probability", "module margin", "threshold", "module score")),
            Column("positive"),
        ],
        [
            (
                said.label,
                said.ref,
                f"{said.probability:.3f}",
                f"{said.module_margin:.2f}",
                f"{said.threshold:.2f}",
                f"{said.module_score:.3f}",
                "yes" if said.positive else "",
            )
            for said in explanation.ranked()
        ],
    )
    for stage in explanation.stages:
        printing.line(str(stage))
    for remark in explanation.remarks():
        printing.line(remark)
    printing.line(str(explanation.verdict))
