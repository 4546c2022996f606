"""Fetching what ``diff`` compares: two lockfiles, or the manifests of two releases and the modules that differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modhub.api import load_lock
from modhub.architecture import shapes_of
from modhub.digests import canonical_json, sha256
from modhub.errors import NotFound, UsageError
from modhub.manifest import Manifest, ModuleRecord, StoredBlob
from modhub.package.codec import decode, decode_module, most_bytes, wanted_module
from modhub.places import Places, RegistryUrls
from modhub.project.differences import (
    LockDifference,
    Pair,
    Parts,
    ReleaseDifference,
    lock_difference,
    release_difference,
)
from modhub.project.views import manifest_of
from modhub.refs import parse
from modhub.resolve import LockedProject, Pinned
from modhub.resolve.project_file import LOCK_FILE


def compared_locks(first: str | Path, second: str | Path) -> LockDifference:
    """What differs between two projects' lockfiles, or those in two folders. Raises NotFound, IntegrityError."""
    return lock_difference(_lock(Path(first)), _lock(Path(second)))


def compared_releases(
    first: str,
    second: str,
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    offline: bool = False,
) -> ReleaseDifference:
    """What differs between the releases that two names mean: all classes, or the one class that each name has.

    Raises NotFound, IntegrityError, UsageError when only one of the names has a class.
    """
    places = Places.open(registry, cache, offline=offline)
    found = [places.resolve([name]) for name in (first, second)]
    manifests = [manifest_of(places, pins[0]) for pins in found]
    named = [parse(name).cls is not None for name in (first, second)]
    if named[0] != named[1]:
        raise UsageError(
            f"{first} and {second}: one names a class, the other a whole release.",
            kind="not-comparable",
            hint="compare two releases, or two classes.",
        )
    pairs: list[Pair] | None = None
    if named[0]:
        pairs = [(_record(manifests[0], found[0]), _record(manifests[1], found[1]))]
    sources = {manifest.digest: pins[0].registry for manifest, pins in zip(manifests, found, strict=True)}

    def parts(manifest: Manifest, record: ModuleRecord) -> Parts:
        return _parts(places, sources[manifest.digest], manifest, record)

    return release_difference(manifests[0], manifests[1], parts, pairs)


def _lock(path: Path) -> LockedProject:
    path = path / LOCK_FILE if path.is_dir() else path
    project = load_lock(path).project
    if project is None:
        raise UsageError(
            f"the lockfile {path} is of names alone, not of a project.",
            kind="not-comparable",
            hint="compare lockfiles of projects.",
            path=str(path),
        )
    return project


def _record(manifest: Manifest, pins: Sequence[Pinned]) -> ModuleRecord:
    return next(module for module in manifest.content.modules if module.slug == pins[0].ref.cls)


def _parts(places: Places, source: str, manifest: Manifest, record: ModuleRecord) -> Parts:
    """Digests of a module's masks and of its head; ``source`` is the URL of a registry that has the release."""
    content = manifest.content
    shapes = shapes_of(content.origin.architecture)
    sites = {site.id: tuple(site.shape) for site in content.sites}
    features = shapes[content.origin.architecture.features][0]
    stored = manifest.blobs[record.blob]
    most = most_bytes(wanted_module(sites, features), stored.size)
    decoded = decode(_blob(places, source, stored), stored, record.blob, most=most)
    head, keep, _ = decode_module(decoded, sites, features)
    masks = sha256(canonical_json({site: sha256(keep[site].tobytes()) for site in sites}))
    return masks, sha256(head.kernel.tobytes() + head.bias.tobytes())


def _blob(places: Places, source: str, record: StoredBlob) -> bytes:
    """The stored bytes of a blob: the cache's, else its registry's."""
    try:
        return places.cache.blob(record)
    except NotFound:
        registry = next((each for each in places.registries if each.url == source), None)
        if registry is None:
            raise
        return registry.blob(record)
