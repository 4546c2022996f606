"""What code-scanning services read: valid by the published schemas, whatever an advisory says."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from modhub.advisories.findings import (
    RULES,
    AuditFinding,
    AuditReport,
    AuditSource,
    IgnoredFinding,
    sorted_out,
)
from modhub.advisories.matching import NoticeBoard, Remark
from modhub.advisories.osv import osv_document
from modhub.advisories.sarif import sarif_document
from modhub.spec.advisories import (
    SEVERITIES,
    Advisory,
    Affected,
    Evidence,
    NoticedAdvisory,
    NoticedDeprecation,
    NoticedRelease,
    Notices,
    Reference,
    affected_ranges,
)
from modhub.spec.digests import sha256
from modhub.spec.refs import ModelRef, ModuleRef

SCHEMAS = Path(__file__).parent / "schemas"
OSV = Draft202012Validator(json.loads((SCHEMAS / "osv-1.4.json").read_text()), format_checker=FormatChecker())
SARIF = Draft7Validator(json.loads((SCHEMAS / "sarif-2.1.0.json").read_text()), format_checker=FormatChecker())
CAT = ModuleRef("me", "net", "cat", "1.1.0")

#: What a record may hold: everything but control characters, mark-up and long texts too.
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=80) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "**bold** [link](javascript:x) {0} \\\\[a](b)",
        "x" * 1000,
        "${{ secrets.TOKEN }}",
        "\u202egnp.exe",
    ]
)
ADVISORIES = st.builds(
    Advisory,
    id=st.just("modhub-aaaa-bbbb-cccc"),
    published=st.just("2026-01-02T03:04:05Z"),
    modified=st.just("2026-01-03T03:04:05Z"),
    withdrawn=st.none(),
    summary=TEXTS,
    severity=st.sampled_from(SEVERITIES),
    affected=st.tuples(
        st.builds(
            Affected,
            model=st.just("net"),
            classes=st.sampled_from([(), ("cat",), ("cat", "dog")]),
            ranges=st.builds(
                affected_ranges,
                st.sampled_from([None, "^1", "1.1.0", "~1.1", ">=1.1.0-rc.1"]),
                st.sampled_from([None, "1.2.0"]),
            ),
        )
    ),
    instead=st.none() | st.just("other/net:cat"),
    references=st.sampled_from([(), (Reference(url="https://example.org/why"),)]),
    evidence=st.sampled_from([(), (Evidence(sha256=sha256(b"x"), size=1, name="<b>.html"),)]),
)


def finding(remark: Remark, **more: Any) -> AuditFinding:
    advisory = remark.advisory
    severity = "medium" if advisory is None else advisory.severity
    source = AuditSource("modhub.toml", "/work place/modhub.toml", (("kitty", 7),))
    fields = {"labels": ("kitty",)} | more
    return AuditFinding(
        remark.kind, remark.id, severity, remark.subject, str(remark), source, (str(CAT),), remark=remark, **fields
    )


def report(*found: AuditFinding) -> AuditReport:
    return AuditReport(found, (), (), 1)


@settings(max_examples=60)
@given(ADVISORIES, st.sampled_from(["/srv/modules", "https://example.org/modules", "s3://bucket/modules", "relative"]))
def test_every_advisory_is_valid_osv_and_sarif(advisory, registry):
    found = finding(Remark("advisory", str(CAT), advisory.summary, registry, advisory.instead, advisory))
    ignored = finding(found.remark, ignored=IgnoredFinding(found.id, date(2027, 1, 1), advisory.summary))
    (record,) = osv_document(report(found))["vulns"]
    OSV.validate(record)
    assert (record["id"], record["summary"]) == (advisory.id, advisory.summary)
    assert record["affected"][0]["package"]["ecosystem"] == "modhub"
    document = sarif_document(AuditReport((found,), (ignored,), (), 1), version="1.0", base=Path("/work place"))
    SARIF.validate(document)
    result, quiet = document["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "modhub.toml"}, "region": {"startLine": 7},
    }  # fmt: skip
    assert ("suppressions" in result, "suppressions" in quiet) == (False, True)
    text = result["message"]["text"]
    assert not re.search(r"(?<!\\)(\\\\)*[\[\]]", text), "no link"
    assert not re.search(r"(?<!\{)(\{\{)*\{\d", text), "no placeholder"
    # A line for people has no line ends, and a program's document is ASCII when it is printed.
    assert "\n" not in str(found.remark)
    assert json.dumps(document).isascii()


@pytest.mark.parametrize("kind", sorted(RULES.keys() - {"advisory"}))
def test_every_kind_of_finding_is_valid_sarif(kind):
    source = AuditSource("the cache")
    found = AuditFinding(kind, f"{kind}:x", "low", "me/net@1.0.0", "why", source, (str(CAT),))
    document = sarif_document(report(found), version="1.0", base=Path("/"))
    SARIF.validate(document)
    assert osv_document(report(found)) == {"vulns": []}


def test_the_schemas_refuse_what_is_wrong():
    assert not OSV.is_valid({"id": "x"})
    assert not SARIF.is_valid({"version": "2.1.0"})


def notices(**more: Any) -> Notices:
    return Notices(format=1, namespace="me", **more)


def advisory(number: int, **more: Any) -> NoticedAdvisory:
    letters = "abcdefghijklmnop"[number] * 4
    fields = {
        "id": f"modhub-{letters}-aaaa-aaaa",
        "published": "2026-01-02T03:04:05Z",
        "modified": "2026-01-02T03:04:05Z",
        "summary": "why",
        "severity": "low",
        "affected": (Affected(model="net", classes=("cat",), ranges=affected_ranges("^1")),),
        "number": 1,
    }
    return NoticedAdvisory(**(fields | more))


def test_what_is_about_a_module_is_found_the_gravest_first():
    board = NoticeBoard(
        notices(
            advisories=(
                advisory(0),
                advisory(1, severity="critical", affected=(Affected(model="net", ranges=affected_ranges(None)),)),
                advisory(2, withdrawn="2026-01-02T03:04:05Z"),
                advisory(3, affected=(Affected(model="net", classes=("dog",), ranges=affected_ranges(None)),)),
                advisory(4, affected=(Affected(model="other", ranges=affected_ranges(None)),)),
            ),
            deprecations=(
                NoticedDeprecation(model="net", number=1, deprecated=True, reason="old", use="you/net"),
                NoticedDeprecation(model="other", number=2, deprecated=False, reason="well"),
            ),
            releases=(
                NoticedRelease(
                    model="net", version="1.1.0", kind=None, reason=None, yanked_classes={"cat": "bad"}, entries=1
                ),
                NoticedRelease(model="net", version="1.0.0", kind="taken-down", reason="not ours", entries=1),
            ),
        ),
        "team",
    )
    assert [str(remark) for remark in board.about(CAT)] == [
        "me/net:cat@1.1.0 is yanked: bad",
        "me/net:cat@1.1.0 is faulty (critical, modhub-bbbb-aaaa-aaaa): why",
        "me/net:cat@1.1.0 is faulty (low, modhub-aaaa-aaaa-aaaa): why",
        "me/net is deprecated: old; use you/net instead",
    ]
    about_release = [remark.subject for remark in board.about(ModelRef("me", "net", "1.1.0"))]
    assert about_release == ["me/net:cat@1.1.0", "me/net@1.1.0", "me/net:cat@1.1.0", "me/net:dog@1.1.0", "me/net"]
    first = next(iter(board.about(ModuleRef("me", "net", "owl", "1.0.0"))))
    assert first.id == "taken-down:me/net@1.0.0"
    assert list(board.about(ModuleRef("me", "nothing", "cat", "1.0.0"))) == []


def test_what_is_ignored_counts_again_after_its_day():
    found = finding(Remark("yanked", "me/net@1.1.0", "bad", "team"))
    until = IgnoredFinding("yanked:me/net@1.1.0", date(2027, 1, 31), "known")
    counting, ignored = sorted_out([found], [until], date(2027, 1, 31))
    assert (counting, [each.ignored for each in ignored]) == ((), [until])
    counting, ignored = sorted_out([found], [until], date(2027, 2, 1))
    assert (len(counting), ignored) == (1, ())
