"""The local cache: everything that was installed, content-addressed and believed only after hashing it again.

    blobs/sha256/<2 hex>/<62 hex>                                             stored bytes, as in a registry
    manifests/<release digest>/<file digest>.json                             two registries may store one content twice
    installed/<namespace>/<model>/<version>/<release digest>/<slug>.json      one marker a class, written last
    aliases/<name>.json                                                       aliases that led to something installed

Any number of processes may work in it at once without locks: every file is written under a temporary name and then
renamed, its content follows from its name, and each class has a marker of its own. ``compose`` reads only from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

from modhub.digests import parse_digest, sha256
from modhub.documents import IndexEntry, read_document, write_document
from modhub.errors import Conflict, IntegrityError, NotFound, StorageError
from modhub.limits import MAX_MANIFEST_BYTES, MAX_RECORD_BYTES
from modhub.manifest import Manifest, StoredBlob, read_manifest
from modhub.refs import MODEL_NAME_PATTERN, ModelRef, ModuleRef, check_name, in_order, is_exact, parse_version
from modhub.registry import files
from modhub.registry.index import entry_of
from modhub.registry.layout import blob_path
from modhub.registry.local import FULL
from modhub.registry.verify import verified_blob

MARKER_FORMAT: Final = 1
_AGAIN: Final = "install it again: modhub install"


class _InstalledMarker(BaseModel):
    """One installed class; its release and slug are in its path."""

    model_config = ConfigDict(extra="allow", frozen=True)

    format: int
    ref: str
    name: str
    registry: str


class _AliasMarker(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    format: int
    name: str
    target: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]


@dataclass(frozen=True)
class Installed:
    """One module in the cache.

    ``name`` is the class as the data set spells it, ``digest`` the release's content digest, ``registry`` the URL it
    came from. ``fetched`` counts the bytes that this installation brought for it (what modules share counts at the
    first); ``already`` is True when nothing was missing or damaged.
    """

    ref: ModuleRef
    name: str
    digest: str
    registry: str
    fetched: int = 0
    already: bool = True


class Cache:
    """The cache in one folder, which is created by the first write."""

    def __init__(self, root: str | Path) -> None:
        self.root = files.absolute(root)

    # Blobs

    def blob(self, record: StoredBlob) -> bytes:
        """The stored (compressed) bytes, hashed now. Raises NotFound, kind ``not-installed``, and IntegrityError."""
        path = blob_path(record.sha256)
        return verified_blob(
            lambda bound: self._read(path, max_bytes=bound),
            record,
            what=f"the cached blob {self.root / path}",
            hint=f"{_AGAIN} the modules of this release.",
        )

    def holds(self, record: StoredBlob) -> bool:
        """Whether ``blob`` would give the bytes: there, and still right."""
        try:
            self.blob(record)
        except (NotFound, IntegrityError):
            return False
        return True

    def add_blob(self, record: StoredBlob, data: bytes) -> None:
        """Keep verified bytes, over whatever damaged file has their name."""
        self._write(blob_path(record.sha256), data)

    # Manifests

    def manifest(self, digest: str) -> Manifest:
        """The manifest of an installed release, by its content digest, verified.

        Where registries stored the same content in different bytes, its blob table names those that are cached.
        Raises NotFound, kind ``not-installed``, and IntegrityError naming the file.
        """
        paths = self._list(f"manifests/{_hexadecimal(digest)}")
        if not paths:
            raise self._missing(f"the release {digest}")
        first, *others = [self._manifest_file(path, digest) for path in paths]
        for other in others:
            here = {key: blob for key, blob in other.blobs.items() if self._has_file(blob)}
            first = first.model_copy(update={"blobs": {**first.blobs, **here}})
        return first

    def add_manifest(self, manifest: Manifest, data: bytes) -> None:
        """Keep a verified manifest, as the bytes in which its registry stores it."""
        name = sha256(data).removeprefix("sha256:")
        self._write(f"manifests/{_hexadecimal(manifest.digest)}/{name}.json", data)

    def _manifest_file(self, path: str, digest: str) -> Manifest:
        what = f"the cached manifest {self.root / path}"
        data = self._read(path, max_bytes=MAX_MANIFEST_BYTES)
        try:
            manifest = read_manifest(data, what=what)
        except IntegrityError as error:
            raise IntegrityError(
                error.message, kind=error.kind, hint=f"{_AGAIN} the modules of this release.", **error.data
            ) from error
        if manifest.digest != digest or not path.endswith(f"/{_hexadecimal(sha256(data))}.json"):
            raise IntegrityError(
                f"{what} is another release's: {manifest.digest} instead of {digest}.",
                kind="swapped",
                hint="delete that file, then install the modules of this release again.",
                expected=digest,
                actual=manifest.digest,
            )
        return manifest

    def _has_file(self, record: StoredBlob) -> bool:
        with self._explained(blob_path(record.sha256)):
            return files.exists(self.root, blob_path(record.sha256))

    # What is installed

    def mark(self, installed: Installed) -> None:
        """Say that a class is installed: the last write of an installation."""
        marker = _InstalledMarker(
            format=MARKER_FORMAT, ref=str(installed.ref), name=installed.name, registry=installed.registry
        )
        self._write(_marker_path(installed.ref, installed.digest), write_document(marker))

    def find(self, ref: ModuleRef, digest: str) -> Installed | None:
        """The class when it is marked as installed. Raises IntegrityError when its marker is damaged."""
        path = _marker_path(ref, digest)
        try:
            data = self._read(path, max_bytes=MAX_RECORD_BYTES)
        except NotFound:
            return None
        what = f"the cache's marker {self.root / path}"
        marker = read_document(_InstalledMarker, data, what=what, newest=MARKER_FORMAT)
        if marker.ref != str(ref):
            raise IntegrityError(f"{what} is that of {marker.ref}.", kind="swapped", hint=f"{_AGAIN} {ref}.")
        return Installed(ref, marker.name, digest, marker.registry)

    def installed(self) -> list[Installed]:
        """Every installed class, by name. Raises IntegrityError when a marker is damaged."""
        found = [self.find(ref, digest) for ref, digest in self.marked()]
        return [installed for installed in found if installed is not None]

    def marked(self, prefix: str = "") -> list[tuple[ModuleRef, str]]:
        """Refs and release digests of installed classes, from their markers' names alone."""
        paths = [path.split("/") for path in self._list(f"installed/{prefix}".rstrip("/"))]
        return sorted(
            (ModuleRef(namespace, model, file.removesuffix(".json"), version), f"sha256:{digest}")
            for _, namespace, model, version, digest, file in (path for path in paths if len(path) == 6)
            if is_exact(version)
        )

    # Aliases

    def remember_alias(self, name: str, target: str) -> None:
        """Let ``name`` lead to ``target`` also when no registry can be asked."""
        marker = _AliasMarker(format=MARKER_FORMAT, name=check_name(name, "alias"), target=target)
        self._write(f"aliases/{name}.json", write_document(marker))

    def alias(self, name: str) -> str | None:
        path = f"aliases/{check_name(name, 'alias')}.json"
        try:
            data = self._read(path, max_bytes=MAX_RECORD_BYTES)
        except NotFound:
            return None
        what = f"the cache's alias {self.root / path}"
        marker = read_document(_AliasMarker, data, what=what, newest=MARKER_FORMAT)
        if marker.name != name:
            raise IntegrityError(f"{what} is that of {marker.name!r}.", kind="swapped", hint="delete that file.")
        return marker.target

    def alias_names(self) -> list[str]:
        return [path.split("/")[1].removesuffix(".json") for path in self._list("aliases")]

    # Files

    def _read(self, path: str, *, max_bytes: int) -> bytes:
        with self._explained(path):
            try:
                return files.read(self.root, path, max_bytes=max_bytes)
            except FileNotFoundError as error:
                raise self._missing(str(self.root / path)) from error

    def _write(self, path: str, data: bytes) -> None:
        # Not flushed to the disk: what a power cut takes is noticed by its hash and fetched again.
        with self._explained(path):
            files.replace(self.root, path, data, durable=False)

    def _list(self, prefix: str) -> list[str]:
        with self._explained(prefix):
            return files.walk(self.root, prefix)

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in FULL
            raise StorageError(
                f"the cache cannot use {self.root / path}: {error.strerror or error}.",
                kind="no-space" if full else "storage",
                hint=("free some space on that disk, or set" if full else "set") + " MODHUB_CACHE to another folder.",
                path=str(self.root / path),
            ) from error

    def _missing(self, what: str) -> NotFound:
        return NotFound(f"{what} is not in the cache.", kind="not-installed", hint=f"{_AGAIN} NAME.", path=what)


