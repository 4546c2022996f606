"""Releases as search and list show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modhub.cli import printing
from modhub.cli.printing import Column
from modhub.spec.text import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modhub.advisories.matching import Remark
    from modhub.ops.search import Hit


#: The fields of ``hit_fields``.
HIT_COLUMNS: Final = (
    "ref",
    "class",
    "version",
    "registry",
    "dataset",
    "input_shape",
    "kind",
    "top_1",
    "top_1_data",
    "top_1_held_out",
    "classes",
    "size",
    "digest",
    "license",
    "keywords",
    "description",
    "signers",
    "compact_of",
    "flops",
)


def hit_fields(hit: Hit) -> dict[str, Any]:
    """A hit for ``--json``; ``classes`` are all of the release's, ``class`` the one that was found, if it was one."""
    release = hit.release
    return {
        "ref": hit.ref,
        "class": hit.cls,
        "version": release.version,
        "registry": hit.registry,
        "dataset": release.dataset,
        "input_shape": list(release.array_shape or release.input_shape),
        "kind": "image" if release.array_shape is None else "array",
        "top_1": release.top_1,
        "top_1_data": release.top_1_data,
        "top_1_held_out": release.is_held_out,
        "classes": list(release.classes),
        "size": release.size,
        "digest": release.digest,
        "license": release.license,
        "keywords": list(release.keywords),
        "description": release.description,
        "signers": list(release.signers),
        "compact_of": [] if release.compacted is None else list(release.compacted.of),
        "flops": None if release.compacted is None else release.compacted.flops,
    }


def remark_fields(remark: Remark) -> dict[str, Any]:
    """What a registry says against something, for ``--json``."""
    return {
        "kind": remark.kind,
        "id": remark.id,
        "subject": remark.subject,
        "reason": remark.reason,
        "severity": None if remark.advisory is None else remark.advisory.severity,
        "use": remark.use,
        "registry": remark.registry,
    }


def measured_on(share: float | None, is_held_out: bool | None) -> str:
    """In words, which images an accuracy was measured on: a network is better on those that it may have learned."""
    if share is None:
        return "-"
    if is_held_out is None:
        return "not recorded"
    return "held-out images" if is_held_out else "images it was made with"


def print_hits(hits: Sequence[Hit]) -> None:
    """The table of hits; with their licences where one states any, and what was made smaller out of what."""
    licensed = any(hit.release.license for hit in hits)
    compact = any(hit.release.compacted for hit in hits)
    printing.table(
        [
            Column("name"),
            Column("version"),
            Column("classes", right=True),
            Column("input"),
            Column("top-1", right=True),
            Column("measured on", wraps=True),
            *([Column("licence", wraps=True)] if licensed else []),
            *([Column("compact", wraps=True)] if compact else []),
            Column("data set", wraps=True),
            Column("from", wraps=True),
        ],
        [
            (
                hit.ref,
                hit.release.version,
                str(len(hit.release.classes)) if hit.cls is None else "1",
                "x".join(map(str, hit.release.array_shape or hit.release.input_shape)),
                percent(hit.release.top_1),
                measured_on(hit.release.top_1, hit.release.is_held_out),
                *([hit.release.license or "-"] if licensed else []),
                *([_compact_text(hit)] if compact else []),
                hit.release.dataset,
                printing.place(hit.registry),
            )
            for hit in hits
        ],
    )


def _compact_text(hit: Hit) -> str:
    found = hit.release.compacted
    return "-" if found is None else f"{percent(found.flops)} of {', '.join(found.of)}"
