"""What registries keep against modules that turned out to be faulty: advisories, deprecations, and their derived file.

Fields follow the OSV schema (https://ossf.github.io/osv-schema/) as far as it fits. Versions compare by SemVer, so an
advisory covers releases that nobody had published when it was written.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

import base64
from collections.abc import Iterable, Mapping
from hashlib import sha256 as hash_of
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from modhub.errors import InvalidRef
from modhub.limits import (
    MAX_ADVISORY_REFERENCES,
    MAX_AFFECTED,
    MAX_CLASSES,
    MAX_EVIDENCE_BYTES,
    MAX_REF_CHARS,
    MAX_URL_CHARS,
)
from modhub.spec.digests import canonical_json
from modhub.spec.refs import MODEL_NAME_PATTERN, is_exact, parse_range, parse_version
from modhub.spec.registry_files import ChainedRecord, LargeFile, Reason
from modhub.spec.schema import TEXT_PATTERN, DigestText, DisplayName, Name, PositiveCount, Stored, VersionText

NOTICES_FORMAT: Final = 1

#: How grave an advisory is, in words; OSV's own scores are for attacks on software.
AdvisorySeverity = Literal["low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[AdvisorySeverity, ...]] = ("low", "medium", "high", "critical")
ID_PATTERN: Final = r"^modhub-[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}$"
AdvisoryId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
#: RFC 3339, in UTC.
Timestamp = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
_Url = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=MAX_URL_CHARS)]
_Name = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=MAX_REF_CHARS)]


class AffectedRange(Stored):
    """Versions from ``introduced`` on (``0``: from the first), and before ``fixed`` and ``limit``, up to and with
    ``last_affected``, as far as these are given."""

    introduced: VersionText | Literal["0"]
    fixed: VersionText | None = Field(default=None, exclude_if=lambda value: value is None)
    limit: VersionText | None = Field(default=None, exclude_if=lambda value: value is None)
    last_affected: VersionText | None = Field(default=None, exclude_if=lambda value: value is None)

    def __str__(self) -> str:
        """``from 1.0.0 to before 1.2.0``, as people read it."""
        start = "every version" if self.introduced == "0" else f"from {self.introduced}"
        if self.last_affected is not None:
            same = self.last_affected == self.introduced
            return self.introduced if same else f"{start} up to {self.last_affected}"
        end = self.fixed or (self.limit and self.limit.removesuffix("-0"))
        return start if end is None else f"{start} before {end}"

    def covers(self, version: str) -> bool:
        """Whether an exact version is one of these."""
        found = parse_version(version)
        if self.introduced != "0" and found < parse_version(self.introduced):
            return False
        ends = [end for end in (self.fixed, self.limit) if end is not None]
        if any(found >= parse_version(end) for end in ends):
            return False
        return self.last_affected is None or found <= parse_version(self.last_affected)


class Affected(Stored):
    """What of one model is affected: ``classes``, by slug, or all where none is named, in every one of ``ranges``."""

    model: Name
    classes: Annotated[tuple[Name, ...], Field(max_length=MAX_CLASSES)] = ()
    ranges: Annotated[tuple[AffectedRange, ...], Field(min_length=1, max_length=MAX_AFFECTED)]

    def covers(self, slug: str | None, version: str) -> bool:
        """Whether it is about the class ``slug``, or with None about any class, of this version."""
        if slug is not None and self.classes and slug not in self.classes:
            return False
        return any(each.covers(version) for each in self.ranges)


class Reference(Stored):
    """Something to read, as in OSV."""

    type: Literal["ADVISORY", "ARTICLE", "DETECTION", "REPORT", "FIX", "PACKAGE", "EVIDENCE", "WEB"] = "WEB"
    url: _Url


class Evidence(Stored):
    """A file that shows it, kept as the blob with this sha256, uncompressed; ``size`` in bytes."""

    sha256: DigestText
    size: Annotated[int, Field(ge=1, le=MAX_EVIDENCE_BYTES)]
    name: DisplayName


class Advisory(Stored):
    """That classes of some releases are faulty, how gravely, and what to take in their place.

    ``instead`` names a module, or a model. ``modified`` is when its newest entry was written; ``withdrawn`` when it was
    taken back, None while it holds.
    """

    id: AdvisoryId
    published: Timestamp
    modified: Timestamp
    withdrawn: Timestamp | None = Field(default=None, exclude_if=lambda value: value is None)
    summary: Reason
    severity: AdvisorySeverity
    affected: Annotated[tuple[Affected, ...], Field(min_length=1, max_length=MAX_AFFECTED)]
    instead: _Name | None = Field(default=None, exclude_if=lambda value: value is None)
    references: Annotated[tuple[Reference, ...], Field(max_length=MAX_ADVISORY_REFERENCES)] = ()
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=MAX_ADVISORY_REFERENCES)] = ()

    def covers(self, model: str, slug: str | None, version: str) -> bool:
        """Whether it holds and is about this class, or with None about any class, of this release."""
        if self.withdrawn is not None:
            return False
        return any(each.covers(slug, version) for each in self.affected if each.model == model)

    @property
    def fixed(self) -> tuple[str, ...]:
        """The versions that mend it, as far as its author names any."""
        ends = (span.fixed for each in self.affected for span in each.ranges)
        return tuple(dict.fromkeys(end for end in ends if end is not None))


class AdvisoryRecord(ChainedRecord):
    """One entry of an advisory's history; ``name`` is ``namespace/id``. The newest entry is what it says now."""

    kind = "advisory"

    advisory: Advisory

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.name.rpartition("/")[2] != self.advisory.id:
            raise ValueError(f"the advisory {self.advisory.id} in the history of {self.name}")
        return self


