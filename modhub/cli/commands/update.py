"""``modhub update``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.data_options import find_labelled, holds_pictures
from modhub.cli.energy_options import metered, with_energy
from modhub.cli.image_options import ImageOptions, image_options, print_account
from modhub.cli.options import Command, cache_option, json_option, registry_option
from modhub.cli.outputs import check_free_for_modules, force_option
from modhub.cli.printing import Column
from modhub.cli.progress import ProgressLine
from modhub.cli.quiet import load_engine
from modhub.engine.keras_backend import require_keras_backend
from modhub.errors import UsageError
from modhub.ops.compose import compose
from modhub.spec.refs import parse_new_model_name
from modhub.spec.text import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modhub.updating.result import Measured, Update

_SPLIT = click.Choice(["train", "test"])
_STRATEGY = click.Choice(["auto", "tangle", "remove", "calibrate", "offset"])


@click.command(
    "update",
    cls=Command,
    examples=[
        "modhub update c10 --against c100:apple --against c100:rose --data mixed.npz",
        "modhub update me/net:cat --against c100:apple --data few/ --as me/net-fruit --out cat.modules",
    ],
)
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.option(
    "--against",
    "against",
    multiple=True,
    required=True,
    metavar="REF",
    help="A model or module whose classes are new; repeat it for several.",
)
@click.option("--data", required=True, metavar="DATA", help="Raw images with labels; see above.")
@click.option("--split", type=_SPLIT, default="train", show_default=True, help="Part of DATA.")
@click.option("--report", metavar="DATA", help="Other images (their test split) to report on.  [default: part of DATA]")
@click.option("--strategy", type=_STRATEGY, default="auto", show_default=True, help="What to try; auto: all.")
@click.option("--keep-origin", is_flag=True, help="With tangle: keep the nodes of the origin's own tangling too.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Decides the parts."
)
@click.option(
    "--as", "name", metavar="NAMESPACE/MODEL", help="What the updated modules will be called.  [default: as before]"
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write the updated modules there.")
@force_option
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=256, show_default=True, metavar="N", help="Images at a time."
)
@image_options
@registry_option
@cache_option
@metered
@json_option
def command(
    refs: tuple[str, ...],
    against: tuple[str, ...],
    data: str,
    split: Any,
    report: str | None,
    name: str | None,
    out: Path | None,
    force: bool,
    pictures: ImageOptions,
    as_json: bool,
    **options: Any,
) -> None:
    """Adapt modules to classes that their origin never saw, by a few labelled images; the better is kept.

    REF is a whole model or one class. DATA is an .npz file with x (images, rows, columns, channels), y and classes, a
    folder with one folder of images of any size a class, or a CSV file with the columns path and label; it has 4 images
    or more of every class of REF and of the modules against which it is updated. Some of them fit and choose, the
    others report. Models that are new to each other are updated together when both are named as REF, and both again
    with --against; --out then gets a folder for each.

    \b
    tangle     marks nodes again, with the new classes in the place of the origin's others
    remove     takes away nodes that new classes activate and the module's own does not
    calibrate  fits the modules' heads to the images, as near to the present ones as these allow
    offset     fits them to what the vote misses; from a hundred images a class on
    """
    require_keras_backend()
    if name is not None:
        parse_new_model_name(name)
    if out is not None:
        check_free_for_modules(out, force=force)
    with ProgressLine("reading data") as progress:
        found = find_labelled(data, split)
        reporting = None if report is None else find_labelled(report, "test")
        reader = pictures.reader(None)
        if any(map(holds_pictures, (data, report))):
            reader = pictures.reader(compose(refs, registry=options["registry"], cache=options["cache"]).plan.contract)
        images = found(reader)
        other = None if reporting is None else reporting(reader)
        progress.doing(f"updating {refs[0]}{' ...' if len(refs) > 1 else ''}")
        load_engine()
        # Imports keras, after load_engine has silenced it and after what can be refused without.
        from modhub.ops.update import update

        made = update(list(refs), against=list(against), data=images, report=other, **options)
        written = [] if out is None or not made.changed else _save(made, name, out)
    print_account(reader)
    if as_json:
        document = {"out": [str(folder) for folder in written], "pictures": reader.to_dict()}
        printing.document(with_energy(made.to_dict() | document))
    else:
        _print(made, out, written)


def _save(update: Update, name: str | None, out: Path) -> list[Path]:
    """Write the modules of one origin to ``out``, those of several to a folder of each in it."""
    origins = list(dict.fromkeys(module.origin.name for module in update.modules))
    if len(origins) == 1:
        return [update.decomposition(name).save(out)]
    if name is not None:
        raise UsageError(
            f"--as {name} names one model, but modules of {len(origins)} were updated: {', '.join(origins)}.",
            kind="several-origins",
            hint="leave --as out.",
        )
    return [update.decomposition(origin=origin).save(out / origin.replace("/", "-")) for origin in origins]


def _print(update: Update, out: Path | None, written: Sequence[Path]) -> None:
    printing.line(f"{'updated by' if update.changed else 'kept the'} {update.way}")
    printing.line(update.reason)
    printing.line()
    columns = [Column("", wraps=True), *(Column(title, right=True) for title in ("before", "after", "change"))]
    rows = [
        _row("top-1", update.before.top_1, update.after.top_1),
        _row("balanced", update.before.balanced, update.after.balanced),
        ("95 % interval", _interval(update.before), _interval(update.after), ""),
        *(_row(cls, recall, update.after.recalls[cls]) for cls, recall in update.before.recalls.items()),
    ]
    printing.table(columns, rows)
    printing.line()
    printing.line(f"{update.after.examples:,} images report; {update.examples:,} others fitted and chose, in turns")
    if update.tried:
        printing.line()
        printing.table(
            [Column("tried", wraps=True), Column("right answers, points", right=True), Column("log-loss", right=True)],
            [
                (
                    str(each.way),
                    f"{100 * each.comparison.right:+.2f} +- {100 * each.comparison.right_error:.2f}",
                    f"{-each.comparison.loss:+.4f} +- {each.comparison.loss_error:.4f}",
                )
                for each in update.tried
            ],
        )
    for folder in written:
        printing.line(f"saved {folder}")
        printing.note(f"next: modhub publish {folder}")
    if out is not None and not written:
        printing.note(f"{out} was not written, because the original modules were kept.")


def _row(name: str, before: float, after: float) -> tuple[str, str, str, str]:
    return name, percent(before), percent(after), f"{100 * (after - before):+.2f}"


def _interval(measured: Measured) -> str:
    low, high = measured.interval
    return f"{percent(low)} to {percent(high)}"
