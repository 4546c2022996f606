"""Hashing the whole cache again: what is damaged or missing, and which modules that affects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from modhub.cache import markers
from modhub.cache.files import Folder, Found
from modhub.cache.markers import Marked, marks_among, needed_blobs
from modhub.cache.usage import all_files, by_release, is_ours
from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.limits import MAX_BLOB_BYTES, MAX_RECORD_BYTES
from modhub.spec.layout import BLOBS, SIGNATURES, blob_path
from modhub.spec.manifest import Manifest, StoredBlob
from modhub.spec.refs import ModuleRef
from modhub.spec.registry_files import SIGNATURE_FORMAT, SignatureFile, read_document
from modhub.storage.parallel import each
from modhub.storage.verify import verified_chunks

_AT_ONCE: Final = 4
_BAD: Final = (IntegrityError, Incompatible, NotFound)


@dataclass(frozen=True)
class Damage:
    """One file that is not what its name promises, or is missing, and the installed modules that need it."""

    path: str
    kind: str
    message: str
    modules: tuple[ModuleRef, ...]


@dataclass(frozen=True)
class CacheCheck:
    """How many files were checked, of how many bytes, and which of them are damaged, by path."""

    files: int
    size: int
    damaged: tuple[Damage, ...]

    @property
    def affected(self) -> tuple[ModuleRef, ...]:
        """The modules that have to be installed again."""
        return tuple(sorted({module for damage in self.damaged for module in damage.modules}))


@dataclass
class _Needed:
    """A blob's record and the modules that need it; without them, only its name says what it has to be."""

    record: StoredBlob
    modules: list[ModuleRef] = field(default_factory=list)


def check(folder: Folder, progress: Callable[[int, int], None] | None) -> CacheCheck:
    """See ``Cache.verify``."""
    found = {path: file for path, file in all_files(folder).items() if _is_checked(path)}
    marks = marks_among(found.values())
    blobs: dict[str, _Needed] = {}
    damaged = list(_damaged_releases(folder, found, marks, blobs))
    for path, file in found.items():
        if path.startswith(f"{BLOBS}/"):
            blobs.setdefault(path, _Needed(_named(path, file.size)))
    meter = _Meter(progress, sum(blob.record.size for blob in blobs.values()))
    damaged += filter(None, each(lambda item: _damaged_blob(folder, *item, meter), blobs.items(), at_once=_AT_ONCE))
    damaged += filter(None, (_damaged_document(folder, path) for path in found))
    size = sum(file.size for file in found.values())
    return CacheCheck(len(found), size, tuple(sorted(damaged, key=lambda damage: damage.path)))


def _is_checked(path: str) -> bool:
    return is_ours(path) or markers.marked_by(path) is not None or markers.alias_at(path) is not None


def _damaged_releases(
    folder: Folder, found: Mapping[str, Found], marks: Sequence[Marked], blobs: dict[str, _Needed]
) -> Iterator[Damage]:
    """What is wrong with manifests; the blobs that the good ones say installed modules need come into ``blobs``."""
    installed = by_release(marks)
    folders = {path.split("/")[1] for path in found if path.startswith(f"{markers.MANIFESTS}/")}
    for digest in sorted({*installed, *(f"sha256:{name}" for name in folders)}):
        own = installed.get(digest, [])
        good: list[Manifest] = []
        bad: list[tuple[str, ModhubError]] = []
        for path in markers.manifest_paths(folder, digest):
            try:
                good.append(markers.read_manifest_file(folder, path, digest))
            except _BAD as error:
                bad.append((path, error))
        if own and not good and not bad:
            path = f"{markers.manifests_folder(digest)}/"
            bad = [(path, markers.not_installed(f"the manifest of {own[0].ref.release}"))]
        # A damaged manifest next to a good one affects no module: what only it says counts as missing.
        affected = () if good else tuple(mark.ref for mark in own)
        yield from (Damage(path, error.kind, error.message, affected) for path, error in bad)
        if good:
            needed = needed_blobs(markers.merged_manifest(folder, good), [mark.ref.cls for mark in own])
            for mark in own:
                for record in needed.get(mark.ref.cls, ()):
                    blobs.setdefault(blob_path(record.sha256), _Needed(record)).modules.append(mark.ref)


def _damaged_blob(folder: Folder, path: str, needed: _Needed, meter: _Meter) -> Damage | None:
    what = f"the cached blob {folder.root / path}"
    chunks = folder.stream(path, max_bytes=needed.record.size)
    try:
        for chunk in verified_chunks(chunks, needed.record, what=what, hint=""):
            meter.add(len(chunk))
    except FileNotFoundError:
        # What is not needed was pruned meanwhile.
        gone = markers.not_installed(what)
        return Damage(path, gone.kind, gone.message, tuple(needed.modules)) if needed.modules else None
    except IntegrityError as error:
        # Of what is not needed only the digest is known, not the size.
        message = error.message if needed.modules else f"{what} has not the bytes that its name promises."
        return Damage(path, error.kind, message, tuple(needed.modules))
    return None


def _damaged_document(folder: Folder, path: str) -> Damage | None:
    """What is wrong with a marker, an alias or a signature."""
    modules: tuple[ModuleRef, ...] = ()
    try:
        if (pair := markers.marked_by(path)) is not None:
            modules = (pair[0],)
            markers.read_marker(folder, *pair)
        elif (alias := markers.alias_at(path)) is not None:
            markers.read_alias(folder, alias)
        elif path.startswith(f"{SIGNATURES}/"):
            _read_signature(folder, path)
    except _BAD as error:
        return Damage(path, error.kind, error.message, modules)
    return None


def _read_signature(folder: Folder, path: str) -> None:
    what = f"the cached signature {folder.root / path}"
    try:
        data = folder.read(path, max_bytes=MAX_RECORD_BYTES)
    except FileNotFoundError:
        return
    signature = read_document(SignatureFile, data, what=what, newest=SIGNATURE_FORMAT)
    if not path.endswith(f"/{signature.key}.json"):
        raise IntegrityError(f"{what} is that of the key {signature.key}.", kind="swapped")


def _named(path: str, size: int) -> StoredBlob:
    """The record of a blob of which nothing is known but its name; an empty file is none."""
    digest = "sha256:" + "".join(path.split("/")[2:])
    return StoredBlob(sha256=digest, size=min(max(size, 1), MAX_BLOB_BYTES), decoded_size=1)


class _Meter:
    """Counts bytes from several threads."""

    def __init__(self, report: Callable[[int, int], None] | None, total: int) -> None:
        self._report = report
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._report is not None:
                self._report(self._done, self._total)
