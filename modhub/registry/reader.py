"""Reading a registry: everything is bounded and checked before it is trusted, whatever the host sends.

Releases are checked against their own digest and name, blobs against the release's table, records against the chain of
those before them. With a ``Trust`` that requires signatures, nobody but a trusted key decides what a name gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from modhub.errors import IntegrityError, ModhubError, NotFound, RegistryUnreachable
from modhub.limits import MAX_MANIFEST_BYTES, MAX_RECORD_BYTES, MAX_SIGNATURE_BYTES
from modhub.registry import index
from modhub.registry.index import Derived, Listing, entry_of
from modhub.registry.objects import get_object
from modhub.registry.records import RecordLog
from modhub.signing.policy import Trust
from modhub.signing.statements import Statement
from modhub.spec.digests import Digest
from modhub.spec.layout import (
    MARKER,
    SIGNATURES,
    blob_path,
    model_folder,
    records_folder,
    release_path,
    signature_at,
    signature_path,
)
from modhub.spec.refs import ModelRef, check_name, in_order
from modhub.spec.registry_files import (
    REGISTRY_FORMAT,
    AliasRecord,
    ChainedRecord,
    ClassYankRecord,
    IndexEntry,
    IndexShard,
    RegistryMarker,
    RevocationRecord,
    TombstoneRecord,
    Withdrawal,
    YankRecord,
    read_document,
)
from modhub.storage.parallel import each
from modhub.storage.store import Store
from modhub.storage.verify import VerifiedBlob, VerifiedBlobs, verified_chunks

if TYPE_CHECKING:
    from modhub.signing.keys import PublicKey
    from modhub.signing.trusted_key import TrustedKey
    from modhub.spec.input_contract import InputContract
    from modhub.spec.manifest import Manifest, StoredBlob

RecordType = TypeVar("RecordType", bound=ChainedRecord)

#: Entries of a history, oldest first, each with the digest of its file.
Entries = list[tuple[RecordType, Digest]]

_REPAIR: Final = "publish the same release again to repair it, or install from another registry."


@dataclass(frozen=True)
class SearchEntry:
    """One release as searching shows it, without reading its manifest where the index is good."""

    ref: ModelRef
    registry: str
    release: IndexEntry


class RegistryReader:
    """The releases, records and index in one store. ``name`` is how messages call it, by default the URL."""

    def __init__(self, store: Store, *, name: str | None = None, trust: Trust | None = None) -> None:
        self.store = store
        self.name = name or store.url
        self.trust = trust if trust is not None and trust.required else None
        # Of hosts that cannot list, which say there where to look.
        self._shards: dict[tuple[str, str], IndexShard] = {}

    @property
    def url(self) -> str:
        return self.store.url

    def check(self) -> RegistryMarker:
        """The marker. Raises RegistryUnreachable, kind ``no-registry``, when there is none, Incompatible for a newer
        format."""
        try:
            data = get_object(self.store, MARKER, max_bytes=MAX_RECORD_BYTES)
        except NotFound as error:
            raise RegistryUnreachable(
                f"there is no registry at {self.url}.",
                kind="no-registry",
                hint=f"check the path, or create one: modhub registry init {self.url}",
                registry=self.url,
            ) from error
        return read_document(RegistryMarker, data, what=f"{self.url}/{MARKER}", newest=REGISTRY_FORMAT)

    # Releases

    def versions(self, namespace: str, model: str) -> list[str]:
        """All versions of a model, oldest first by SemVer; empty when the registry does not have the model."""
        if not self.store.capabilities.can_list:
            try:
                shard = self._shards[namespace, model] = index.read_shard(self.store, namespace, model)
                return in_order(entry.version for entry in shard.releases)
            except NotFound:
                return []
        folder = f"{model_folder(namespace, model)}/"
        names = [path.removeprefix(folder) for path in self.store.list(folder.rstrip("/"))]
        return in_order(index.versions_among(name for name in names if "/" not in name))

    def models(self, namespace: str | None = None) -> list[str]:
        """Sorted ``namespace/model`` of all models."""
        if namespace is not None:
            check_name(namespace, "namespace")
        if not self.store.capabilities.can_list:
            return [entry.ref.name for entry in self._from_catalogs(namespace)]
        return list(Listing.of(self.store, namespace or "", releases_only=True).versions)

    def manifest(self, ref: ModelRef) -> Manifest:
        """A release's manifest, verified. Raises NotFound, IntegrityError or Incompatible."""
        return self.release(ref)[0]

    def release(self, ref: ModelRef) -> tuple[Manifest, bytes]:
        """A release's manifest, verified, and its bytes as stored, which a copy must keep as they are."""
        from modhub.spec.manifest import read_manifest  # 15 ms, and a good index needs no manifest

        path = release_path(ref)
        try:
            data = get_object(self.store, path, max_bytes=MAX_MANIFEST_BYTES)
        except NotFound as error:
            raise NotFound(
                f"the registry {self.name} has no release {ref}.",
                kind="no-release",
                registry=self.url,
                release=str(ref),
            ) from error
        what = f"the release {ref} in {self.name}"
        manifest = read_manifest(data, what=what)
        named = (manifest.content.namespace, manifest.content.model, manifest.content.version)
        if named != (ref.namespace, ref.model, ref.version):
            raise IntegrityError(
                f"{what} says that it is {manifest.content.name}@{manifest.content.version}.",
                kind="wrong-release",
                hint="do not use it; tell the administrator of the registry.",
                release=str(ref),
                registry=self.url,
            )
        if self.trust is not None:
            self.signatures_of(Statement("release", str(ref), manifest.digest), {ref.namespace})
        return manifest, data

    def summary(self, ref: ModelRef) -> IndexEntry:
        """Digest, classes and slugs of a release, from its verified manifest and not from the index."""
        return entry_of(self.manifest(ref))

    def contract(self, ref: ModelRef) -> InputContract:
        """The images that a release takes, from its verified manifest."""
        return self.manifest(ref).content.contract

    def blob(self, record: StoredBlob) -> VerifiedBlob:
        """The stored (compressed) bytes of a blob, bounded and hashed. Raises IntegrityError."""
        into = VerifiedBlobs()
        for _ in self.blob_stream(record, into):
            pass
        found = into.take(record)
        assert found is not None
        return found

    def blob_stream(self, record: StoredBlob, into: VerifiedBlobs | None = None) -> Iterator[bytes]:
        """As ``blob``, in pieces. Only when the last one has come without an error are they the right bytes, and held
        in ``into``."""
        path = blob_path(record.sha256)
        what = f"the blob {self.url}/{path}"
        try:
            chunks = self.store.stream(path, max_bytes=record.size)
            yield from verified_chunks(chunks, record, what=what, hint=_REPAIR, into=into)
        except NotFound as error:
            status = error.data.get("status")
            raise IntegrityError(
                f"{what} is missing although a release needs it{f' (the server answers {status})' if status else ''}.",
                kind="missing-blob",
                hint=_REPAIR,
                digest=record.sha256,
                registry=self.url,
            ) from error

    def holds(self, record: StoredBlob) -> bool:
        """Whether ``blob`` would give the bytes: there, and right when hashed now."""
        try:
            for _ in self.blob_stream(record):
                pass
        except IntegrityError:
            return False
        return True

    # Records

    def aliases(self) -> dict[str, str]:
        """Every alias and its target. Raises IntegrityError when one's history is broken."""
        targets = {name: self.alias(name) for name in self.alias_names()}
        return {name: target for name, target in targets.items() if target is not None}

    def alias_names(self) -> list[str]:
        """Names that are, or once were, aliases."""
        if self.store.capabilities.can_list:
            return sorted(set(index.alias_names_in(self.store.list(records_folder("alias", "").rstrip("/")))))
        try:
            return sorted(index.read_catalog(self.store).aliases)
        except NotFound:
            return []

    def alias(self, name: str) -> str | None:
        """The ``namespace/model`` that an alias stands for. Raises IntegrityError when its history is broken."""
        history = self.alias_history(name)
        return history[-1].target if history else None

    def alias_history(self, name: str) -> list[AliasRecord]:
        """What an alias stood for, oldest first. Raises IntegrityError when any of it cannot be believed."""
        return [record for record, _ in self._alias_entries(name)]

    def _alias_entries(self, name: str) -> Entries[AliasRecord]:
        entries = self._log(check_name(name, "alias"), AliasRecord).entries()
        former: str | None = None
        for record, digest in entries:
            # The owner of the former target must agree too, or any trusted key could take a name over.
            owners = {target.partition("/")[0] for target in (former, record.target) if target is not None}
            self._authenticate(record, digest, owners)
            former = record.target
        return entries

    def withdrawal(self, ref: ModelRef) -> Withdrawal | None:
        """Whether a release was yanked or taken down, and why. Raises IntegrityError when that cannot be believed."""
        if tombstones := self._entries(TombstoneRecord, ref):
            return Withdrawal("taken-down", tombstones[-1][0].reason)
        yanks = self._entries(YankRecord, ref)
        return Withdrawal("yanked", yanks[-1][0].reason) if yanks and yanks[-1][0].yanked else None

    def yanked_classes(self, ref: ModelRef) -> dict[str, str]:
        """Slugs of the classes of a release that were yanked alone, and why. Raises as ``withdrawal``."""
        yanked: dict[str, str] = {}
        shard = self._shards.get((ref.namespace, ref.model))
        if shard is not None and not any(e.yanked_classes for e in shard.releases if e.version == ref.version):
            return yanked
        for record, _ in self._entries(ClassYankRecord, ref):
            yanked.pop(record.slug, None)
            if record.yanked:
                yanked[record.slug] = record.reason
        return yanked

    def revocation(self, key: TrustedKey) -> str | None:
        """Why a signing key revoked itself here, None when it did not."""
        return self._revocation(key.public)

    def _revocation(self, key: PublicKey) -> str | None:
        for record, digest in self._log(key.id, RevocationRecord).entries():
            # Said by anybody else it is not believed: a host could otherwise switch keys off.
            data = self._signature(digest, key.id)
            if data is not None and key.verifies(Statement(RevocationRecord.kind, entry_name(record), digest), data):
                return record.reason
        return None

    def _entries(self, model: type[RecordType], ref: ModelRef) -> Entries[RecordType]:
        """The yanks or tombstones of a release, each with its digest."""
        release_path(ref)
        return self.authenticated(f"{ref.namespace}/{ref.model}/{ref.version}", model, ref.namespace)

    def authenticated(self, name: str, model: type[RecordType], namespace: str) -> Entries[RecordType]:
        """A whole history about something of one namespace, each entry with its digest.

        Raises IntegrityError when any of it cannot be believed: where signatures are required, also for want of one.
        """
        entries = self._log(name, model).entries()
        for record, digest in entries:
            self._authenticate(record, digest, {namespace})
        return entries

    def _log(self, name: str, model: type[RecordType]) -> RecordLog[RecordType]:
        return RecordLog(self.store, model.kind, name, model)

    # Signatures

    def _authenticate(self, record: ChainedRecord, digest: str, namespaces: set[str]) -> None:
        if self.trust is not None:
            self.signatures_of(Statement(record.kind, entry_name(record), digest), namespaces)

    def signatures_of(self, statement: Statement, namespaces: set[str]) -> list[tuple[str, bytes]]:
        """Key ids and signature files by which trusted keys vouch for ``statement``. Raises IntegrityError."""
        trust = self.trust or Trust()
        return trust.require(
            statement,
            namespaces,
            read=lambda key: self._signature(statement.digest, key),
            is_revoked=self.revocation,
        )

    def _signature(self, digest: str, key: str) -> bytes | None:
        try:
            return get_object(self.store, signature_path(digest, key), max_bytes=MAX_SIGNATURE_BYTES)
        except NotFound:
            return None

    # Searching

    def index(self, namespace: str, model: str) -> IndexShard:
        """All releases of a model that were not taken down. Where the store can list, the shard is held to the listing.

        Raises IntegrityError or Incompatible when a release that must be read for it is damaged.
        """
        if not self.store.capabilities.can_list:
            return index.read_shard(self.store, namespace, model)
        derived = self.derived()
        shard = derived.shard(namespace, model, Listing.of(self.store, f"{namespace}/{model}"))
        if derived.problems:
            raise derived.problems[0]
        return shard

    def entries(self, on_problem: Callable[[ModhubError], None] | None = None) -> Iterator[SearchEntry]:
        """Of every model the release that its plain name gives, for searching, by name.

        A damaged release goes to ``on_problem``, or is raised when there is none.
        """
        if not self.store.capabilities.can_list:
            yield from self._from_catalogs(None)
            return
        derived = self.derived()
        for namespace, listing in Listing.of(self.store).by_namespace().items():
            catalog = derived.catalog(namespace, listing)
            for problem in derived.problems:
                if on_problem is None:
                    raise problem
                on_problem(problem)
            derived.problems.clear()
            for entry in catalog.models:
                yield SearchEntry(ModelRef(namespace, entry.model, entry.release.version), self.url, entry.release)

    def catalogued(self, namespace: str) -> list[SearchEntry]:
        """Of every model of one namespace what its catalog says, from that one file: it may be behind."""
        return self._from_catalogs(namespace)

    def _from_catalogs(self, namespace: str | None) -> list[SearchEntry]:
        try:
            namespaces = index.read_catalog(self.store).namespaces if namespace is None else (namespace,)
            catalogs = each(
                lambda name: index.read_namespace(self.store, name),
                namespaces,
                at_once=self.store.capabilities.parallel,
            )
        except NotFound as error:
            if namespace is not None:
                return []
            raise RegistryUnreachable(
                f"the registry {self.name} cannot list what it has, and its index says nothing either.",
                kind="no-index",
                hint="name the model in full, namespace/model; modhub registry reindex repairs the index.",
                registry=self.url,
            ) from error
        return [
            SearchEntry(ModelRef(catalog.namespace, entry.model, entry.release.version), self.url, entry.release)
            for catalog in catalogs
            for entry in catalog.models
        ]

    def signers(self, digest: str = "") -> dict[str, list[str]]:
        """By digest the ids of the keys of whose signatures there are files, unverified: of all that is signed, or of
        ``digest`` alone. Nothing where the store cannot list."""
        found: dict[str, list[str]] = {}
        if self.store.capabilities.can_list:
            for path in self.store.list(f"{SIGNATURES}/{digest.removeprefix('sha256:')}".rstrip("/")):
                if (signature := signature_at(path)) is not None:
                    found.setdefault(signature[0], []).append(signature[1])
        return found

    def derived(
        self,
        *,
        afresh: bool = False,
        written: Manifest | None = None,
        signers: Callable[[str], Sequence[str]] = lambda digest: (),
        signed: ModelRef | None = None,
    ) -> Derived:
        """How index files follow from the releases here; ``afresh`` reads every manifest again but ``written``."""

        def manifest(ref: ModelRef) -> Manifest:
            if written is not None and f"{written.content.name}@{written.content.version}" == str(ref):
                return written
            return self.manifest(ref)

        return Derived(self.store, manifest, self.withdrawal, self.yanked_classes, afresh, signers, signed)


def entry_name(record: ChainedRecord) -> str:
    """What a signature calls one entry of a history: its number counts, so that none stands for another."""
    return f"{record.name}#{record.number}"
