"""From registries into the local cache: only what was asked for, verified, nothing half done to be seen.

A module counts as installed when its marker is there, and the marker is written after everything that it needs. So an
installation that is interrupted at any point leaves either the module or nothing but bytes that the next one uses.
What is in the cache already is hashed again and repaired, never believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from modhub.cache import Cache, CacheCatalog, Installed
from modhub.errors import IntegrityError, NotFound
from modhub.manifest import Manifest, StoredBlob
from modhub.refs import ModelRef
from modhub.registry import Registry
from modhub.resolve import Pinned

#: Called with what is being fetched, the bytes done and the bytes in all.
Progress = Callable[[str, int, int], None]


def install(
    pinned: Sequence[Pinned], registries: Sequence[Registry], cache: Cache, progress: Progress | None = None
) -> list[Installed]:
    """Bring modules into the cache: for each release its manifest and one weights blob, for each module its own blob.

    ``registries`` are those that ``pinned`` was resolved with; a module pinned to the cache itself is only verified.
    Gives one result for each of ``pinned``, in order. Raises IntegrityError, RegistryUnreachable, StorageError.
    """
    sources = {registry.url: registry for registry in registries}
    releases: dict[tuple[str, ModelRef, str], list[Pinned]] = {}
    for pin in dict.fromkeys(pinned):
        releases.setdefault((pin.registry, pin.ref.release, pin.digest), []).append(pin)
    results: dict[Pinned, Installed] = {}
    for (url, ref, digest), pins in releases.items():
        if url not in sources and url != CacheCatalog(cache).url:
            raise NotFound(
                f"{ref} was found in {url}, which is not among the registries given.", kind="no-registry", registry=url
            )
        results |= _Installation(sources.get(url), ref, digest, pins, cache, progress).run()
    return [results[pin] for pin in pinned]


class _Installation:
    """Some modules of one release. ``source`` None means that the cache has to have everything."""

    def __init__(
        self,
        source: Registry | None,
        ref: ModelRef,
        digest: str,
        pins: Sequence[Pinned],
        cache: Cache,
        progress: Progress | None,
    ) -> None:
        self._source = source
        self._ref = ref
        self._digest = digest
        self._pins = pins
        self._cache = cache
        self._progress = progress
        self._sound: dict[str, bool] = {}

    def run(self) -> dict[Pinned, Installed]:
        if self._source is None:
            return self._verified()
        manifest, fetched = self._cached_manifest(), 0
        if manifest is None:
            manifest, fetched = self._fetched_manifest(self._source)
        missing = {blob.sha256: blob for blob in self._needed(manifest, self._pins) if not self._is_sound(blob)}
        total, done = sum(blob.size for blob in missing.values()), 0
        results = {}
        for pin in self._pins:
            for blob in self._needed(manifest, [pin]):
                if missing.pop(blob.sha256, None) is not None:
                    self._cache.add_blob(blob, self._source.blob(blob))
                    done += blob.size
                    fetched += blob.size
                    if self._progress is not None:
                        self._progress(f"installing {self._ref}", done, total)
            results[pin] = self._marked(pin, fetched)
            fetched = 0
        return results

    def _verified(self) -> dict[Pinned, Installed]:
        manifest = self._cache.manifest(self._digest)
        for blob in self._needed(manifest, self._pins):
            self._cache.blob(blob)
        results = {pin: self._cache.find(pin.ref, pin.digest) for pin in self._pins}
        if missing := [pin for pin, installed in results.items() if installed is None]:
            raise NotFound(
                f"{missing[0].ref} is not in the cache.",
                kind="not-installed",
                hint=f"install it from a registry: modhub install {missing[0].ref}",
            )
        return {pin: installed for pin, installed in results.items() if installed is not None}

    def _cached_manifest(self) -> Manifest | None:
        """The cached manifest when the cache has all that is needed besides, else None: the registry is asked."""
        try:
            manifest = self._cache.manifest(self._digest)
        except (NotFound, IntegrityError):
            return None
        return manifest if all(self._is_sound(blob) for blob in self._needed(manifest, self._pins)) else None

    def _fetched_manifest(self, source: Registry) -> tuple[Manifest, int]:
        manifest, data = source.release(self._ref)
        if manifest.digest != self._digest:
            raise IntegrityError(
                f"{self._ref} in {source.name} was {self._digest} and is now {manifest.digest}.",
                kind="release-changed",
                hint="releases never change: do not use this registry before its keeper has explained it.",
                expected=self._digest,
                actual=manifest.digest,
            )
        self._cache.add_manifest(manifest, data)
        return manifest, len(data)

    def _needed(self, manifest: Manifest, pins: Sequence[Pinned]) -> list[StoredBlob]:
        """The one weights blob and the modules' own."""
        modules = {module.slug: module for module in manifest.content.modules}
        keys = [manifest.content.origin.weights, *(modules[pin.ref.cls].blob for pin in pins)]
        return [manifest.blobs[key] for key in dict.fromkeys(keys)]

    def _is_sound(self, blob: StoredBlob) -> bool:
        if blob.sha256 not in self._sound:
            self._sound[blob.sha256] = self._cache.holds(blob)
        return self._sound[blob.sha256]

    def _marked(self, pin: Pinned, fetched: int) -> Installed:
        for alias in pin.aliases:
            if self._cache.alias(alias) != pin.ref.release.name:
                self._cache.remember_alias(alias, pin.ref.release.name)
        try:
            standing = self._cache.find(pin.ref, pin.digest)
        except IntegrityError:
            standing = None
        installed = Installed(pin.ref, pin.name, pin.digest, pin.registry, fetched, already=False)
        if standing is None or standing.registry != pin.registry:
            self._cache.mark(installed)
        return replace(installed, already=standing is not None and not fetched)


__all__ = ["Cache", "CacheCatalog", "Installed", "Progress", "install"]
