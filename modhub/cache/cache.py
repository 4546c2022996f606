"""The local cache: everything that was installed, content-addressed and trusted only after hashing it again.

Where signatures are required, a manifest leaves the cache only when a trusted key vouches for it. Whatever else is
known of a release (its classes, its contract, its blobs) is known through its manifest, so nothing passes beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.cache import heard, markers
from modhub.cache.files import Folder
from modhub.cache.heard import HeardNotices
from modhub.cache.markers import AGAIN, Installed, not_installed
from modhub.errors import IntegrityError, NotFound, Untrusted
from modhub.limits import MAX_RECORD_BYTES
from modhub.signing.policy import Trust
from modhub.signing.statements import Statement
from modhub.spec.layout import blob_path, signature_at, signature_path
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.storage.verify import VerifiedBlob, VerifiedBlobs, verified_chunks

if TYPE_CHECKING:
    from modhub.cache.prune import Pruned
    from modhub.cache.usage import CachedRelease
    from modhub.cache.verify import CacheCheck
    from modhub.settings.values import Config
    from modhub.spec.manifest import Manifest, StoredBlob


class Cache:
    """The cache in one folder, which is created by the first write. Any number of processes and threads may use it.

    ``trust`` decides which releases are trusted, by the signatures kept here; ``is_bundled`` marks those that came
    with the package, which are trusted as the package is.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        trust: Trust | None = None,
        is_bundled: Callable[[ModelRef, str], bool] = lambda ref, digest: False,
    ) -> None:
        self._folder = Folder(root)
        self._trust = trust if trust is not None and trust.required else None
        self._is_bundled = is_bundled

    @property
    def root(self) -> Path:
        return self._folder.root

    # Blobs

    def blob(self, record: StoredBlob) -> VerifiedBlob:
        """The stored (compressed) bytes, hashed now. Raises NotFound, kind ``not-installed``, and IntegrityError."""
        into = VerifiedBlobs()
        self.check_blob(record, into)
        found = into.take(record)
        assert found is not None
        return found

    def check_blob(self, record: StoredBlob, into: VerifiedBlobs | None = None) -> None:
        """As ``blob``, without holding the bytes, or holding them in ``into``."""
        path = blob_path(record.sha256)
        what = f"the cached blob {self.root / path}"
        chunks = self._folder.stream(path, max_bytes=record.size)
        hint = f"{AGAIN} the modules of this release."
        try:
            for _ in verified_chunks(chunks, record, what=what, hint=hint, into=into):
                pass
        except FileNotFoundError as error:
            raise not_installed(str(self.root / path)) from error

    def holds(self, record: StoredBlob, into: VerifiedBlobs | None = None) -> bool:
        """Whether ``blob`` would give the bytes: there, and right when hashed now; they are held in ``into`` then."""
        try:
            self.check_blob(record, into)
        except (NotFound, IntegrityError):
            return False
        return True

    def touch_blob(self, record: StoredBlob) -> bool:
        """Keep a blob from being pruned for a while. False when it is not there; it may be there and damaged."""
        return self._folder.touch(blob_path(record.sha256))

    def has_blob(self, record: StoredBlob) -> bool:
        """Whether a file is there, right or not."""
        return self._folder.exists(blob_path(record.sha256))

    def add_blob(self, record: StoredBlob, chunks: Iterable[bytes]) -> None:
        """Keep a blob, over whatever damaged file has its name. ``chunks`` must raise when the bytes are wrong."""
        self._folder.write(blob_path(record.sha256), chunks)

    def link_blob(self, record: StoredBlob, source: str, into: VerifiedBlobs | None = None) -> bool:
        """Keep a blob as one more name of the file ``source``. False where that cannot be or the bytes are wrong."""

        def right(chunks: Iterator[bytes]) -> bool:
            try:
                for _ in verified_chunks(chunks, record, what=source, hint="", into=into):
                    pass
            except IntegrityError:
                return False
            return True

        return self._folder.link(blob_path(record.sha256), source, record.size, right)

    # Releases

    def manifest(self, digest: str) -> Manifest:
        """The manifest of an installed release, by its content digest, verified.

        Where registries stored the same content in different bytes, its blob table names those that are cached.
        Raises NotFound, kind ``not-installed``, IntegrityError naming the file, and Untrusted where signatures are
        required.
        """
        read, problems = markers.read_manifests(self._folder, digest)
        if not read:
            raise problems[0] if problems else not_installed(f"the release {digest}")
        manifest = markers.merged_manifest(self._folder, read.values())
        if self._trust is not None:
            self._require_signature(self._trust, manifest)
        return manifest

    def _require_signature(self, trust: Trust, manifest: Manifest) -> None:
        content = manifest.content
        ref = ModelRef(content.namespace, content.model, str(content.version))
        try:
            trust.require(
                Statement("release", str(ref), manifest.digest),
                {content.namespace},
                read=lambda key: self.signature(manifest.digest, key),
                # A revocation that was published is not in the cache; one of the user's own is in the trust itself.
                is_revoked=lambda key: None,
            )
        except Untrusted:
            if not self._is_bundled(ref, manifest.digest):
                raise

    def add_manifest(self, manifest: Manifest, data: bytes) -> None:
        """Keep a verified manifest, as the bytes in which its registry stores it."""
        self._folder.write(markers.manifest_path(manifest.digest, data), [data])

    def touch_release(self, digest: str) -> bool:
        """Keep the manifests and signatures of a release from being pruned for a while. False without a manifest."""
        manifests = markers.manifest_paths(self._folder, digest)
        there = [path for path in manifests if self._folder.touch(path)]
        for path in self._folder.paths(markers.signatures_folder(digest)):
            self._folder.touch(path)
        return bool(there)

    def signature(self, digest: str, key: str) -> bytes | None:
        """The file by which ``key`` signed the release ``digest``, as its registry had it; not verified here."""
        try:
            return self._folder.read(signature_path(digest, key), max_bytes=MAX_RECORD_BYTES)
        except FileNotFoundError:
            return None

    def signers(self, digest: str) -> list[str]:
        """Ids of the keys whose signatures of the release ``digest`` are kept here."""
        paths = self._folder.paths(markers.signatures_folder(digest))
        return sorted(found[1] for found in map(signature_at, paths) if found is not None)

    def add_signature(self, digest: str, key: str, data: bytes) -> None:
        """Keep a signature file, so that the release can be verified when no registry can be asked."""
        self._folder.write(signature_path(digest, key), [data])

    # What is installed

    def mark(self, installed: Installed) -> None:
        """Say that a class is installed: the last write of an installation."""
        markers.write_marker(self._folder, installed)

    def find(self, ref: ModuleRef, digest: str) -> Installed | None:
        """The class when it is marked as installed. Raises IntegrityError when its marker is damaged."""
        return markers.read_marker(self._folder, ref, digest)

    def used(self, ref: ModuleRef, digest: str) -> bool:
        """Say that a class is in use now: pruning to a size takes it last. False when it is not installed."""
        return self._folder.touch(markers.marker_path(ref, digest))

    def installed(self) -> list[Installed]:
        """Every installed class, by name. Raises IntegrityError when a marker is damaged."""
        found = [self.find(ref, digest) for ref, digest in self.marked()]
        return [installed for installed in found if installed is not None]

    def marked(self, prefix: str = "") -> list[tuple[ModuleRef, str]]:
        """Refs and release digests of installed classes, from their markers' names alone.

        ``prefix`` narrows them to a namespace, ``namespace/model`` or ``namespace/model/version``.
        """
        paths = self._folder.paths(f"{markers.INSTALLED}/{prefix}".rstrip("/"))
        return sorted(pair for pair in map(markers.marked_by, paths) if pair is not None)

    def marked_of(self, ref: ModelRef, digest: str) -> set[str]:
        """Slugs of the installed classes of one release with this digest, from their markers' names alone."""
        names = self._folder.names(markers.markers_folder(ref, digest))
        return {name.removesuffix(".json") for name in names if name.endswith(".json")}

    # Aliases

    def remember_alias(self, name: str, target: str) -> None:
        """Let ``name`` lead to ``target`` also when no registry can be asked."""
        markers.write_alias_marker(self._folder, name, target)

    def alias(self, name: str) -> str | None:
        """What an alias led to when something was installed by it. Raises IntegrityError when its file is damaged."""
        return markers.read_alias(self._folder, name)

    def alias_names(self) -> list[str]:
        names = map(markers.alias_at, self._folder.paths(markers.ALIASES))
        return [name for name in names if name is not None]

    # What registries say against modules

    def keep_notices(self, registry: str, namespace: str, data: bytes | None) -> None:
        """Keep what a registry has just said of a namespace, for when it cannot be asked; None for nothing."""
        heard.keep_notices(self._folder, registry, namespace, data)

    def kept_notices(self, namespace: str) -> list[HeardNotices]:
        """What registries said of a namespace when they were last asked."""
        return heard.kept_notices(self._folder, namespace) if heard.has_notices(self._folder) else []

    # Maintenance, imported on use: installing and listing do not need it

    def size(self) -> int:
        """The bytes of all files, also of those that are hard links to a registry's."""
        from modhub.cache import usage  # as verify and prune below: a millisecond or two, and installing does without

        return usage.cache_bytes(self._folder)

    def releases(self) -> list[CachedRelease]:
        """What is installed, by release, with sizes and ages."""
        from modhub.cache import usage

        return usage.cached_releases(self._folder)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> CacheCheck:
        """Hash every file again. ``progress`` is called with the bytes done and in all."""
        from modhub.cache.verify import check

        return check(self._folder, progress)

    def prune(self, *, max_size: int | None = None, dry_run: bool = False) -> Pruned:
        """Delete what no installed module needs and, when ``max_size`` (bytes) is given, modules until the rest fits.

        The least recently used go first, and none that was used within the last hour. Safe while installers run: they
        fetch again what this deletes. Raises IntegrityError, and deletes nothing, when a damaged
        manifest hides what a module needs.
        """
        from modhub.cache.prune import prune

        return prune(self._folder, max_bytes=max_size, dry_run=dry_run)


def cache_folder(cache: str | Path | None, config: Config) -> Path:
    """The folder of the cache that was named, else of the configured one."""
    return Path(cache) if cache is not None else config.cache_folder
