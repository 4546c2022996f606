"""What ``modhub info`` shows of a classifier's file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modhub.cli import printing
from modhub.cli.printing import Column

if TYPE_CHECKING:
    from modhub.installation.classifier_file import KeptModule
    from modhub.ops.info import KeptDetails


def kept_document(details: KeptDetails) -> dict[str, Any]:
    """The file as plain values."""
    kept = details.kept
    return {
        "file": str(details.file),
        "format": kept.format,
        "size": details.size,
        "bundle": kept.bundle,
        "settings": kept.settings.settings.to_dict(),
        "classes": [
            {"label": kept.classes[column].label, **_module(details, kept.classes[column])}
            for column in details.columns
        ],
        "verifiers": [
            {
                "classes": [kept.classes[column].label for column in stage.columns],
                "modules": [_module(details, module) for module in stage.modules],
            }
            for stage in kept.stages
        ],
    }


def print_kept(details: KeptDetails) -> None:
    """The file for people: what it is, its classes with their modules, its stages."""
    kept = details.kept
    classes, releases = len(kept.classes), len(kept.releases)
    printing.line(f"{details.file} (a classifier)")
    bundle = "all bytes are in the file" if kept.bundle else "none: releases are installed by their digests"
    rows = [
        ("classes", f"{len(details.columns)} of {classes}, from {releases} release{'s' * (releases > 1)}"),
        ("bundle", bundle),
        ("size", printing.bytes_text(details.size)),
    ]
    unusual = kept.settings.settings.unusual()
    rows += [("settings", ", ".join(f"{name} {value}" for name, value in unusual.items()))] if unusual else []
    printing.fields(rows)
    printing.line()
    shown = [(kept.classes[column].label, _module(details, kept.classes[column])) for column in details.columns]
    printing.table(
        [Column("label", wraps=True), Column("module"), Column("from")],
        [(label, each["module"], _from(each["registry"])) for label, each in shown],
    )
    for labels, modules in kept.recipe.named_stages():
        names = ", ".join(_module(details, module)["module"] for module in modules)
        printing.line(f"between {' | '.join(labels)} decide again: {names}")


def _from(registry: str | None) -> str:
    return "this file alone" if registry is None else printing.place(registry)


def _module(details: KeptDetails, module: KeptModule) -> dict[str, Any]:
    release = details.kept.release_of(module)
    return {
        "module": release.ref(module.slug),
        "class": module.name,
        "release": release.digest,
        "registry": release.registry,
    }
