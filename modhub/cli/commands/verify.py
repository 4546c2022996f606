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
from modhub.cli.signing_lines import print_signatures
from modhub.cli.signing_options import model_certificate_option, model_key_option
from modhub.ops.verify_signature import unsigned, verified_signatures
from modhub.spec.text import in_short, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modhub.errors import ModhubError
    from modhub.ops.verify_signature import VerifiedSignatures
    from modhub.project.verify import Replay


@click.command("verify", cls=Command, examples=["modhub verify", "modhub verify --no-accuracy"])
@click.option("--accuracy/--no-accuracy", default=True, show_default=True, help="Measure again what the lock names.")
@model_key_option
@model_certificate_option
@project_options
def command(
    accuracy: bool,
    model_key: Path | None,
    model_certificate: tuple[Path, ...],
    project: Path | None,
    as_json: bool,
    **places: Any,
) -> None:
    """Replay the lock: is everything that it names still what it was?

    Says what registries have said against it since, which changes nothing: modhub audit judges that.

    Looks at the digest of every release in all registries, at the bytes in the cache, at the data's fingerprint, and
    measures the accuracy again; with a model key or certificates, also at the OpenSSF model signatures of all releases.
    Exit code 5 when a digest or a signature is not right, 4 when modhub.toml has changed since, 1 when only the
    accuracy differs.
    """
    with working("looking at releases", project, **places) as found:
        replay = found.verify(measure=accuracy)
        asked = model_key is not None or len(model_certificate) > 0
        signed = [
            verified_signatures(
                f"{manifest.content.name}@{manifest.content.version}",
                key=model_key,
                certificates=model_certificate,
                registry=registry,
                cache=places["cache"],
            )
            for manifest, _, registry in (found.releases() if asked else ())
        ]
    problems = [*replay.problems, *(unsigned(each) for each in signed if not each.is_good)]
    if as_json:
        printing.document(_document(replay, problems, signed))
    else:
        _print(replay, signed, right=not problems)
    print_problems(problems)


def _document(replay: Replay, problems: Sequence[ModhubError], signed: Sequence[VerifiedSignatures]) -> dict[str, Any]:
    return {
        "right": not problems,
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
        "recalls": dict(replay.recalls),
        "compact": replay.compact,
        "differing": {name: list(values) for name, values in replay.differing.items()},
        "remarks": [remark_fields(remark) for remark in replay.remarks],
        "signed": [each.to_dict() for each in signed],
        "problems": [problem.to_dict() for problem in problems],
    }


def _print(replay: Replay, signed: Sequence[VerifiedSignatures], *, right: bool) -> None:
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
        printing.line(f"recall: {in_short(f'{label} {percent(recall)}' for label, recall in replay.recalls)}")
    if replay.compact is not None:
        printing.line(f"compact network: {'as locked' if replay.compact == 'right' else 'not what is locked'}")
    for each in signed:
        print_signatures(each)
    for remark in replay.remarks:
        printing.warn(str(remark))
    if right:
        against = (
            f"; registries say {len(replay.remarks)} things against it, see modhub audit" if replay.remarks else ""
        )
        printing.note(f"everything is as it was locked{against}")
