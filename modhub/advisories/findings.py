"""What an audit finds: modules that somebody has and should not go on using unseen, each with a stable id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from modhub.spec.advisories import SEVERITIES, AdvisorySeverity

if TYPE_CHECKING:
    from modhub.advisories.matching import Remark

#: Every kind of finding, and what it means; the text is a rule's description in SARIF.
RULES: Final = {
    "advisory": "The publisher says that the module is faulty.",
    "yanked": "The publisher withdrew the release, or the class; it goes on working.",
    "taken-down": "The release was removed from its registry.",
    "unsigned": "Signatures are required, and no trusted key signed the release.",
    "untrusted-namespace": "Signatures are required, and no key is trusted for the namespace.",
    "bad-signature": "The signature of a trusted key does not verify.",
    "revoked-key": "The release is signed only by a key that was revoked.",
    "license": "The licence that the release states is not on the list of those allowed.",
    "training-only": "The accuracy of the network was measured on images that it was decomposed with alone.",
    "not-found": "Nothing is known of the release: it is neither installed nor in any registry that was searched.",
}
AuditKind = Literal[
    "advisory",
    "yanked",
    "taken-down",
    "unsigned",
    "untrusted-namespace",
    "bad-signature",
    "revoked-key",
    "license",
    "training-only",
    "not-found",
]
#: How grave what is no advisory is.
LEVELS: Final[dict[str, AdvisorySeverity]] = {
    "yanked": "medium",
    "taken-down": "high",
    "unsigned": "high",
    "untrusted-namespace": "high",
    "bad-signature": "critical",
    "revoked-key": "high",
    "license": "medium",
    "training-only": "low",
    "not-found": "medium",
}


@dataclass(frozen=True)
class IgnoredFinding:
    """That a finding is known and counts for nothing until the end of a day. ``id`` is a finding's."""

    id: str
    until: date
    reason: str


@dataclass(frozen=True)
class AuditSource:
    """Where modules to audit are written down. ``file`` is a project file, a lockfile, None for the cache and names;
    ``lines`` has the line of each label."""

    name: str
    file: str | None = None
    lines: tuple[tuple[str, int], ...] = ()

    def line_of(self, label: str | None) -> int | None:
        return dict(self.lines).get(label) if label is not None else None


@dataclass(frozen=True)
class AuditFinding:
    """One thing that was found in one source: ``subject`` is the module, release or model as names are written.

    ``id`` is stable: an advisory's id, else the kind and the subject. ``labels`` are the project's classes that it is
    about. ``remark`` is what a registry says, where one says it.
    """

    kind: AuditKind
    id: str
    severity: AdvisorySeverity
    subject: str
    message: str
    source: AuditSource
    modules: tuple[str, ...]
    labels: tuple[str, ...] = ()
    remark: Remark | None = None
    ignored: IgnoredFinding | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain values."""
        advisory = None if self.remark is None else self.remark.advisory
        return {
            "kind": self.kind,
            "id": self.id,
            "severity": self.severity,
            "subject": self.subject,
            "message": self.message,
            "in": self.source.name,
            "modules": list(self.modules),
            "labels": list(self.labels),
            "use": None if self.remark is None else self.remark.use,
            "registry": None if self.remark is None else self.remark.registry,
            "fixed": [] if advisory is None else list(advisory.fixed),
            "ignored": None
            if self.ignored is None
            else {"until": self.ignored.until.isoformat(), "reason": self.ignored.reason},
        }


@dataclass(frozen=True)
class SilentRegistry:
    """A registry that did not answer; ``age``: seconds since what the cache has of it was heard, None for nothing."""

    registry: str
    age: float | None


@dataclass(frozen=True)
class AuditReport:
    """What ``modhub.audit`` gives: the findings that count, those that are ignored, and what is only to be known.

    ``deprecated`` says what to use in place of models. ``modules``: how many were looked at. ``silent``: registries
    that did not answer.
    """

    findings: tuple[AuditFinding, ...]
    ignored: tuple[AuditFinding, ...]
    deprecated: tuple[str, ...]
    modules: int
    silent: tuple[SilentRegistry, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found that counts."""
        return not self.findings

    @property
    def is_unknown(self) -> bool:
        """Whether registries were silent, and the cache has nothing of any of them."""
        return bool(self.silent) and all(each.age is None for each in self.silent)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "clean": self.is_clean,
            "modules": self.modules,
            "findings": [found.to_dict() for found in self.findings],
            "ignored": [found.to_dict() for found in self.ignored],
            "deprecated": list(self.deprecated),
            "silent": [vars(each) for each in self.silent],
        }


def sorted_out(
    found: Iterable[AuditFinding], ignored: Sequence[IgnoredFinding], today: date
) -> tuple[tuple[AuditFinding, ...], tuple[AuditFinding, ...]]:
    """The findings that count, the gravest first, and those that are ignored today."""
    holding = {each.id: each for each in ignored if each.until >= today}
    marked = [replace(each, ignored=holding.get(each.id)) for each in found]
    marked.sort(key=lambda each: (-SEVERITIES.index(each.severity), each.source.name, each.subject, each.id))
    return tuple(each for each in marked if each.ignored is None), tuple(each for each in marked if each.ignored)
