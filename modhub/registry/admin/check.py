"""Looking at all that readers use, histories, releases, blobs and signatures, and repairing it where that is wanted.

A blob is checked when a release that is not withdrawn needs it, or an advisory. What is damaged is reported and
repaired one by one; nothing ends the examination but a store that cannot be read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.limits import MAX_SIGNATURE_BYTES
from modhub.registry.admin.copying import is_signature
from modhub.registry.admin.findings import Finding
from modhub.registry.admin.inventory import HISTORIES, evidence_of, history_name
from modhub.registry.admin.repair import Repairs
from modhub.registry.admin.spool import counted
from modhub.registry.index import entry_of
from modhub.registry.publication import UploadProgress
from modhub.registry.reader import RegistryReader
from modhub.registry.records import RecordLog
from modhub.spec.layout import blob_path, records_folder, release_path, signature_path
from modhub.spec.manifest import Manifest, StoredBlob
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import ChainedRecord, IndexEntry
from modhub.storage.parallel import Item, _Result, each
from modhub.storage.progress import Progress

#: Releases that the message about one blob names.
_NAMED: Final = 3
#: Manifests in memory at once.
_MANIFESTS: Final = 64


@dataclass(frozen=True)
class _Need:
    """A blob and what needs it: releases, or advisories of which it is evidence."""

    record: StoredBlob
    users: list[str]


class Contents:
    """What was found so far.

    ``entries``: what the index has to say of each release that is not taken down. ``unreadable``: releases whose
    manifest cannot be read; ``undecided``: those of which it is unknown whether they were withdrawn. ``restored``:
    those whose manifest was repaired. ``records`` and ``signatures``: how many were read.
    """

    def __init__(self, reader: RegistryReader, repairs: Repairs | None, progress: Progress | None) -> None:
        self._reader = reader
        self._store = reader.store
        self._repairs = repairs
        self._progress = progress
        self._needs: dict[tuple[str, int], _Need] = {}
        self._histories: Mapping[tuple[str, str], int] = {}
        self.entries: dict[ModelRef, IndexEntry] = {}
        self.releases: set[ModelRef] = set()
        self.restored: set[ModelRef] = set()
        self.unreadable: set[ModelRef] = set()
        self.undecided: set[ModelRef] = set()
        self.records = 0
        self.signatures = 0

    @property
    def blobs(self) -> int:
        return len(self._needs)

    @property
    def size(self) -> int:
        """Bytes of all blobs that releases need."""
        return sum(size for _, size in self._needs)

    def check_histories(self, histories: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
        """``histories``: kind and name to the highest number there is."""
        self._histories = histories
        for (kind, name), found in zip(histories, self._each(self._entries_of, histories), strict=True):
            entries = found
            if isinstance(found, ModhubError):
                reason = self._repairs.history(kind, name, histories[kind, name]) if self._repairs else ""
                path = records_folder(kind, name)
                yield Finding.after_repair("damage", found.kind, path, found.message, reason)
                entries = self._entries_of((kind, name)) if reason is None else found
            if not isinstance(entries, ModhubError):
                self.records += len(entries)
                for blob in {blob.sha256: blob for record in entries for blob in evidence_of(record)}.values():
                    self._need(blob, f"the advisory {name}")

    def _entries_of(self, history: tuple[str, str]) -> list[ChainedRecord] | ModhubError:
        kind, name = history
        try:
            return RecordLog(self._store, kind, name, HISTORIES[kind]).history()
        except (IntegrityError, Incompatible) as error:
            return error

    def check_releases(self, refs: Sequence[ModelRef], digests: Mapping[ModelRef, str]) -> Iterator[Finding]:
        """``digests``: what the index says of releases."""
        meter = UploadProgress("reading releases", len(refs), self._progress)

        def read(ref: ModelRef) -> Manifest | ModhubError:
            try:
                return self._reader.manifest(ref)
            except (NotFound, IntegrityError, Incompatible) as error:
                return error
            finally:
                meter.add(1)

        for start in range(0, len(refs), _MANIFESTS):
            part = refs[start : start + _MANIFESTS]
            for ref, found in zip(part, self._each(read, part), strict=True):
                manifest = found if isinstance(found, Manifest) else None
                if isinstance(found, ModhubError):
                    manifest, finding = self._restored(ref, found, digests.get(ref))
                    yield finding
                if manifest is None:
                    self.unreadable.add(ref)
                else:
                    self._note(ref, manifest)

    def _restored(self, ref: ModelRef, error: ModhubError, expected: str | None) -> tuple[Manifest | None, Finding]:
        # What a newer version wrote is not for this one to judge, let alone to overwrite.
        able = self._repairs is not None and not isinstance(error, Incompatible)
        answer = self._repairs.release(ref, expected) if self._repairs and able else ""
        manifest = answer if isinstance(answer, Manifest) else None
        kind, message = error.kind, error.message
        if isinstance(error, NotFound):
            kind, message = "missing-release", f"{ref} is missing, although its index names it."
        if manifest is not None:
            self.restored.add(ref)
        reason = None if isinstance(answer, Manifest) else answer
        return manifest, Finding.after_repair("damage", kind, release_path(ref), message, reason)

    def _note(self, ref: ModelRef, manifest: Manifest) -> None:
        self.releases.add(ref)
        name, withdrawal = history_name(ref), None
        classes: dict[str, str] = {}
        if any((kind, name) in self._histories for kind in ("yank", "class-yank", "tombstone")):
            try:
                withdrawal = self._reader.withdrawal(ref)
                classes = self._reader.yanked_classes(ref)
            except (IntegrityError, Incompatible):
                # That is reported for its history. The release cannot be installed, but it may come back.
                self.undecided.add(ref)
                return
        if withdrawal is not None and withdrawal.kind == "taken-down":
            return
        self.entries[ref] = entry_of(manifest, withdrawal.reason if withdrawal else None, classes)
        for record in {record.sha256: record for record in manifest.blobs.values()}.values():
            self._need(record, str(ref))

    def _need(self, record: StoredBlob, user: str) -> None:
        self._needs.setdefault((record.sha256, record.size), _Need(record, [])).users.append(user)

    def check_blobs(self) -> Iterator[Finding]:
        meter = UploadProgress("hashing blobs", self.size, self._progress)

        def look(need: _Need) -> Finding | None:
            try:
                for _ in counted(self._reader.blob_stream(need.record), meter):
                    pass
            except IntegrityError as error:
                users = ", ".join(need.users[:_NAMED])
                more = f" and {len(need.users) - _NAMED} more" if len(need.users) > _NAMED else ""
                message = f"{error.message} It belongs to {users}{more}."
                reason = self._repairs.blob(need.record) if self._repairs else ""
                return Finding.after_repair("damage", error.kind, blob_path(need.record.sha256), message, reason)
            return None

        yield from filter(None, self._each(look, [self._needs[key] for key in sorted(self._needs)]))

    def check_signatures(
        self, signatures: Iterable[tuple[str, str]], needed: Callable[[str], bool]
    ) -> Iterator[Finding]:
        """``signatures``: digest of what is signed, and key id. Nobody reads those at paths that are not needed."""

        def look(signature: tuple[str, str]) -> Finding | None:
            digest, key = signature
            path = signature_path(digest, key)
            try:
                good = is_signature(self._store.get(path, max_bytes=MAX_SIGNATURE_BYTES), key)
            except NotFound:
                return None
            except IntegrityError:
                good = False
            if good or not needed(path):
                return None
            reason = self._repairs.signature(digest, key) if self._repairs else ""
            message = f"{self._store.url}/{path} is not the signature that its name says."
            return Finding.after_repair("damage", "bad-signature", path, message, reason)

        ordered = sorted(signatures)
        self.signatures += len(ordered)
        yield from filter(None, self._each(look, ordered))

    def _each(self, work: Callable[[Item], _Result], items: Iterable[Item]) -> list[_Result]:
        return each(work, items, at_once=self._store.capabilities.parallel)
