"""What a publisher says about modules that turned out to be faulty, each an entry appended to a history.

An advisory's id follows from what it says of what, so that saying it twice, also because an answer was lost, is saying
it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modhub.errors import NotFound, UsageError, did_you_mean
from modhub.limits import MAX_RECORD_BYTES
from modhub.registry.reader import Entries
from modhub.registry.reindex import update_notices
from modhub.registry.withdrawals import RecordKeeper
from modhub.registry.writable import timestamp
from modhub.signing.keys import Signer
from modhub.spec.advisories import (
    Advisory,
    AdvisoryRecord,
    AdvisorySeverity,
    Affected,
    AffectedRange,
    DeprecationRecord,
    Evidence,
    Reference,
    advisory_id,
)
from modhub.spec.digests import sha256
from modhub.spec.layout import blob_path, records_folder
from modhub.spec.refs import ModelRef, parse_model_name
from modhub.spec.registry_files import check_reason, write_document
from modhub.spec.text import in_short

if TYPE_CHECKING:
    from modhub.storage.store import Payload


@dataclass(frozen=True)
class AdvisoryDraft:
    """An advisory as its author gives it. ``evidence``: names of files with their bytes."""

    namespace: str
    summary: str
    severity: AdvisorySeverity
    affected: tuple[Affected, ...]
    instead: str | None = None
    references: tuple[Reference, ...] = ()
    evidence: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Advised:
    """What writing an advisory came to. ``entries``: of its history. ``changed`` is False when it said so already."""

    namespace: str
    advisory: Advisory
    registry: str
    entries: int
    changed: bool


class AdvisoryKeeper(RecordKeeper):
    """A registry in which advisories and deprecations can be written."""

    def advise(self, draft: AdvisoryDraft, *, signer: Signer | None = None) -> Advised:
        """Write an advisory, or give the one that says this already.

        Raises NotFound for a model, a class or a range of which there is nothing, UsageError for a reason that is empty
        or too long, and Conflict, kind ``record-race``, when another process writes it at the same moment.
        """
        check_reason(draft.summary)
        for each in draft.affected:
            self._require_affected(draft.namespace, each)
        name = advisory_id(draft.namespace, draft.summary, draft.affected)
        seen = self._advisory_entries(draft.namespace, name)
        published = seen[0][0].advisory.published if seen else timestamp()
        advisory = Advisory(
            id=name,
            published=published,
            modified=timestamp(),
            summary=draft.summary,
            severity=draft.severity,
            affected=draft.affected,
            instead=draft.instead,
            references=draft.references,
            evidence=_files_of(draft.evidence),
        )
        holds = bool(seen) and seen[-1][0].advisory.withdrawn is None
        if holds and any(_said(record.advisory) == _said(advisory) for record, _ in seen):
            # It may have been changed since, which saying it once more does not undo.
            advisory = seen[-1][0].advisory
        return self._written(draft.namespace, advisory, seen, signer, list(draft.evidence.values()))

    def change_advisory(
        self,
        advisory: str,
        *,
        summary: str | None = None,
        severity: AdvisorySeverity | None = None,
        fixed: str | None = None,
        instead: str | None = None,
        signer: Signer | None = None,
    ) -> Advised:
        """Let an advisory say something else from now on; what is None stays. Raises as ``advise``."""
        namespace, seen = self._found_advisory(advisory)
        before = seen[-1][0].advisory
        if summary is not None:
            check_reason(summary)
        changes = {"summary": summary, "severity": severity, "instead": instead}
        update = {key: value for key, value in changes.items() if value is not None}
        if fixed is not None:
            update["affected"] = tuple(_fixed_in(each, fixed) for each in before.affected)  # type: ignore[assignment]
        after = before.model_copy(update={**update, "withdrawn": None, "modified": timestamp()})
        return self._written(namespace, after, seen, signer)

    def withdraw_advisory(self, advisory: str, *, signer: Signer | None = None) -> Advised:
        """Take an advisory back. Raises NotFound, kind ``no-advisory``."""
        namespace, seen = self._found_advisory(advisory)
        before = seen[-1][0].advisory
        now = before.withdrawn or timestamp()
        after = before.model_copy(update={"withdrawn": now, "modified": timestamp()})
        return self._written(namespace, after, seen, signer)

    def deprecate(
        self, model: str, reason: str, *, use: str | None = None, undo: bool = False, signer: Signer | None = None
    ) -> bool:
        """Say of ``namespace/model`` that another one is to be used, or with ``undo`` that it may be used again.

        Nothing breaks. False when it was so already. Raises NotFound when there is no such model, UsageError.
        """
        check_reason(reason)
        namespace, name = parse_model_name(model)
        if use is not None:
            parse_model_name(use)
        if not self.versions(namespace, name):
            raise self._no_model(model)
        seen = self.authenticated(model, DeprecationRecord, namespace)
        newest = seen[-1][0] if seen else None
        said = None if newest is None or not newest.deprecated else (newest.reason, newest.use)
        if said == (None if undo else (reason, use)):
            update_notices(self, namespace)
            return False
        self._append(DeprecationRecord, model, seen, signer, deprecated=not undo, reason=reason, use=use)
        update_notices(self, namespace)
        return True

    def _written(
        self,
        namespace: str,
        advisory: Advisory,
        seen: Entries[AdvisoryRecord],
        signer: Signer | None,
        evidence: Sequence[Payload] = (),
    ) -> Advised:
        before = seen[-1][0].advisory if seen else None
        if before is not None and _said(before) == _said(advisory):
            # Its writer may have died before the derived file, or a collector may have taken its evidence for orphans.
            self._keep(evidence)
            update_notices(self, namespace)
            return Advised(namespace, before, self.url, len(seen), changed=False)
        size = len(write_document(advisory))
        # Beside what it says an entry has a name, a number and two digests.
        if size > MAX_RECORD_BYTES - 1000:
            raise UsageError(
                f"the advisory has {size:,} bytes; at most {MAX_RECORD_BYTES - 1000:,} are allowed.",
                kind="too-large",
                hint="name fewer classes, or write several advisories.",
            )
        self.prepare()
        self._keep(evidence)
        self._append(AdvisoryRecord, f"{namespace}/{advisory.id}", seen, signer, advisory=advisory)
        # Once more, as for a publication: a collector may have looked in between.
        self._keep(evidence)
        update_notices(self, namespace)
        return Advised(namespace, advisory, self.url, len(seen) + 1, changed=True)

    def _keep(self, evidence: Sequence[Payload]) -> None:
        for data in evidence:
            assert isinstance(data, bytes)
            path = blob_path(sha256(data))
            # Writing it again repairs it and makes it young, so that no collection of old orphans takes it.
            if not self.store.put_if_absent(path, data):
                self.store.replace(path, data)

    def _advisory_entries(self, namespace: str, advisory: str) -> Entries[AdvisoryRecord]:
        return self.authenticated(f"{namespace}/{advisory}", AdvisoryRecord, namespace)

    def _found_advisory(self, advisory: str) -> tuple[str, Entries[AdvisoryRecord]]:
        """The namespace and the history of the advisory with this id."""
        folder = records_folder("advisory", "").rstrip("/")
        known = {parts[3]: parts[2] for path in self.store.list(folder) if len(parts := path.split("/")) == 5}
        if advisory not in known:
            raise NotFound(
                f"the registry {self.name} has no advisory {advisory!r}.",
                kind="no-advisory",
                hint=did_you_mean(advisory, known) or "see what there is: modhub audit, or modhub info MODEL",
                advisory=advisory,
            )
        return known[advisory], self._advisory_entries(known[advisory], advisory)

    def _require_affected(self, namespace: str, affected: Affected) -> None:
        model = f"{namespace}/{affected.model}"
        versions = self.versions(namespace, affected.model)
        if not versions:
            raise self._no_model(model)
        covered = [version for version in versions if affected.covers(None, version)]
        if not covered:
            raise NotFound(
                f"the registry {self.name} has no release of {model} that this is about.",
                kind="no-version",
                hint=f"it has {in_short(reversed(versions))}.",
                model=model,
                versions=versions,
            )
        slugs = set().union(*(self.summary(ModelRef(namespace, affected.model, each)).slugs for each in covered))
        for slug in affected.classes:
            if slug not in slugs:
                raise NotFound(
                    f"no release of {model} that this is about has a class {slug!r}.",
                    kind="no-class",
                    hint=did_you_mean(slug, slugs) or f"there is {in_short(sorted(slugs))}.",
                    wanted=slug,
                )

    def _no_model(self, model: str) -> NotFound:
        return NotFound(
            f"the registry {self.name} has no model {model}.",
            kind="no-model",
            hint=f"see what there is: modhub search --registry {self.url}",
            model=model,
        )


def _files_of(evidence: Mapping[str, bytes]) -> tuple[Evidence, ...]:
    return tuple(Evidence(sha256=sha256(data), size=len(data), name=name) for name, data in evidence.items())


def _fixed_in(affected: Affected, fixed: str) -> Affected:
    ranges = tuple(AffectedRange(introduced=span.introduced, limit=span.limit, fixed=fixed) for span in affected.ranges)
    return affected.model_copy(update={"ranges": ranges})


def _said(advisory: Advisory) -> dict[str, object]:
    """What an advisory says, without when."""
    said: dict[str, object] = advisory.model_dump(mode="json", exclude={"published", "modified", "withdrawn"})
    return said | {"holds": advisory.withdrawn is None}
