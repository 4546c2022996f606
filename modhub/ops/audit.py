"""Is there anything against the modules that a project, a lockfile or this machine has?"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import cast

from modhub.advisories.findings import (
    LEVELS,
    AuditFinding,
    AuditKind,
    AuditReport,
    IgnoredFinding,
    SilentRegistry,
    sorted_out,
)
from modhub.advisories.matching import NoticeBoard, Remark
from modhub.errors import Incompatible, IntegrityError, NotFound, RegistryUnreachable, Untrusted, UsageError
from modhub.installation.context import RegistryUrls
from modhub.installation.notices import HeardFile, is_believed
from modhub.installation.registries import is_bundled
from modhub.licensing.allowed import LicensedRelease, check_allowed
from modhub.ops.audit_sources import Auditable, AuditedModules, AuditPlaces, audited
from modhub.project.views import manifest_of
from modhub.registry.notices import DerivedNotices, histories_in
from modhub.registry.reader import RegistryReader
from modhub.registry.signers import signature_file
from modhub.registry.unreachable import UnreachableRegistry, reachable
from modhub.resolve.catalog import Pinned
from modhub.signing.policy import Trust
from modhub.signing.statements import Statement
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef
from modhub.spec.text import is_observed
from modhub.storage.parallel import each

#: What is wrong with signatures where nobody requires any.
_WITHOUT_REQUIREMENT = ("revoked-key", "bad-signature")


def audit(
    targets: Auditable | Sequence[Auditable] = (),
    *,
    registry: RegistryUrls = None,
    cache: str | None = None,
    offline: bool = False,
    ignore: Sequence[IgnoredFinding] = (),
    allow: Sequence[str] | None = None,
) -> AuditReport:
    """What is to be said against modules: advisories, yanks, takedowns, signatures, licences, how they were measured.

    ``targets``: names, and paths of projects and lockfiles; without any the project in this folder or above, else all
    that is installed. ``registry``, ``cache`` and ``offline`` as for ``install``: offline, and where a registry does
    not answer, what it said when it was last asked counts. ``ignore``, beside what project files say; ``allow`` the
    licences that may be, in the place of theirs. Changes nothing. Raises NotFound for what is nowhere.

    >>> import modhub
    >>> installed = modhub.install(["cifar10/r56:cat", "cifar100/r20:apple"])
    >>> report = modhub.audit()
    >>> report.is_clean, report.modules
    (True, 2)
    """
    given = [targets] if isinstance(targets, Auditable) else list(targets)
    sources = audited(given, AuditPlaces(registry, cache, offline))
    found: list[AuditFinding] = []
    deprecated: dict[str, None] = {}
    silent: dict[SilentRegistry, None] = {}
    for source in sources:
        look = _Look(source if allow is None else replace(source, allow=tuple(allow)))
        found += look.findings()
        deprecated.update(dict.fromkeys(look.deprecated))
        silent.update(dict.fromkeys(look.silent))
    ignored = [*ignore, *(each for source in sources for each in source.ignored)]
    counting, known = sorted_out(found, ignored, datetime.now(UTC).date())
    modules = {(pin.ref, pin.digest) for source in sources for pin in source.pins}
    return AuditReport(counting, known, tuple(deprecated), len(modules), tuple(silent))


def ignored_until(ids: Iterable[str], until: date | None, reason: str) -> list[IgnoredFinding]:
    """Findings to ignore by their ids. Raises UsageError without a day."""
    wanted = list(ids)
    if wanted and until is None:
        raise UsageError(
            "it is not said until when a finding is to be ignored.",
            kind="bad-option",
            hint="add --until and a date, such as 2027-01-31; write it with a reason into modhub.toml to keep it.",
        )
    return [IgnoredFinding(each, until, reason) for each in wanted if until is not None]


class _Look:
    """The audit of one source. ``deprecated`` and ``silent`` are there after ``findings``."""

    def __init__(self, source: AuditedModules) -> None:
        self._source = source
        self._places = source.places
        self.deprecated: list[str] = []
        self.silent: list[SilentRegistry] = []

    def findings(self) -> list[AuditFinding]:
        pins = list(dict.fromkeys(self._source.pins))
        releases: dict[tuple[ModelRef, str], list[Pinned]] = {}
        for pin in pins:
            releases.setdefault((pin.ref.release, pin.digest), []).append(pin)
        found = list(self._remarked(pins))
        at_once = max((place.store.capabilities.parallel for place in self._places.registries), default=1)
        groups = list(releases.values())
        for own in each(self._of_release, groups, at_once=at_once):
            found += own
        return found

    # What registries say

    def _remarked(self, pins: Sequence[Pinned]) -> Iterator[AuditFinding]:
        grouped: dict[tuple[str, str], tuple[Remark, list[Pinned]]] = {}
        for source, board in self._boards({pin.ref.namespace for pin in pins}):
            for pin in pins:
                if pin.ref.namespace != board.notices.namespace:
                    continue
                for remark in board.about(pin.ref):
                    if is_believed(source, pin, remark):
                        own = grouped.setdefault((remark.id, remark.subject), (remark, []))[1]
                        own += [pin] if pin not in own else []
        for remark, own in grouped.values():
            if remark.kind == "deprecated":
                self.deprecated.append(str(remark))
            else:
                yield self._finding(cast(AuditKind, remark.kind), own, str(remark), remark=remark)

    def _boards(self, namespaces: set[str]) -> Iterator[tuple[RegistryReader | None, NoticeBoard]]:
        """What every registry says of every namespace, and the registry where it answered.

        Where histories can be listed, the file is held to them, so that what a crash kept out of it is seen.
        """
        heard = self._places.heard(namespaces)
        self._note_silence(heard)
        files = {(file.registry, file.namespace): file for file in heard}
        for place in reachable(self._places.registries):
            for namespace in sorted(namespaces) if place.store.capabilities.can_list else ():
                file = files.get((place.url, namespace))
                if file is not None and file.source is None:
                    continue
                files.pop((place.url, namespace), None)
                known = None if file is None or file.board is None else file.board.notices
                derived = DerivedNotices(place, namespace, afresh=known is None, known=known)
                yield place, NoticeBoard(derived.of(histories_in(place.store, namespace)), place.url)
                for problem in derived.problems.values():
                    warnings.warn(str(problem), stacklevel=5)
        yield from ((file.source, file.board) for file in files.values() if file.board is not None)

    def _note_silence(self, heard: Sequence[HeardFile]) -> None:
        ages = {file.registry: file.age for file in heard if file.age is not None}
        unread = [place.url for place in self._places.registries if isinstance(place, UnreachableRegistry)]
        self.silent = [SilentRegistry(url, ages.get(url)) for url in dict.fromkeys([*unread, *ages])]

    # What a release says of itself

    def _of_release(self, pins: Sequence[Pinned]) -> list[AuditFinding]:
        found = []
        signature = self._signature(pins[0])
        if signature is not None:
            kind, text = signature
            found.append(self._finding(kind, pins, text))
        try:
            manifest = manifest_of(self._places, pins[0])
        except (NotFound, RegistryUnreachable):
            text = f"{pins[0].ref.release} is neither installed nor in any registry that was searched"
            return [*found, self._finding("not-found", pins, text)]
        except (IntegrityError, Incompatible):
            # Verify says that, with what to do.
            return found
        return [*found, *self._of_manifest(pins, manifest)]

    def _of_manifest(self, pins: Sequence[Pinned], manifest: Manifest) -> Iterator[AuditFinding]:
        accuracy = manifest.content.origin.accuracy
        if accuracy and all(is_observed(measured.data) for measured in accuracy):
            text = f"{pins[0].ref.release} was measured only on images that it was decomposed with"
            yield self._finding("training-only", pins, text)
        allow = self._source.allow
        if allow is not None:
            card = manifest.content.card
            release = LicensedRelease(str(pins[0].ref.release), None if card is None else card.license)
            for found in check_allowed([release], allow):
                yield self._finding("license", pins, found.message)

    def _signature(self, pin: Pinned) -> tuple[AuditKind, str] | None:
        """What is wrong with the release's signature, by the keys that the user trusts."""
        trust, release = self._places.trust, pin.ref.release
        if not (trust.required or trust.keys) or is_bundled(release, pin.digest):
            return None
        source = self._home_of(pin)
        statement = Statement("release", str(release), pin.digest)
        try:
            Trust(trust.keys, required=True).require(
                statement,
                {release.namespace},
                read=lambda key: self._signature_file(source, pin.digest, key),
                is_revoked=lambda key: None if source is None else source.revocation(key),
            )
        except Untrusted as error:
            if trust.required or error.kind in _WITHOUT_REQUIREMENT:
                return cast(AuditKind, error.kind), error.message
        except (IntegrityError, RegistryUnreachable):
            # A broken history of revocations: fsck says that.
            return None
        return None

    def _home_of(self, pin: Pinned) -> RegistryReader | None:
        """The registry that a release comes from, or another that has it; None where only the cache is left."""
        nearest = sorted(self._places.registries, key=lambda place: place.url != pin.registry)
        for place in nearest:
            try:
                if pin.ref.version in place.versions(pin.ref.namespace, pin.ref.model):
                    return place
            except (NotFound, IntegrityError, Incompatible, RegistryUnreachable):
                continue
        return None

    def _signature_file(self, source: RegistryReader | None, digest: str, key: str) -> bytes | None:
        own = self._places.cache.signature(digest, key)
        return own if own is not None or source is None else signature_file(source, digest, key)

    def _finding(
        self, kind: AuditKind, pins: Sequence[Pinned], message: str, *, remark: Remark | None = None
    ) -> AuditFinding:
        subject = remark.subject if remark is not None else str(pins[0].ref.release)
        advisory = None if remark is None else remark.advisory
        return AuditFinding(
            kind,
            f"{kind}:{subject}" if remark is None else remark.id,
            LEVELS[kind] if advisory is None else advisory.severity,
            subject,
            message,
            self._source.source,
            tuple(str(pin.ref) for pin in pins),
            tuple(label for pin in pins for label in self._source.labels.get(pin, ())),
            remark,
        )
