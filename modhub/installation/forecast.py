"""What installing would fetch, without fetching or writing any of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modhub.cache.cache import Cache
from modhub.cache.catalog import CacheCatalog
from modhub.cache.markers import needed_blobs
from modhub.errors import IntegrityError, NotFound
from modhub.installation.context import Places
from modhub.resolve.catalog import Pinned
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef


@dataclass(frozen=True)
class Forecast:
    """Modules of one release: the bytes that would be fetched for them, and those that the cache has already.

    What releases share counts for the first. That a file is in the cache is believed here; installing hashes it.
    """

    release: ModelRef
    digest: str
    registry: str
    classes: tuple[str, ...]
    fetch: int
    here: int


def forecast(places: Places, pinned: Sequence[Pinned]) -> list[Forecast]:
    """For each release of ``pinned`` what ``places.install`` would fetch. Reads manifests, as resolving does."""
    grouped: dict[tuple[str, ModelRef, str], list[Pinned]] = {}
    for pin in dict.fromkeys(pinned):
        grouped.setdefault((pin.registry, pin.ref.release, pin.digest), []).append(pin)
    sources = {registry.url: registry for registry in places.registries}
    seen: set[str] = set()
    found = []
    for (url, release, digest), pins in grouped.items():
        slugs = [pin.ref.cls for pin in pins]
        cached = _cached(places.cache, digest)
        if url in sources:
            manifest, data = sources[url].release(release)
        elif cached is not None and url == CacheCatalog(places.cache).url:
            manifest, data = cached, b""
        else:
            raise NotFound(f"{release} was found in {url}, which is not searched.", kind="no-registry", registry=url)
        blobs = {blob.sha256: blob for each in needed_blobs(manifest, slugs).values() for blob in each}
        new = [blob for sha256, blob in blobs.items() if sha256 not in seen]
        seen |= blobs.keys()
        here = sum(blob.size for blob in new if places.cache.has_blob(blob))
        fetch = sum(blob.size for blob in new) - here
        # Whatever is fetched of a release, its manifest is fetched with it.
        fetch += len(data) if fetch or cached is None else 0
        found.append(Forecast(release, digest, url, tuple(slugs), fetch, here))
    return found


def _cached(cache: Cache, digest: str) -> Manifest | None:
    try:
        return cache.manifest(digest)
    except (NotFound, IntegrityError):
        return None
