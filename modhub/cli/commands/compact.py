"""``modhub compact``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.compact_options import compact_options
from modhub.cli.data_options import class_names_option, find_labelled
from modhub.cli.energy_options import metered, with_energy
from modhub.cli.image_options import ImageOptions, image_options, print_account
from modhub.cli.options import Command, json_option, number, numbers_option, registry_option
from modhub.cli.outputs import check_free_for_modules, force_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.data.given import Split
from modhub.engine.keras_backend import require_keras_backend
from modhub.ops.compact import compact
from modhub.ops.evaluate import Composing, EvaluateOptions, images_of, opened_of
from modhub.project.checkpoints import forget, has_checkpoints
from modhub.spec.compact_text import cost_lines, unthinned_lines
from modhub.spec.refs import parse_new_model_name

if TYPE_CHECKING:
    from modhub.package.decomposition import Decomposition


@click.command(
    "compact",
    cls=Command,
    examples=[
        "modhub compact cifar10/r20 --data cifar10 --as me/r20-half",
        "modhub compact cifar10/r20:cat cifar10/r20:dog cifar10/r20:ship --data photos/ --flops 0.3 --as me/three",
        "modhub compact c10:cat c100:apple --data examples/ --as me/both",
        "modhub compact net.keras --data data.npz --rescale 1/255 --select channels --polish --as me/net-half",
    ],
)
@click.argument("parts", nargs=-1, required=True, metavar="REF...|MODEL.keras")
@click.option("--data", required=True, metavar="DATA", help="Raw images with labels of the classes; see above.")
@click.option("--as", "name", required=True, metavar="NAMESPACE/MODEL", help="What the modules will be called.")
@click.option("--validation", metavar="DATA", help="Measure on this data (its test split); nothing is made with it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: MODEL.modules, here.")
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where an interrupted polish goes on from. Default: OUT.polish, deleted when OUT is written.",
)
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True, help="Part of DATA.")
@click.option("--classes", metavar="FILE|A,B,C", help="Of a model's file: names in the order of its outputs.")
@click.option("--rescale", default="1", callback=number, metavar="X", help="Of a model's file: such as 1/255.")
@click.option("--mean", callback=numbers_option, metavar="X[,X...]", help="Of a model's file.")
@click.option("--std", callback=numbers_option, metavar="X[,X...]", help="Of a model's file.")
@compact_options
@image_options
@force_option
@registry_option
@metered
@json_option
def command(
    parts: tuple[str, ...],
    data: str,
    validation: str | None,
    name: str,
    out: Path | None,
    classes: str | None,
    split: Split,
    pictures: ImageOptions,
    registry: Any,
    checkpoints: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make one smaller network for some classes, and modules of it, without training.

    REF are names of modules, folders of modules or projects, as for modhub evaluate; of several networks becomes one,
    if they take the same images. DATA is as for modhub decompose; a thousand images or more, and what is not of the
    classes is left out. Blocks and channels go until the budget is met, and the weights that stay are fitted in closed
    form to what the whole network gives: no label is used, and the same input gives the same bytes. Thresholds are
    fitted as modhub decompose does.

    \b
    What is printed:
    multiply-adds, parameters   what is left of them, of all networks together
    nodes                       what is left at the ReLUs: the Jaccard index with the whole
    explained                   R2 of the logits on images that were set aside
    accuracy                    how many percentage points fewer images are answered right than by the whole
    """
    require_keras_backend()
    out = out or Path(f"{parse_new_model_name(name)[1]}.modules")
    check_free_for_modules(out, force=force)
    kept = checkpoints or out.with_name(f"{out.name}.polish")
    with _said_where_it_goes_on(kept), ProgressLine("reading data") as progress:
        found = find_labelled(data, split)
        others = None if validation is None else find_labelled(validation, "test")
        progress.doing("finding modules")
        load_engine()
        given = parts[0] if len(parts) == 1 else list(parts)
        _, opened = opened_of(given, EvaluateOptions(composing=Composing(registry)))
        progress.doing("reading data")
        reader = pictures.reader(images_of(opened))
        decomposition = compact(
            opened,
            found(reader),
            name=name,
            validation=None if others is None else others(reader),
            classes=class_names_option(classes),
            checkpoints=kept,
            progress=lambda what, done, total: progress.at(what, done, total) if total else progress.doing(what),
            **options,
        )
        progress.doing(f"writing {out}")
        decomposition.save(out)
        if checkpoints is None:
            forget(kept)
    print_account(reader)
    if as_json:
        printing.document(with_energy(_document(decomposition, out) | {"pictures": reader.to_dict()}))
        return
    printing.fields(_fields(decomposition))
    printing.line(f"Wrote {out}.")


@contextmanager
def _said_where_it_goes_on(folder: Path) -> Iterator[None]:
    """When Ctrl-C ends a polish, from where the same command goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if has_checkpoints(folder):
            printing.note(f"The polish goes on from {folder} when the same command runs again.")
        raise


def _document(decomposition: Decomposition, out: Path) -> dict[str, Any]:
    assert decomposition.compacted is not None
    return {
        "name": decomposition.name,
        "folder": str(out),
        "classes": list(decomposition.origin.classes),
        "compacted": decomposition.compacted.model_dump(mode="json"),
    }


def _fields(decomposition: Decomposition) -> list[tuple[str, str]]:
    found = decomposition.compacted
    assert found is not None
    return [
        ("network", decomposition.name),
        ("made of", ", ".join(each.name for each in found.of)),
        ("classes", f"{len(decomposition.modules)}"),
        ("multiply-adds", f"{found.flops:.1%}"),
        ("parameters", f"{found.parameters:.1%}"),
        ("nodes", f"{found.nodes:.1%} of {found.origin_nodes:,}"),
        ("explained", f"{found.explained:.3f}"),
        ("accuracy", "\n".join(cost_lines(found))),
        *([("stays", "\n".join(lines))] if (lines := unthinned_lines(found)) else []),
    ]
