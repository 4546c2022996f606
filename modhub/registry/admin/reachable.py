"""Which blobs and signatures a registry needs: what every deletion is judged by.

A release that was not taken down needs its blobs, an advisory its evidence; every release and every entry of a history
needs its signatures.
Releases and histories only grow, so looking again reads no more than what is new. Whatever cannot be read might need
anything: then nothing is called an orphan.
"""

from __future__ import annotations

from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.registry.admin.inventory import HISTORIES, blob_at, entry_at, evidence_of, history_name, release_at
from modhub.registry.reader import Entries, RegistryReader
from modhub.registry.records import RecordLog
from modhub.spec.advisories import AdvisoryRecord
from modhub.spec.layout import RELEASES, signature_at
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import ChainedRecord
from modhub.storage.parallel import each


class Survey:
    """What is needed as of the last ``refresh``. ``blobs`` and ``signed``: digests.

    ``doubt``: why it is unknown which signatures are needed, if it is; then all of them count as needed, and where it
    is an advisory that cannot be read, all blobs too.
    """

    def __init__(self, registry: RegistryReader) -> None:
        # Whose signatures are believed does not change which bytes are needed.
        self._reader = RegistryReader(registry.store, name=registry.name)
        self._releases: set[ModelRef] = set()
        self._entries: dict[tuple[str, str], int] = {}
        self.blobs: set[str] = set()
        self.signed: set[str] = set()
        self.doubt: ModhubError | None = None
        self._evidence_unknown = False

    def refresh(self) -> None:
        """Look again. Raises IntegrityError, kind ``damaged-release``, when a release that stands cannot be read."""
        store = self._reader.store
        listed = {ref for path in store.list(RELEASES) if (ref := release_at(path))}
        self._read_histories(store.list("records"))
        fresh = sorted(listed - self._releases)
        for ref, (blobs, digest) in zip(
            fresh, each(self._needs_of, fresh, at_once=store.capabilities.parallel), strict=True
        ):
            self.blobs.update(blobs)
            if digest is not None:
                self.signed.add(digest)
            self._releases.add(ref)

    def needs(self, path: str) -> bool:
        """Whether what lies there must stay: all but blobs and signatures that nothing refers to."""
        if digest := blob_at(path):
            return self._evidence_unknown or digest in self.blobs
        if signature := signature_at(path):
            return self.doubt is not None or signature[0] in self.signed
        return True

    def _read_histories(self, paths: list[str]) -> None:
        lengths: dict[tuple[str, str], int] = {}
        for kind, name, number in filter(None, map(entry_at, paths)):
            lengths[kind, name] = max(number, lengths.get((kind, name), 0))
        grown = [history for history, length in sorted(lengths.items()) if length > self._entries.get(history, 0)]
        for history, entries in zip(
            grown, each(self._entries_of, grown, at_once=self._reader.store.capabilities.parallel), strict=True
        ):
            self.signed.update(digest for _, digest in entries)
            self.blobs.update(blob.sha256 for record, _ in entries for blob in evidence_of(record))
            self._entries[history] = lengths[history]

    def _entries_of(self, history: tuple[str, str]) -> Entries[ChainedRecord]:
        kind, name = history
        try:
            return RecordLog(self._reader.store, kind, name, HISTORIES[kind]).entries()
        except (IntegrityError, Incompatible) as error:
            self.doubt = error
            self._evidence_unknown = self._evidence_unknown or kind == AdvisoryRecord.kind
            return []

    def _needs_of(self, ref: ModelRef) -> tuple[set[str], str | None]:
        try:
            manifest = self._reader.manifest(ref)
        except (IntegrityError, NotFound) as error:
            if self._is_gone(ref):
                self.doubt = error
                return set(), None
            raise IntegrityError(
                f"it is unknown which blobs are needed: {error.message}",
                kind="damaged-release",
                hint=f"repair it first: modhub registry fsck {self._reader.url} --repair-from OTHER",
                release=str(ref),
                registry=self._reader.url,
            ) from error
        blobs = set() if self._is_gone(ref) else {record.sha256 for record in manifest.blobs.values()}
        return blobs, manifest.digest

    def _is_gone(self, ref: ModelRef) -> bool:
        """Whether a release was taken down. One whose tombstone cannot be believed keeps its blobs."""
        if ("tombstone", history_name(ref)) not in self._entries:
            return False
        try:
            withdrawal = self._reader.withdrawal(ref)
        except (IntegrityError, Incompatible):
            return False
        return withdrawal is not None and withdrawal.kind == "taken-down"
