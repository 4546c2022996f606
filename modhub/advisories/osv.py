"""Findings as OSV records, of schema 1.4: one for each advisory.

Newer schemas allow only ids and ecosystems that are registered with OSV; modhub's are not, and all else is the same in
them. What is no advisory (a yank, a licence) has no record of its own in OSV: SARIF and JSON have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Final

from modhub.advisories.findings import AuditReport
from modhub.advisories.matching import Remark
from modhub.spec.advisories import Advisory, Affected, AffectedRange
from modhub.spec.layout import blob_path
from modhub.spec.url import is_url

OSV_VERSION: Final = "1.4.0"
ECOSYSTEM: Final = "modhub"


def osv_document(report: AuditReport) -> dict[str, Any]:
    """``vulns``: the records of all advisories that were found, each once, in the order in which they were."""
    remarks = {
        found.id: found.remark
        for found in (*report.findings, *report.ignored)
        if found.remark is not None and found.remark.advisory is not None
    }
    return {"vulns": [osv_record(remark) for remark in remarks.values()]}


def osv_record(remark: Remark) -> dict[str, Any]:
    """One advisory as OSV has it. Raises ValueError for what is no advisory."""
    advisory = remark.advisory
    if advisory is None:
        raise ValueError(f"{remark.id} is no advisory")
    namespace = remark.subject.partition("/")[0]
    record: dict[str, Any] = {
        "schema_version": OSV_VERSION,
        "id": advisory.id,
        "modified": advisory.modified,
        "published": advisory.published,
        "summary": advisory.summary,
        "affected": [each for one in advisory.affected for each in _packages(namespace, one)],
        "references": list(_references(advisory, remark.registry)),
        "database_specific": {"severity": advisory.severity.upper(), "registry": remark.registry},
    }
    if advisory.withdrawn is not None:
        record["withdrawn"] = advisory.withdrawn
    if advisory.instead is not None:
        record["database_specific"]["instead"] = advisory.instead
    return record


def _packages(namespace: str, affected: Affected) -> Iterable[dict[str, Any]]:
    """One package a class: ``namespace/model:class``; the model where every class is affected."""
    name = f"{namespace}/{affected.model}"
    for package in [f"{name}:{slug}" for slug in affected.classes] or [name]:
        yield {
            "package": {"ecosystem": ECOSYSTEM, "name": package},
            "ranges": [{"type": "SEMVER", "events": _events(span)} for span in affected.ranges],
        }


def _events(span: AffectedRange) -> list[dict[str, str]]:
    ends = {"fixed": span.fixed, "last_affected": span.last_affected, "limit": span.limit}
    return [{"introduced": span.introduced}, *({name: end} for name, end in ends.items() if end is not None)]


def _references(advisory: Advisory, registry: str) -> Iterable[dict[str, str]]:
    yield from ({"type": each.type, "url": each.url} for each in advisory.references)
    base = registry if is_url(registry) else PurePath(registry).as_uri() if PurePath(registry).is_absolute() else None
    if base is not None:
        yield from ({"type": "EVIDENCE", "url": f"{base}/{blob_path(each.sha256)}"} for each in advisory.evidence)
