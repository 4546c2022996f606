"""Findings as SARIF 2.1.0 (OASIS), which code-scanning services read."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any, Final

from modhub.advisories.findings import LEVELS, RULES, AuditFinding, AuditReport
from modhub.spec.digests import canonical_json, sha256

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
#: SARIF's levels, and GitHub's scale of 0 to 10 by which it groups findings.
_LEVEL: Final = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
_SCORE: Final = {"low": "3.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}


def sarif_document(report: AuditReport, *, version: str, base: Path) -> dict[str, Any]:
    """One run of ``modhub audit`` of this ``version``; files are named from ``base``. What is ignored is suppressed."""
    found = [*report.findings, *report.ignored]
    rules = sorted({_rule_id(each) for each in found})
    first = {_rule_id(each): each for each in reversed(found)}
    driver = {
        "name": "modhub",
        "version": version,
        "informationUri": "https://pypi.org/project/modhub/",
        "rules": [_rule(rule, first[rule]) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, rules.index(_rule_id(each)), base) for each in found],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule_id(found: AuditFinding) -> str:
    return found.id if found.kind == "advisory" else f"modhub/{found.kind}"


def _rule(rule: str, found: AuditFinding) -> dict[str, Any]:
    advisory = None if found.remark is None else found.remark.advisory
    severity = found.severity if advisory is not None else LEVELS[found.kind]
    described: dict[str, Any] = {
        "id": rule,
        "name": "".join(part.capitalize() for part in found.kind.split("-")),
        "shortDescription": {"text": RULES[found.kind] if advisory is None else _plain(advisory.summary)},
        "fullDescription": {"text": RULES[found.kind]},
        "defaultConfiguration": {"level": _LEVEL[severity]},
        "properties": {"tags": ["modhub", found.kind], "security-severity": _SCORE[severity]},
    }
    if advisory is not None and advisory.references:
        described["helpUri"] = advisory.references[0].url
    return described


def _result(found: AuditFinding, rule: int, base: Path) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": _rule_id(found),
        "ruleIndex": rule,
        "level": _LEVEL[found.severity],
        "message": {"text": _plain(found.message)},
        "locations": [_location(found, base)],
        "partialFingerprints": {
            "modhub/v1": sha256(canonical_json([found.id, found.subject, *found.labels])).removeprefix("sha256:")
        },
    }
    if found.ignored is not None:
        text = f"{found.ignored.reason} (until {found.ignored.until.isoformat()})"
        result["suppressions"] = [{"kind": "external", "justification": text}]
    return result


def _plain(text: str) -> str:
    """Foreign text as a message of which nothing is a link or a placeholder (SARIF 2.1.0, 3.11.5 and 3.11.6)."""
    escaped = text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return escaped.replace("{", "{{").replace("}", "}}")


def _location(found: AuditFinding, base: Path) -> dict[str, Any]:
    names = [{"fullyQualifiedName": name, "kind": "module"} for name in found.modules]
    location: dict[str, Any] = {"logicalLocations": names}
    file = found.source.file
    if file is not None:
        lines = [line for label in found.labels if (line := found.source.line_of(label)) is not None]
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(Path(file), base)},
            "region": {"startLine": min(lines, default=1)},
        }
    return location


def _uri(file: Path, base: Path) -> str:
    # Relative where it can be, since services look for the file in the repository.
    if file.is_relative_to(base):
        return PurePath(*file.relative_to(base).parts).as_posix().replace("%", "%25").replace(" ", "%20")
    return file.as_uri()
