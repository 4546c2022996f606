"""``modhub verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.findings import print_problems
from modhub.cli.hits import remark_fields
from modhub.cli.options import Command
from modhub.cli.printing import Column
from modhub.cli.project_options import project_options, working
from modhub.spec.text import percent

if TYPE_CHECKING:
    from modhub.project.verify import Replay


@click.command("verify", cls=Command, examples=["modhub verify", "modhub verify --no-accuracy"])
@click.option("--accuracy/--no-accuracy", default=True, show_default=True, help="Measure again what the lock names.")
@project_options
def command(accuracy: bool, project: Path | None, as_json: bool, **places: Any) -> None:
    """Replay the lock: is everything that it names still what it was?

    Says what registries have said against it since, which changes nothing: modhub audit judges that.

    Looks at the digest of every release in all registries, at the bytes in the cache, at the data's fingerprint, and
    measures the accuracy again. Exit code 5 when a digest differs, 4 when modhub.toml has changed since, 1 when only
    the accuracy does.
    """
    with working("looking at releases", project, **places) as found:
        replay = found.verify(measure=accuracy)
    if as_json:
        printing.document(_document(replay))
    else:
        _print(replay)
    print_problems(replay.problems)


def _document(replay: Replay) -> dict[str, Any]:
    return {
        "right": not replay.problems,
        "locked": replay.is_locked,
        "releases": [
            {
                "release": str(release.ref),
                "digest": release.digest,
                "places": [{"place": copy.place, "state": copy.state} for copy in release.copies],
            }
            for release in replay.releases
        ],
        "data": replay.data,
        "accuracy": None if replay.accuracy is None else replay.accuracy.model_dump(mode="json"),
        "differing": {name: list(values) for name, values in replay.differing.items()},
        "remarks": [remark_fields(remark) for remark in replay.remarks],
        "problems": [problem.to_dict() for problem in replay.problems],
    }


def _print(replay: Replay) -> None:
    printing.table(
        [Column("release"), Column("digest"), Column("in", wraps=True), Column("state")],
        [
            (str(release.ref), release.digest[:19], printing.place(copy.place), copy.state)
            for release in replay.releases
            for copy in release.copies
            if copy.state != "absent"
        ],
    )
    if replay.accuracy is not None:
        measured = replay.accuracy
        shares = f"{percent(measured.top_1)} right, {percent(measured.balanced)} balanced"
        same = "as locked" if not replay.differing else "which is not what is locked"
        printing.line(f"data {measured.data}: {measured.examples:,} images, {shares}, {same}")
    for remark in replay.remarks:
        printing.warn(str(remark))
    if not replay.problems:
        against = (
            f"; registries say {len(replay.remarks)} things against it, see modhub audit" if replay.remarks else ""
        )
        printing.note(f"everything is as it was locked{against}")
