"""Copying releases from one registry to another, with everything that belongs to them, checked on the way.

Manifests, signatures and entries of histories keep their very bytes. A release's histories, and advisories, come
before it, so that nobody ever finds one in the copy that was withdrawn in the original; its blobs come before its
manifest, as in every publication. What is in the target already is hashed and not fetched again, so a copy that was
interrupted is continued by running it once more. Nothing in the target is overwritten: where the two differ, that is
reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modhub.errors import Conflict, Incompatible, IntegrityError, InvalidRef, ModhubError, NotFound, UsageError
from modhub.registry.admin.copying import copy_history, put_missing_signatures, put_signatures, signatures_of
from modhub.registry.admin.inventory import entry_at, evidence_of, history_name
from modhub.registry.admin.spool import Spool, counted
from modhub.registry.notices import DerivedNotices, histories_in, notices_of
from modhub.registry.publication import UploadProgress, same_content
from modhub.registry.reader import RegistryReader
from modhub.registry.records import RecordLog
from modhub.registry.reindex import update_aliases, update_index, update_notices
from modhub.registry.signers import indexed_signers
from modhub.registry.writer import Registry
from modhub.spec.advisories import AdvisoryRecord, Notices
from modhub.spec.layout import blob_path, release_path
from modhub.spec.manifest import Manifest, StoredBlob
from modhub.spec.refs import ModelRef, is_exact, parse, parse_range, parse_version
from modhub.storage.parallel import _Result, each
from modhub.storage.progress import Progress


@dataclass(frozen=True)
class Mirrored:
    """What a run of ``mirror`` did.

    ``copied``: releases that the target did not have, or had damaged. ``present``: those it had, whole. ``taken_down``:
    those of which only the name is left, in both. ``entries``: how many entries of histories were copied. ``fetched``:
    bytes of blobs that came from the source. ``problems``: what could not be copied, and where the two differ.
    """

    source: str
    target: str
    copied: tuple[ModelRef, ...]
    present: tuple[ModelRef, ...]
    taken_down: tuple[ModelRef, ...]
    entries: int
    fetched: int
    problems: tuple[ModhubError, ...]


def mirror(
    source: RegistryReader,
    target: Registry,
    refs: Sequence[str] = (),
    *,
    keys: Sequence[str] = (),
    progress: Progress | None = None,
) -> Mirrored:
    """Copy all of ``source``, or the releases that ``refs`` name: ``namespace/model``, or with a version or a range.

    Without a version it means all of a model. Aliases come along when their model does. ``keys``: ids of keys whose
    signatures may be there, for a source that cannot list them. Raises InvalidRef, NotFound when a name means nothing
    in the source, RegistryUnreachable and StorageError; everything else is reported in ``problems``, and the rest goes
    on.
    """
    if source.url == target.url:
        raise UsageError(
            f"{source.url} cannot be copied onto itself.", kind="same-registry", hint="name another registry."
        )
    source.check()
    work = _Mirroring(source, target, keys, progress)
    chosen = work.chosen(refs)
    target.prepare()
    work.revocations()
    work.said({ref.name for ref in chosen})
    for ref in chosen:
        work.release(ref)
    work.notices({ref.namespace for ref in chosen})
    work.aliases({ref.name for ref in chosen} if refs else None)
    return work.result()


class _Mirroring:
    def __init__(
        self, source: RegistryReader, target: Registry, keys: Sequence[str], progress: Progress | None
    ) -> None:
        self._source = source
        self._target = target
        self._keys = keys
        self._progress = progress
        self._copied: list[ModelRef] = []
        self._present: list[ModelRef] = []
        self._taken_down: list[ModelRef] = []
        self._problems: list[ModhubError] = []
        self._entries = 0
        self._fetched = 0

    def result(self) -> Mirrored:
        return Mirrored(
            self._source.url,
            self._target.url,
            tuple(self._copied),
            tuple(self._present),
            tuple(self._taken_down),
            self._entries,
            self._fetched,
            tuple(self._problems),
        )

    def chosen(self, refs: Sequence[str]) -> list[ModelRef]:
        """The releases to copy, each once. Raises NotFound for a name that means none."""
        chosen: dict[ModelRef, None] = {}
        for text in refs or self._source.models():
            namespace, model, wanted = _parsed(text)
            versions = self._tried(partial(self._source.versions, namespace, model))
            if versions is None:
                continue
            found = _matching(versions, wanted)
            if not found and wanted is not None and is_exact(wanted):
                # An index does not name what was taken down, but its manifest may be there.
                ref = ModelRef(namespace, model, wanted)
                found = [wanted] if self._source.store.exists(release_path(ref)) else []
            if not found and refs:
                raise NotFound(
                    f"the registry {self._source.name} has no release {text}.",
                    kind="no-release",
                    hint=f"see what there is: modhub search {model} --registry {self._source.url}",
                    registry=self._source.url,
                )
            chosen.update(dict.fromkeys(ModelRef(namespace, model, version) for version in found))
        return list(chosen)

    def revocations(self) -> None:
        store = self._source.store
        listed = store.list("records/revocation") if store.capabilities.can_list else ()
        names = {found[1] for path in listed if (found := entry_at(path))}
        for name in sorted(names | set(self._keys)):
            self._history("revocation", name)

    def aliases(self, models: set[str] | None) -> None:
        """Those that stand for one of ``models``, or all of them."""
        names = self._tried(self._source.alias_names) or []
        for name in names:
            history = self._tried(partial(self._source.alias_history, name))
            if history and (models is None or history[-1].target in models) and self._history("alias", name):
                update_aliases(self._target, name)

    def said(self, models: set[str]) -> None:
        """Advisories and deprecations of ``models``, with their evidence, which comes first."""
        for namespace in sorted({model.partition("/")[0] for model in models}):
            notices = self._tried(partial(self._said_in, namespace))
            if notices is None:
                continue
            for advisory in notices.advisories:
                if any(f"{namespace}/{each.model}" in models for each in advisory.affected):
                    self._advisory(namespace, advisory.id)
            for deprecation in notices.deprecations:
                if f"{namespace}/{deprecation.model}" in models:
                    self._history("deprecation", f"{namespace}/{deprecation.model}")
        self.notices({model.partition("/")[0] for model in models})

    def _said_in(self, namespace: str) -> Notices:
        """What the histories say, or where they cannot be listed, the file; broken ones are reported."""
        store = self._source.store
        if not store.capabilities.can_list:
            return notices_of(self._source, namespace)
        derived = DerivedNotices(self._source, namespace)
        found = derived.of(histories_in(store, namespace))
        # Those of withdrawals are looked at once more with their releases.
        self._problems += [error for name, error in derived.problems.items() if not name.startswith("withdrawal/")]
        return found

    def notices(self, namespaces: set[str]) -> None:
        """Bring the target's files of what was said up to date."""
        for namespace in sorted(namespaces):
            update_notices(self._target, namespace)

    def _advisory(self, namespace: str, advisory: str) -> None:
        name = f"{namespace}/{advisory}"
        log = RecordLog(self._source.store, AdvisoryRecord.kind, name, AdvisoryRecord)
        with suppress(IntegrityError, Incompatible):
            # Where it cannot be read, copying it says so.
            for blob in {blob.sha256: blob for record in log.history() for blob in evidence_of(record)}.values():
                # What it says is worth more than what shows it.
                self._tried(partial(self._copy_evidence, blob))
        self._history(AdvisoryRecord.kind, name)

    def _copy_evidence(self, blob: StoredBlob) -> None:
        if self._target.holds(blob):
            return
        with Spool() as spool:
            file = spool.keep(blob.sha256.removeprefix("sha256:"), self._source.blob_stream(blob))
            self._target.store.replace(blob_path(blob.sha256), file)
        self._fetched += blob.size

    def release(self, ref: ModelRef) -> None:
        try:
            manifest, data = self._source.release(ref)
            withdrawal = self._source.withdrawal(ref)
        except (IntegrityError, Incompatible) as error:
            self._problems.append(error)
            return
        except NotFound as error:
            # Its index, or its listing, has just named it.
            self._problems.append(IntegrityError(error.message, kind="missing-release", release=str(ref)))
            return
        if not all(self._history(kind, history_name(ref)) for kind in ("tombstone", "yank", "class-yank")):
            return
        try:
            if withdrawal is not None and withdrawal.kind == "taken-down":
                self._reserve(ref, manifest, data)
            else:
                self._publish(ref, manifest, data)
        except (Conflict, IntegrityError, Incompatible) as error:
            self._problems.append(error)

    def _history(self, kind: str, name: str) -> bool:
        """Whether the target's history can be believed; how it differs, if it does, is reported."""
        try:
            self._entries += copy_history(self._source, self._target, kind, name, self._keys)
        except Conflict as error:
            self._problems.append(error)
        except (IntegrityError, Incompatible) as error:
            self._problems.append(error)
            return False
        return True

    def _signatures(self, ref: ModelRef, manifest: Manifest) -> dict[str, bytes]:
        """A release's signatures; where nothing lists them, those by keys that are trusted or that the index names."""
        keys = set(self._keys)
        if not self._source.store.capabilities.can_list:
            keys.update(indexed_signers(self._source, ref))
        return signatures_of(self._source, manifest.digest, keys)

    def _reserve(self, ref: ModelRef, manifest: Manifest, data: bytes) -> None:
        """Let the target have a release that was taken down by name only."""
        signatures = self._signatures(ref, manifest)
        put_signatures(self._target.store, manifest.digest, signatures)
        if not self._target.store.put_if_absent(release_path(ref), data):
            self._require_same(ref, manifest)
        put_missing_signatures(self._target.store, manifest.digest, signatures)
        update_index(self._target, ref.namespace, ref.model)
        self._taken_down.append(ref)

    def _publish(self, ref: ModelRef, manifest: Manifest, data: bytes) -> None:
        existing = self._existing(ref)
        records = {record.sha256: record for record in manifest.blobs.values()}
        if existing is not None and same_content(existing, manifest):
            # Other tools may have compressed it otherwise; what the target's own table names is what must be there.
            wanted = {record.sha256: record for record in existing.blobs.values()}
            records = {sha256: record for sha256, record in wanted.items() if not self._target.holds(record)}
        before = self._fetched
        with Spool() as spool:
            blobs = self._spooled(ref, records.values(), spool) if existing is None or records else {}
            signatures = self._signatures(ref, manifest)
            published = self._target.publish_stored(
                manifest, data, blobs, signatures=signatures, progress=self._progress
            )
        (self._copied if published.created or self._fetched > before else self._present).append(ref)

    def _spooled(self, ref: ModelRef, records: Iterable[StoredBlob], spool: Spool) -> dict[str, Path]:
        """Files of blobs, verified; from the target where that has them."""
        wanted = list(records)
        meter = UploadProgress(f"copying {ref}", sum(record.size for record in wanted), self._progress)

        def fetch(record: StoredBlob) -> tuple[Path, int]:
            name = record.sha256.removeprefix("sha256:")
            try:
                own = spool.keep(name, self._target.blob_stream(record))
                meter.add(record.size)
                return own, 0
            except IntegrityError:
                return spool.keep(name, counted(self._source.blob_stream(record), meter)), record.size

        fetched = each(fetch, wanted, at_once=self._source.store.capabilities.parallel)
        self._fetched += sum(size for _, size in fetched)
        return {record.sha256: path for record, (path, _) in zip(wanted, fetched, strict=True)}

    def _existing(self, ref: ModelRef) -> Manifest | None:
        try:
            return self._target.manifest(ref)
        except NotFound:
            return None

    def _require_same(self, ref: ModelRef, manifest: Manifest) -> None:
        existing = self._target.manifest(ref)
        if not same_content(existing, manifest):
            raise Conflict(
                f"{ref} is {existing.digest} in {self._target.name} and {manifest.digest} in {self._source.name}.",
                kind="version-exists",
                hint="releases never change; find out which of the two registries is right.",
                release=str(ref),
            )

    def _tried(self, work: Callable[[], _Result]) -> _Result | None:
        try:
            return work()
        except (IntegrityError, Incompatible) as error:
            self._problems.append(error)
            return None


def _matching(versions: Sequence[str], wanted: str | None) -> list[str]:
    """All versions that ``wanted`` means; pre-releases only when it is None, or names one itself."""
    if wanted is None:
        return list(versions)
    if is_exact(wanted):
        return [version for version in versions if version == wanted]
    spec = parse_range(wanted)
    parsed = {version: parse_version(version) for version in versions}
    return [text for text, one in parsed.items() if spec.match(one) and (not one.prerelease or "-" in wanted)]


def _parsed(text: str) -> tuple[str, str, str | None]:
    request = parse(text)
    if not request.is_qualified or request.cls is not None:
        raise InvalidRef(
            f"{text!r} names no model: registries are copied by whole releases.",
            hint="write namespace/model, namespace/model@1.0.0 or 'namespace/model@^1'.",
            name=text,
        )
    namespace, _, model = request.base.partition("/")
    return namespace, model, request.version
