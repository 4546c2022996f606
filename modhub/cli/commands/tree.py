"""``modhub tree``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modhub.cli import printing
from modhub.cli.hits import remark_fields
from modhub.cli.options import Command
from modhub.cli.project_options import project_options, working
from modhub.spec.refs import slug_of

if TYPE_CHECKING:
    from modhub.project.views import Branch, Tree


@click.command("tree", cls=Command, examples=["modhub tree", "modhub tree --json"])
@project_options
def command(project: Path | None, as_json: bool, **places: Any) -> None:
    """Show the project's models, their modules under the project's labels, adapters and verifying stages, as locked."""
    with working("looking up modules", project, **places) as found:
        tree = found.tree()
    if as_json:
        printing.document(_document(tree))
        return
    unusual = [
        f"{name} {value}"
        for name, value in tree.settings.unusual().items()
        if name in ("adapt", "mode", "dtype", "vote")
    ]
    printing.line(f"{tree.name}  {', '.join([tree.input, *unusual])}")
    for number, branch in enumerate(tree.branches, 1):
        last = number == len(tree.branches)
        _print(branch, "└── " if last else "├── ", "    " if last else "│   ")
    if not tree.is_locked:
        printing.warn("modhub.toml has changed since it was locked; this is what is locked.")


def _print(branch: Branch, start: str, rest: str) -> None:
    printing.line(f"{start}{branch.release}  {branch.digest[:19]}  {printing.place(branch.registry)}")
    rows = [label if slug_of(label) == cls else f"{label}  ({cls})" for label, cls in branch.classes]
    rows += [f"{cls}  decides again between {', '.join(classes)}" for cls, classes in branch.verifying]
    if branch.adapter is not None:
        rows.insert(0, f"[{branch.adapter}]")
    rows += [f"! {remark}" for remark in branch.remarks]
    for number, row in enumerate(rows, 1):
        printing.line(f"{rest}{'└── ' if number == len(rows) else '├── '}{row}")


def _document(tree: Tree) -> dict[str, Any]:
    return {
        "name": tree.name,
        "input": tree.input,
        "locked": tree.is_locked,
        **{name: value for name, value in tree.settings.to_dict().items() if name != "size"},
        "releases": [
            {
                "release": str(branch.release),
                "digest": branch.digest,
                "registry": branch.registry,
                "input": branch.input,
                "adapter": branch.adapter,
                "classes": [{"label": label, "module": cls} for label, cls in branch.classes],
                "remarks": [remark_fields(remark) for remark in branch.remarks],
                "verifying": [{"module": cls, "classes": list(classes)} for cls, classes in branch.verifying],
            }
            for branch in tree.branches
        ],
    }
