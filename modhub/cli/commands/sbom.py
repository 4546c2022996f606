"""``modhub sbom``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from modhub.cli import printing
from modhub.cli.options import Command
from modhub.cli.outputs import check_free, force_option
from modhub.cli.project_options import project_options, working
from modhub.errors import StorageError
from modhub.ops.licenses import used_by_names, used_by_project
from modhub.storage import files


@click.command(
    "sbom", cls=Command, examples=["modhub sbom --out sbom.cdx.json", "modhub sbom cifar10/r56:cat cifar100/r20:apple"]
)
@click.argument("refs", nargs=-1, metavar="[REF...]")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there.  [default: stdout]")
@force_option
@click.option("--name", metavar="TEXT", help="What the classifier is called.  [default: the project's name]")
@project_options
def command(
    refs: tuple[str, ...],
    out: Path | None,
    force: bool,
    name: str | None,
    project: Path | None,
    as_json: bool,
    **places: Any,
) -> None:
    """Write what releases, or all that the project locks, are made of: a CycloneDX 1.6 document with a model card each.

    Licences, training data, digests and figures are those of the manifests and their cards. The document is validated
    against the schema of CycloneDX. With SOURCE_DATE_EPOCH, equal releases give equal bytes.
    """
    from modhub.licensing.sbom import SbomPart, cyclonedx_document  # in the extra ``sbom``

    check_free(out, force=force)
    if refs:
        used, own = used_by_names(refs, registry=places["registry"], cache=places["cache"]), "classifier"
    else:
        with working("looking up releases", project, **places) as found:
            used, own = used_by_project(found), found.file.project.name
    document = cyclonedx_document(name or own, [SbomPart(each.manifest, each.classes, each.registry) for each in used])
    text = printing.json_text(document, indent=2)
    if out is None:
        printing.echo(text)
        return
    try:
        files.overwrite(files.absolute(out), f"{text}\n".encode(), durable=False)
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror or error}.", hint="choose another place.", path=str(out)
        ) from error
    if as_json:
        printing.document({"file": str(out), "components": len(document["components"])})
    else:
        printing.line(f"wrote {out}: {len(used)} releases, {len(document['components'])} components")
