"""``modhub compact``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.compactness import unthinned_lines
from modhub.cli.data_options import class_names_option, find_labelled
from modhub.cli.energy_options import metered, with_energy
from modhub.cli.image_options import ImageOptions, image_options, print_account
from modhub.cli.options import Command, json_option, number, numbers_option, registry_option
from modhub.cli.outputs import check_free_for_modules, force_option
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.compaction.selections import selection_named
from modhub.data.given import Split
from modhub.engine.keras_backend import require_keras_backend
from modhub.ops.checkpoints import forget, has_checkpoints
from modhub.ops.compact import SELECTS, compact
from modhub.ops.evaluate import Composing, EvaluateOptions, images_of, opened_of
from modhub.spec.refs import parse_new_model_name

if TYPE_CHECKING:
    from modhub.package.decomposition import Decomposition


def _share(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    return None if value is None else number(ctx, parameter, value)


class _Selection(click.Choice[str]):
    """One of modhub's own selections, which complete, or one that a package brings."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        selection_named(value)
        return value


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
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: MODEL.modules, here.")
@click.option("--flops", callback=_share, metavar="X", help="Share of the multiply-adds that may stay. Default: 0.5.")
@click.option("--parameters", callback=_share, metavar="X", help="Share of the parameters that may stay, instead.")
@click.option("--points", callback=_share, metavar="X", help="The smallest that loses at most so many points.")
@click.option("--size", callback=_share, metavar="BYTES", help="The largest whose stored weights take at most so many.")
@click.option(
    "--milliseconds", callback=_share, metavar="X", help="The largest that takes so long for 256 images here."
)
@click.option("--jaccard", callback=_share, metavar="X", help="Share of the nodes at ReLUs that may stay, as well.")
@click.option(
    "--select",
    type=_Selection(SELECTS),
    metavar="NAME",
    default="blocks+channels",
    show_default=True,
    help="What goes: blocks (whole residual branches), channels, blocks+channels, never; or PACKAGE/NAME.",
)
@click.option(
    "--polish", is_flag=True, help="Train afterwards, towards the whole network's answers; of several with labels too."
)
@click.option(
    "--polish-steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of 128 images each. Default: 1600; of several networks 250 to 800, by the number of images.",
)
@click.option("--minutes", callback=_share, metavar="X", help="Bound the polish: it ends when X have passed.")
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where an interrupted polish goes on from. Default: OUT.polish, deleted when OUT is written.",
)
@click.option("--use-labels", is_flag=True, help="Of several networks: correct the vote by the labels, if that helps.")
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True, help="Part of DATA.")
@click.option("--classes", metavar="FILE|A,B,C", help="Of a model's file: names in the order of its outputs.")
@click.option("--rescale", default="1", callback=number, metavar="X", help="Of a model's file: such as 1/255.")
@click.option("--mean", callback=numbers_option, metavar="X[,X...]", help="Of a model's file.")
@click.option("--std", callback=numbers_option, metavar="X[,X...]", help="Of a model's file.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Decides which images are used.")
@image_options
@force_option
@registry_option
@metered
@json_option
def command(
    parts: tuple[str, ...],
    data: str,
    name: str,
    out: Path | None,
    classes: str | None,
    split: Split,
    select: str,
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
    cost                        percentage points fewer of those images answered right
    """
    require_keras_backend()
    out = out or Path(f"{parse_new_model_name(name)[1]}.modules")
    check_free_for_modules(out, force=force)
    kept = checkpoints or out.with_name(f"{out.name}.polish")
    with _said_where_it_goes_on(kept), ProgressLine("reading data") as progress:
        found = find_labelled(data, split)
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
            classes=class_names_option(classes),
            select=select,
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
        ("cost", f"{found.points:+.2f} points on {found.points_images:,} images that were set aside"),
        *([("stays", "\n".join(lines))] if (lines := unthinned_lines(found)) else []),
    ]