class DeprecationRecord(ChainedRecord):
    """One entry of the history of a model's deprecation; ``name`` is ``namespace/model``.

    ``deprecated`` False takes it back; ``use`` is the model to use in its place.
    """

    kind = "deprecation"

    deprecated: bool
    reason: Reason
    use: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)] | None = None


class NoticedAdvisory(Advisory):
    """An advisory as the derived file shows it; ``number`` is that of its newest entry."""

    number: PositiveCount


class NoticedDeprecation(Stored):
    """A deprecation as the derived file shows it, also one that was taken back."""

    model: Name
    number: PositiveCount
    deprecated: bool
    reason: Reason
    use: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)] | None = None


class NoticedRelease(Stored):
    """A release that was yanked or taken down, or of which classes were yanked, at any time.

    ``kind`` and ``reason`` are None where the release itself stands. ``entries``: how many entries its histories have.
    """

    model: Name
    version: VersionText
    kind: Literal["yanked", "taken-down"] | None
    reason: Reason | None
    yanked_classes: Mapping[Name, Reason] = Field(default_factory=dict)
    entries: PositiveCount


class Notices(LargeFile):
    """All that was said about the modules of one namespace since they were published. Derived.

    Each list is in the order of names.
    """

    format: int
    namespace: Name
    advisories: tuple[NoticedAdvisory, ...] = ()
    deprecations: tuple[NoticedDeprecation, ...] = ()
    releases: tuple[NoticedRelease, ...] = ()


def advisory_id(namespace: str, summary: str, affected: Iterable[Affected]) -> str:
    """The id of an advisory that says this, so that saying it twice is saying it once.

    >>> advisory_id("me", "answers wolf", [Affected(model="net", ranges=affected_ranges("^1"))])
    'modhub-uh6p-jyg3-nf5m'
    """
    value = {
        "namespace": namespace,
        "summary": summary,
        "affected": [each.model_dump(mode="json") for each in affected],
    }
    letters = base64.b32encode(hash_of(canonical_json(value)).digest()).decode().lower()
    return f"modhub-{letters[:4]}-{letters[4:8]}-{letters[8:12]}"


def affected_ranges(wanted: str | None, fixed: str | None = None) -> tuple[AffectedRange, ...]:
    """The versions that an exact version, a range as names have it, or None for all, means, up to ``fixed``.

    A range ends before the pre-releases of the version that it excludes: ``^1`` before ``2.0.0-0``. Raises InvalidRef
    for what has no one beginning and end.

    >>> affected_ranges("^1", "1.2.0")
    (AffectedRange(introduced='1.0.0', fixed='1.2.0', limit='2.0.0-0', last_affected=None),)
    """
    if wanted is None:
        return (AffectedRange(introduced="0", fixed=fixed),)
    if is_exact(wanted):
        # OSV has either the version that fixes it or the last that is affected.
        last = wanted if fixed is None else None
        return (AffectedRange(introduced=wanted, fixed=fixed, last_affected=last),)
    introduced, limit, last = "0", None, None
    for operator, version in _comparisons(wanted):
        if operator == ">=":
            introduced = version
        elif operator == "<":
            limit = version if "-" in version else f"{version}-0"
        elif operator == "<=" and fixed is None:
            last = version
        else:
            raise InvalidRef(
                f"{wanted!r} cannot be the range of an advisory: it has {operator}{version}.",
                hint="write ^1, ~1.2, or '>=1,<2', and one advisory for each such range.",
                version=wanted,
            )
    return (AffectedRange(introduced=introduced, fixed=fixed, limit=limit, last_affected=last),)


def _comparisons(wanted: str) -> list[tuple[str, str]]:
    """Operators and versions of which a range is made, all of which have to hold."""
    clause = parse_range(wanted).clause
    return [(each.operator, str(each.target)) for each in getattr(clause, "clauses", (clause,))]