class CacheCatalog:
    """What is installed, as the resolver sees it: the last place that is asked, and enough without any registry."""

    name = "the cache"

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    @property
    def url(self) -> str:
        return str(self._cache.root)

    def versions(self, namespace: str, model: str) -> list[str]:
        folder = f"{check_name(namespace, 'namespace')}/{check_name(model, 'model')}"
        found = {ref.version for ref, _ in self._cache.marked(folder)}
        return in_order(found)

    def models(self, namespace: str | None = None) -> list[str]:
        prefix = check_name(namespace, "namespace") if namespace else ""
        return sorted({ref.release.name for ref, _ in self._cache.marked(prefix)})

    def alias(self, name: str) -> str | None:
        return self._cache.alias(name)

    def alias_names(self) -> list[str]:
        return self._cache.alias_names()

    def summary(self, ref: ModelRef) -> IndexEntry:
        """The release as far as it is installed: only the classes that are here."""
        marked = self._cache.marked(f"{ref.namespace}/{ref.model}/{ref.version}")
        digests = sorted({digest for _, digest in marked})
        if len(digests) != 1:
            raise Conflict(
                f"{ref} was installed from different registries with different content: {', '.join(digests)}."
                if digests
                else f"{ref} was removed from the cache at this moment.",
                kind="ambiguous-release",
                hint="name the registry that you mean, with --registry.",
                release=str(ref),
                candidates=digests,
            )
        entry = entry_of(self._cache.manifest(digests[0]))
        here = {module.cls for module, _ in marked}
        pairs = [pair for pair in zip(entry.slugs, entry.classes, strict=True) if pair[0] in here]
        return entry.model_copy(
            update={"slugs": tuple(slug for slug, _ in pairs), "classes": tuple(name for _, name in pairs)}
        )


def _hexadecimal(digest: str) -> str:
    return parse_digest(digest).removeprefix("sha256:")


def _marker_path(ref: ModuleRef, digest: str) -> str:
    namespace, model = check_name(ref.namespace, "namespace"), check_name(ref.model, "model")
    version = str(parse_version(ref.version))
    return f"installed/{namespace}/{model}/{version}/{_hexadecimal(digest)}/{check_name(ref.cls, 'class')}.json"
