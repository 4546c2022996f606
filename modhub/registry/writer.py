"""A registry that is written to: releases published all or nothing, records appended, derived files kept up.

Order of a publication: blobs, read-back of the blobs, signatures, then the manifest, whose exclusive creation IS the
publication, then once more a look at blobs and signatures, then the derived index. A crash at any point leaves the
whole release or none of it; blobs without a manifest are harmless and used by the next attempt.

The second look closes the race with a collection of orphans: a publisher writes its manifest and then looks for its
blobs, a collector deletes a blob and then looks for manifests, so at least one of the two sees the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from modhub.errors import Conflict, IntegrityError, NotFound, UsageError
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.registry.advising import AdvisoryKeeper
from modhub.registry.publication import (
    Published,
    UploadProgress,
    checked_bytes,
    folder_files,
    next_minor,
    payloads,
    same_content,
    upload_batches,
    versioned,
)
from modhub.registry.reindex import update_index
from modhub.signing.bundles import ModelBundle
from modhub.signing.keys import Signer
from modhub.signing.statements import Statement
from modhub.spec.layout import blob_path, release_path, signature_path
from modhub.spec.manifest import Manifest, StoredBlob, write_manifest
from modhub.spec.refs import ModelRef, parse_new_model_name
from modhub.spec.registry_files import Withdrawal
from modhub.storage.parallel import Item, each
from modhub.storage.progress import Progress
from modhub.storage.store import Payload
from modhub.storage.verify import VerifiedBlob


class Registry(AdvisoryKeeper):
    """The releases, records and index in one store, to read and to write."""

    # Publishing

    def publish(
        self,
        manifest: Manifest,
        blobs: Mapping[str, Payload | VerifiedBlob],
        *,
        signer: Signer | None = None,
        progress: Progress | None = None,
    ) -> Published:
        """Publish under the version that the manifest names.

        ``blobs`` maps the sha256 of stored bytes to those bytes, for every entry of the manifest's blob table. Equal
        content under this version is a no-op (whose damaged blobs are repaired); other content raises Conflict, kind
        ``version-exists``, and so does a version that differs from another only in case, kind ``version-case``. Raises
        InvalidRef for a new name that some file system cannot hold, IntegrityError when manifest and blobs do not fit
        together, and RegistryUnreachable,
        kind ``unknown-outcome``, when the store became unreachable before it was known whether the release is there.
        """
        if manifest.content.version is None:
            raise UsageError("the release has no version.", kind="no-version", hint="give one, for example 1.0.0.")
        data = checked_bytes(manifest, blobs)
        self.prepare()
        content = manifest.content
        self._require_portable(ModelRef(content.namespace, content.model, str(content.version)))
        return self.publish_stored(manifest, data, payloads(blobs), signer=signer, progress=progress)

    def publish_stored(
        self,
        manifest: Manifest,
        data: bytes,
        blobs: Mapping[str, Payload],
        *,
        signer: Signer | None = None,
        signatures: Mapping[str, bytes] | None = None,
        progress: Progress | None = None,
    ) -> Published:
        """Publish a release in the very bytes in which another registry stores it; ``data`` and blobs are verified.

        Its name is taken as it is: what exists elsewhere can be mirrored and imported. ``signatures`` are the files
        that came with it, by key id.
        """
        self.prepare()
        content = manifest.content
        ref = ModelRef(content.namespace, content.model, str(content.version))
        existing = self._existing(ref)
        if existing is None:
            self._require_not_taken_down(ref)
            self._put_blobs(manifest, blobs, progress)
            self._sign(ref, manifest.digest, signer, signatures)
            if self.store.put_if_absent(release_path(ref), data):
                return self._finish(ref, manifest, data, blobs, signer, signatures)
            existing = self.manifest(ref)
        if not same_content(existing, manifest):
            raise Conflict(
                f"{ref} is already published in {self.name} with other content: "
                f"{existing.digest} there, {manifest.digest} here.",
                kind="version-exists",
                hint="releases never change; publish under another version.",
                release=str(ref),
                published=existing.digest,
                given=manifest.digest,
            )
        self._sign(ref, existing.digest, signer, signatures)
        return self._repair(ref, existing, blobs, signed=signer is not None or bool(signatures))

    def publish_next(
        self,
        manifest: Manifest,
        blobs: Mapping[str, Payload | VerifiedBlob],
        *,
        signer: Signer | None = None,
        progress: Progress | None = None,
    ) -> Published:
        """Publish under the next minor version, 1.0.0 for the first; the manifest's own version does not count.

        When a release of the model has equal content apart from its version, that release is returned.
        """
        namespace, model = manifest.content.namespace, manifest.content.model
        checked_bytes(versioned(manifest, "1.0.0"), blobs)
        written = payloads(blobs)
        self.prepare()
        if not self.versions(namespace, model):
            parse_new_model_name(f"{namespace}/{model}")
        seen: set[str] = set()
        lost: set[str] = set()
        while True:
            fresh = [version for version in reversed(self.versions(namespace, model)) if version not in seen]
            for ref in (ModelRef(namespace, model, version) for version in fresh):
                existing = self.manifest(ref)
                if same_content(versioned(existing, None), versioned(manifest, None)):
                    self._sign(ref, existing.digest, signer)
                    return self._repair(ref, existing, written, signed=signer is not None)
            seen.update(fresh)
            ref = ModelRef(namespace, model, next_minor(seen | lost))
            candidate = versioned(manifest, ref.version)
            if not lost:
                self._put_blobs(candidate, written, progress)
            self._sign(ref, candidate.digest, signer)
            data = write_manifest(candidate)
            if self.store.put_if_absent(release_path(ref), data):
                return self._finish(ref, candidate, data, written, signer)
            lost.add(ref.version)

    def _require_portable(self, ref: ModelRef) -> None:
        """Raise InvalidRef or Conflict for a new release that not every file system could hold beside the others."""
        versions = self.versions(ref.namespace, ref.model)
        if not versions:
            parse_new_model_name(ref.name)
        same = [version for version in versions if version.lower() == ref.version.lower()]
        if same and ref.version not in same:
            raise Conflict(
                f"{ref} differs from {ref.name}@{same[0]}, which is published in {self.name}, only in case; many file "
                "systems cannot hold both.",
                kind="version-case",
                hint="choose another version.",
                release=str(ref),
                published=same[0],
            )

    def _existing(self, ref: ModelRef) -> Manifest | None:
        try:
            return self.manifest(ref)
        except NotFound:
            return None

    def _put_blobs(self, manifest: Manifest, blobs: Mapping[str, Payload], progress: Progress | None = None) -> None:
        """Write and read back all blobs."""
        records = {record.sha256: record for record in manifest.blobs.values()}
        # What is written is read back, and both take their time.
        meter = UploadProgress(
            f"publishing {manifest.content.name}", 2 * sum(each.size for each in records.values()), progress
        )
        for batch in upload_batches(list(records.values())):
            paths = {record.sha256: blob_path(record.sha256) for record in batch}
            created = self.store.put_all({path: blobs[digest] for digest, path in paths.items()})
            again = [digest for digest, path in paths.items() if not created[path]]
            # Writing a blob again repairs it and makes it young, so that no collection of old orphans takes it.
            self._each(lambda digest: self.store.replace(blob_path(digest), blobs[digest]), again)
            meter.add(sum(record.size for record in batch))

        def read_back(record: StoredBlob) -> None:
            for chunk in self.blob_stream(record):
                meter.add(len(chunk))

        self._each(read_back, records.values())

    def _finish(
        self,
        ref: ModelRef,
        manifest: Manifest,
        data: bytes,
        blobs: Mapping[str, Payload],
        signer: Signer | None,
        signatures: Mapping[str, bytes] | None = None,
    ) -> Published:
        if self.store.get(release_path(ref), max_bytes=MAX_MANIFEST_BYTES) != data:
            raise IntegrityError(
                f"{self.name} took the release {ref} and gives back other bytes.",
                kind="not-kept",
                hint="do not use this registry before its administrator has looked into it.",
                release=str(ref),
                registry=self.url,
            )
        self._each(lambda digest: self._look_again(digest, blobs), {each.sha256 for each in manifest.blobs.values()})
        self._sign(ref, manifest.digest, signer, signatures)
        warnings = update_index(self, ref.namespace, ref.model, manifest)
        return Published(ref, manifest.digest, self.url, created=True, warnings=warnings)

    def _look_again(self, digest: str, blobs: Mapping[str, Payload]) -> None:
        if not self.store.exists(blob_path(digest)):
            self.store.put_if_absent(blob_path(digest), blobs[digest])

    def _require_not_taken_down(self, ref: ModelRef) -> Withdrawal | None:
        """The release's yank, if there is one. Raises Conflict when it was taken down."""
        withdrawal = self.withdrawal(ref)
        if withdrawal is not None and withdrawal.kind == "taken-down":
            raise Conflict(
                f"{ref} was taken down from {self.name}: {withdrawal.reason}",
                kind="taken-down",
                hint="its name and version stay taken; publish under another version.",
                release=str(ref),
                reason=withdrawal.reason,
            )
        return withdrawal

    def _repair(self, ref: ModelRef, existing: Manifest, blobs: Mapping[str, Payload], *, signed: bool) -> Published:
        withdrawal = self._require_not_taken_down(ref)
        records = [record for record in existing.blobs.values() if record.sha256 in blobs]

        def repair(record: StoredBlob) -> None:
            if not self.holds(record):
                self.store.replace(blob_path(record.sha256), blobs[record.sha256])

        self._each(repair, records)
        warnings = update_index(self, ref.namespace, ref.model, signed=ref if signed else None)
        if withdrawal is not None:
            warnings = (f"{ref} is yanked: {withdrawal.reason}", *warnings)
        return Published(ref, existing.digest, self.url, created=False, warnings=warnings)

    def add_bundle(self, ref: ModelRef, bundle: ModelBundle) -> None:
        """Keep an OpenSSF model signature beside the release, which it has to be about.

        Raises IntegrityError, kind ``other-files``, where the bundle is about other files, and NotFound.
        """
        manifest = self.manifest(ref)
        bundle.require_files(folder_files(manifest), str(ref))
        path, data = signature_path(manifest.digest, bundle.digest), bundle.to_file()
        if not self.store.put_if_absent(path, data):
            self.store.replace(path, data)
        update_index(self, ref.namespace, ref.model, signed=ref)

    def _sign(
        self, ref: ModelRef, digest: str, signer: Signer | None, signatures: Mapping[str, bytes] | None = None
    ) -> None:
        for key, data in (signatures or {}).items():
            self.store.put_if_absent(signature_path(digest, key), data)
        if signer is not None:
            self.put_signature(Statement("release", str(ref), digest), signer)

    def _each(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        each(work, items, at_once=self.store.capabilities.parallel)
