"""A registry: immutable releases, verified on every read, published all or nothing.

Order of a publication: blobs, read-back of the blobs, then the manifest, whose exclusive creation IS the publication,
then the derived index. A crash at any point leaves the whole release or none of it; blobs without a manifest are
harmless and used by the next attempt. Everything read is bounded and checked before it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from modhub.documents import (
    RECORD_FORMAT,
    REGISTRY_FORMAT,
    AliasRecord,
    IndexEntry,
    IndexShard,
    RegistryMarker,
    read_document,
    write_document,
)
from modhub.errors import Conflict, Incompatible, IntegrityError, ModhubError, NotFound, RegistryUnreachable, UsageError
from modhub.limits import MAX_MANIFEST_BYTES, MAX_RECORD_BYTES
from modhub.manifest import Manifest, StoredBlob, read_manifest, write_manifest
from modhub.refs import NAME_PATTERN, ModelRef, check_name, in_order, is_exact, parse_model_name
from modhub.registry.index import derive_shard, entry_of, read_shard
from modhub.registry.layout import MARKER, RELEASES, blob_path, index_path, model_folder, release_path
from modhub.registry.publication import Published, checked_bytes, next_minor, same_content, versioned
from modhub.registry.records import RecordLog
from modhub.registry.store import Store
from modhub.registry.verify import verified_blob


@dataclass(frozen=True)
class SearchEntry:
    """One release as ``Registry.entries`` gives it, without reading its manifest where the index is good."""

    ref: ModelRef
    registry: str
    release: IndexEntry


class Registry:
    """The releases, aliases and index in one store. ``name`` is how messages call it, by default the URL."""

    def __init__(self, store: Store, *, name: str | None = None) -> None:
        self.store = store
        self.name = name or store.url

    @property
    def url(self) -> str:
        return self.store.url

    # The registry itself

    def initialise(self) -> bool:
        """Make the store a registry. True when this call did, False when it was one already."""
        self._require_writable()
        marker = RegistryMarker(format=REGISTRY_FORMAT, created=_now())
        if self.store.put_if_absent(MARKER, write_document(marker)):
            return True
        self.check()
        return False

    def check(self) -> None:
        """Raise RegistryUnreachable, kind ``no-registry``, when there is none, Incompatible for a newer format."""
        try:
            data = self.store.get(MARKER, max_bytes=MAX_RECORD_BYTES)
        except NotFound as error:
            raise RegistryUnreachable(
                f"there is no registry at {self.url}.",
                kind="no-registry",
                hint=f"check the path, or create one: modhub registry init {self.url}",
                registry=self.url,
            ) from error
        read_document(RegistryMarker, data, what=f"{self.url}/{MARKER}", newest=REGISTRY_FORMAT)

    # Reading

    def versions(self, namespace: str, model: str) -> list[str]:
        """All versions of a model, oldest first by SemVer; empty when the registry does not have the model."""
        folder = model_folder(namespace, model)
        if not self.store.capabilities.can_list:
            try:
                return [entry.version for entry in read_shard(self.store, namespace, model).releases]
            except NotFound:
                return []
        names = [path.removeprefix(folder + "/") for path in self.store.list(folder)]
        return in_order(_versions_among(names))

    def models(self, namespace: str | None = None) -> list[str]:
        """Sorted ``namespace/model`` of all models. Raises RegistryUnreachable where the store cannot list."""
        if not self.store.capabilities.can_list:
            raise RegistryUnreachable(
                f"the registry {self.name} cannot list what it has.",
                kind="cannot-list",
                hint="name the model in full: namespace/model.",
                registry=self.url,
            )
        folder = RELEASES if namespace is None else f"{RELEASES}/{check_name(namespace, 'namespace')}"
        found = set()
        for path in self.store.list(folder):
            parts = path.split("/")
            if len(parts) == 4 and _versions_among([parts[3]]) and _is_model_name(f"{parts[1]}/{parts[2]}"):
                found.add(f"{parts[1]}/{parts[2]}")
        return sorted(found)

    def manifest(self, ref: ModelRef) -> Manifest:
        """A release's manifest, verified. Raises NotFound, IntegrityError or Incompatible."""
        return self.release(ref)[0]

    def release(self, ref: ModelRef) -> tuple[Manifest, bytes]:
        """A release's manifest, verified, and its bytes as stored, which a copy must keep as they are."""
        path = release_path(ref)
        try:
            data = self.store.get(path, max_bytes=MAX_MANIFEST_BYTES)
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
                hint="do not use it; tell whoever keeps the registry.",
                release=str(ref),
                registry=self.url,
            )
        return manifest, data

    def summary(self, ref: ModelRef) -> IndexEntry:
        """Digest, classes and slugs of a release, from its verified manifest and not from the index."""
        return entry_of(self.manifest(ref))

    def blob(self, record: StoredBlob) -> bytes:
        """The stored (compressed) bytes of a blob, bounded and hashed. Raises IntegrityError."""
        path = blob_path(record.sha256)
        try:
            return verified_blob(
                lambda bound: self.store.get(path, max_bytes=bound),
                record,
                what=f"the blob {self.url}/{path}",
                hint="publish the same release again to repair it, or install from another registry.",
            )
        except NotFound as error:
            raise IntegrityError(
                f"the blob {self.url}/{path} is missing although a release needs it.",
                kind="missing-blob",
                hint="publish the same release again to repair it, or install from another registry.",
                digest=record.sha256,
                registry=self.url,
            ) from error

    # Aliases

    def aliases(self) -> dict[str, str]:
        """Every alias and its target. Raises IntegrityError when one's history is broken."""
        targets = {name: self.alias(name) for name in self.alias_names()}
        return {name: target for name, target in targets.items() if target is not None}

    def alias_names(self) -> list[str]:
        """Names that are, or once were, aliases."""
        if not self.store.capabilities.can_list:
            return []
        parts = [path.split("/") for path in self.store.list("records/alias")]
        return sorted({part[2] for part in parts if len(part) == 4 and re.match(NAME_PATTERN, part[2])})

    def alias(self, name: str) -> str | None:
        """The ``namespace/model`` that an alias stands for. Raises IntegrityError when its history is broken."""
        history = self._alias_log(name).history()
        return history[-1].target if history else None

    def set_alias(self, name: str, target: str | None) -> AliasRecord:
        """Let ``name`` stand for ``namespace/model``, or for nothing (None). The history keeps what it was.

        Raises InvalidRef, and Conflict, kind ``record-race``, when somebody else changes it at the same moment.
        """
        if target is not None:
            parse_model_name(target)
        log = self._alias_log(name)
        history = log.history()
        if history and history[-1].target == target:
            return history[-1]
        self._prepare()
        return log.append(
            lambda number, previous: AliasRecord(
                format=RECORD_FORMAT, number=number, name=name, target=target, previous=previous, created=_now()
            )
        )

    def _alias_log(self, name: str) -> RecordLog[AliasRecord]:
        return RecordLog(self.store, "alias", check_name(name, "alias"), AliasRecord)

    # Searching

    def index(self, namespace: str, model: str) -> IndexShard:
        """All releases of a model. Where the store can list, a shard that does not match the listing is not believed.

        Raises IntegrityError or Incompatible when a release that must be read for it is damaged.
        """
        shard, problems = self._index(namespace, model)
        if problems:
            raise problems[0]
        return shard

    def entries(self, on_problem: Callable[[ModhubError], None] | None = None) -> Iterator[SearchEntry]:
        """Every release, for searching. A damaged one goes to ``on_problem``, or is raised when there is none."""
        for name in self.models():
            namespace, model = name.split("/")
            shard, problems = self._index(namespace, model)
            for problem in problems:
                if on_problem is None:
                    raise problem
                on_problem(problem)
            for release in shard.releases:
                yield SearchEntry(ModelRef(namespace, model, release.version), self.url, release)

    def _index(self, namespace: str, model: str) -> tuple[IndexShard, list[IntegrityError | Incompatible]]:
        if not self.store.capabilities.can_list:
            return read_shard(self.store, namespace, model), []
        return derive_shard(self.store, namespace, model, self.versions(namespace, model), self.manifest)

    def _update_index(self, namespace: str, model: str) -> tuple[str, ...]:
        # The last of several racing publishers lists after its own write, so what it leaves covers all of them.
        try:
            while True:
                versions = self.versions(namespace, model)
                shard, problems = derive_shard(self.store, namespace, model, versions, self.manifest)
                self.store.replace(index_path(namespace, model), write_document(shard))
                if self.versions(namespace, model) == versions:
                    return tuple(str(problem) for problem in problems)
        except ModhubError as error:
            return (f"the release is published, but its index could not be written: {error}",)

    # Publishing

    def publish(self, manifest: Manifest, blobs: Mapping[str, bytes]) -> Published:
        """Publish under the version that the manifest names.

        ``blobs`` maps the sha256 of stored bytes to those bytes, for every entry of the manifest's blob table. Equal
        content under this version is a no-op (whose damaged blobs are repaired); other content raises Conflict, kind
        ``version-exists``. Raises IntegrityError when manifest and blobs do not fit together.
        """
        if manifest.content.version is None:
            raise UsageError("the release has no version.", kind="no-version", hint="give one, for example 1.0.0.")
        data = checked_bytes(manifest, blobs)
        self._prepare()
        ref = ModelRef(manifest.content.namespace, manifest.content.model, manifest.content.version)
        standing = self._standing(ref)
        if standing is None:
            self._put_blobs(manifest, blobs)
            if self.store.put_if_absent(release_path(ref), data):
                return self._finish(ref, manifest)
            standing = self.manifest(ref)
        if not same_content(standing, manifest):
            raise Conflict(
                f"{ref} is already published in {self.name} with other content: "
                f"{standing.digest} there, {manifest.digest} here.",
                kind="version-exists",
                hint="releases never change; publish under another version.",
                release=str(ref),
                published=standing.digest,
                given=manifest.digest,
            )
        return self._settle(ref, standing, blobs)

    def publish_next(self, manifest: Manifest, blobs: Mapping[str, bytes]) -> Published:
        """Publish under the next minor version, 1.0.0 for the first; the manifest's own version does not count.

        When a release of the model has equal content apart from its version, that release is returned.
        """
        namespace, model = manifest.content.namespace, manifest.content.model
        checked_bytes(versioned(manifest, "1.0.0"), blobs)
        self._prepare()
        seen: set[str] = set()
        lost: set[str] = set()
        while True:
            fresh = [version for version in reversed(self.versions(namespace, model)) if version not in seen]
            for ref in (ModelRef(namespace, model, version) for version in fresh):
                standing = self.manifest(ref)
                if same_content(versioned(standing, None), versioned(manifest, None)):
                    return self._settle(ref, standing, blobs)
            seen.update(fresh)
            ref = ModelRef(namespace, model, next_minor(seen | lost))
            candidate = versioned(manifest, ref.version)
            if not lost:
                self._put_blobs(candidate, blobs)
            if self.store.put_if_absent(release_path(ref), write_manifest(candidate)):
                return self._finish(ref, candidate)
            lost.add(ref.version)

    def _prepare(self) -> None:
        self._require_writable()
        if self.store.capabilities.initialises_itself:
            self.initialise()
        else:
            self.check()

    def _require_writable(self) -> None:
        if not self.store.capabilities.writable:
            raise RegistryUnreachable(
                f"the registry {self.name} is read-only.",
                kind="not-writable",
                hint="publish to another registry, for example with --registry FOLDER.",
                registry=self.url,
            )

    def _standing(self, ref: ModelRef) -> Manifest | None:
        try:
            return self.manifest(ref)
        except NotFound:
            return None

    def _put_blobs(self, manifest: Manifest, blobs: Mapping[str, bytes]) -> None:
        for record in manifest.blobs.values():
            path, data = blob_path(record.sha256), blobs[record.sha256]
            # Writing a blob again repairs it and makes it young, so that no collection of old orphans takes it.
            if not self.store.put_if_absent(path, data):
                self.store.replace(path, data)
        for record in manifest.blobs.values():
            self.blob(record)

    def _finish(self, ref: ModelRef, manifest: Manifest) -> Published:
        self.manifest(ref)
        warnings = self._update_index(ref.namespace, ref.model)
        return Published(ref, manifest.digest, self.url, created=True, warnings=warnings)

    def _settle(self, ref: ModelRef, standing: Manifest, blobs: Mapping[str, bytes]) -> Published:
        for record in standing.blobs.values():
            if record.sha256 in blobs:
                try:
                    self.blob(record)
                except IntegrityError:
                    self.store.replace(blob_path(record.sha256), blobs[record.sha256])
        warnings = self._update_index(ref.namespace, ref.model)
        return Published(ref, standing.digest, self.url, created=False, warnings=warnings)


def _versions_among(names: list[str]) -> list[str]:
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return [stem for stem in stems if is_exact(stem)]


def _is_model_name(name: str) -> bool:
    try:
        parse_model_name(name)
    except UsageError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
