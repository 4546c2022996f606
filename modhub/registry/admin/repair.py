"""Repairing a registry from another one that has the same releases.

Nothing that is valid is ever overwritten, and nothing is taken from the other registry before it is checked: blobs
against the table of the release here, releases against the index here, entries against those around them. Every method
answers None when the thing is right now, else why it stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from modhub.errors import Incompatible, IntegrityError, NotFound
from modhub.registry.admin.copying import (
    get_or_none,
    history_files,
    is_entry,
    is_whole,
    put_missing_signatures,
    put_signatures,
    signatures_of,
)
from modhub.registry.admin.spool import Spool
from modhub.registry.reader import RegistryReader
from modhub.registry.writable import now
from modhub.registry.writer import Registry
from modhub.spec.digests import sha256
from modhub.spec.layout import MARKER, blob_path, record_path, release_path
from modhub.spec.manifest import Manifest, StoredBlob
from modhub.spec.refs import ModelRef
from modhub.spec.registry_files import REGISTRY_FORMAT, RegistryMarker, write_document
from modhub.storage.probe import probe_exclusive_create


class Repairs:
    """From ``source`` into ``registry``; ``keys``: ids of keys whose signatures a source that cannot list may have."""

    def __init__(self, registry: Registry, source: RegistryReader, keys: Sequence[str] = ()) -> None:
        self._registry = registry
        self._store = registry.store
        self._source = source
        self._keys = keys

    def marker(self) -> None:
        """Write the marker anew; the other registry's says nothing about this store."""
        single = not (self._store.capabilities.exclusive_create and probe_exclusive_create(self._store))
        marker = RegistryMarker(format=REGISTRY_FORMAT, created=now(), single_writer=single)
        self._store.replace(MARKER, write_document(marker))

    def blob(self, record: StoredBlob) -> str | None:
        try:
            with Spool() as spool:
                file = spool.keep("blob", self._source.blob_stream(record))
                self._store.replace(blob_path(record.sha256), file)
        except IntegrityError as error:
            return f"the other registry cannot help: {error.message}"
        return None if self._registry.holds(record) else "the store did not keep what was written"

    def release(self, ref: ModelRef, expected: str | None) -> Manifest | str:
        """The manifest that stands there now, or why it could not be restored. ``expected``: what the index says."""
        try:
            manifest, data = self._source.release(ref)
        except (NotFound, IntegrityError, Incompatible) as error:
            return f"the other registry cannot help: {error.message}"
        if expected is not None and manifest.digest != expected:
            return f"the other registry's is {manifest.digest}, but the index here says {expected}"
        signatures = signatures_of(self._source, manifest.digest, self._keys)
        put_signatures(self._store, manifest.digest, signatures)
        if not self._store.put_if_absent(release_path(ref), data):
            self._store.replace(release_path(ref), data)
        put_missing_signatures(self._store, manifest.digest, signatures)
        return RegistryReader(self._store, name=self._registry.name).manifest(ref)

    def history(self, kind: str, name: str, length: int) -> str | None:
        """``length``: how many entries there must be, by the highest number here."""
        try:
            theirs = history_files(self._source, kind, name)
            mine = [get_or_none(self._store, record_path(kind, name, number)) for number in range(1, length + 1)]
            wanted = [*theirs[:length], *mine[len(theirs) :]]
            for number, (own, data) in enumerate(zip(mine, wanted, strict=True), 1):
                if own is not None and own != data and is_entry(kind, own):
                    return f"the other registry has another entry {number}"
            if not is_whole(kind, name, wanted):
                return f"the other registry has {len(theirs)} entries, which do not fill the gap"
        except (IntegrityError, Incompatible) as error:
            return f"the other registry cannot help: {error.message}"
        for number, (own, data) in enumerate(zip(mine, wanted, strict=True), 1):
            if data is not None and own != data:
                signatures = signatures_of(self._source, sha256(data), self._keys)
                put_signatures(self._store, sha256(data), signatures)
                path = record_path(kind, name, number)
                if not self._store.put_if_absent(path, data):
                    self._store.replace(path, data)
                put_missing_signatures(self._store, sha256(data), signatures)
        return None

    def signature(self, digest: str, key: str) -> str | None:
        data = signatures_of(self._source, digest, [key]).get(key)
        if data is None:
            return "the other registry does not have it"
        put_signatures(self._store, digest, {key: data})
        return None
