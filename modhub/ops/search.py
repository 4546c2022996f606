"""Looking things up: what there is, what a release says, what is installed. Loads no neural network library."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.errors import ModhubError
from modhub.installation.registries import registries
from modhub.registry.unreachable import reachable
from modhub.settings.config import load_config, load_trust

if TYPE_CHECKING:
    from modhub.cache.markers import Installed
    from modhub.installation.context import RegistryUrls
    from modhub.registry.reader import SearchEntry
    from modhub.spec.registry_files import IndexEntry


@dataclass(frozen=True)
class Hit:
    """What ``search`` found, one module or, when ``cls`` is None, one release. ``ref`` can be installed."""

    ref: str
    cls: str | None
    registry: str
    release: IndexEntry


def search(
    query: str = "",
    *,
    registry: RegistryUrls = None,
    dataset: str | None = None,
    namespace: str | None = None,
    limit: int | None = None,
) -> list[Hit]:
    """Modules and releases whose name, class or data set contains every word of ``query``, newest version of each.

    Filters by ``dataset`` and ``namespace``; at most ``limit`` hits. A release whose own name matches is one hit; else
    each class that matches is one.

    >>> import modhub
    >>> [hit.ref for hit in modhub.search("apple")]
    ['cifar100/r20:apple']
    """
    words = query.lower().split()
    hits: list[Hit] = []
    for entry in _shown(registry):
        if namespace not in (None, entry.ref.namespace) or dataset not in (None, entry.release.dataset):
            continue
        hits += _matches(entry, words)
        if limit is not None and len(hits) >= limit:
            return hits[:limit]
    return hits


def list_installed(*, cache: str | Path | None = None) -> list[Installed]:
    """The modules in the local cache."""
    from modhub.cache.cache import Cache, cache_folder

    return Cache(cache_folder(cache, load_config())).installed()


def list_available(*, registry: RegistryUrls = None) -> list[Hit]:
    """Every release of every registry, newest version of each model."""
    return [Hit(entry.ref.name, None, entry.registry, entry.release) for entry in _shown(registry)]


def _shown(registry: RegistryUrls) -> list[SearchEntry]:
    """Of each model the release that its plain name gives, from the first registry that has it."""
    config = load_config()
    found: dict[str, SearchEntry] = {}
    for place in reachable(registries(registry, config, trust=load_trust(config))):
        for entry in place.entries(_warn_of):
            found.setdefault(entry.ref.name, entry)
    return [found[name] for name in sorted(found)]


def _warn_of(error: ModhubError) -> None:
    warnings.warn(str(error), stacklevel=4)


def _matches(entry: SearchEntry, words: list[str]) -> list[Hit]:
    name, release = entry.ref.name, entry.release
    about = f"{name} {release.dataset}".lower()
    if all(word in about for word in words):
        return [Hit(name, None, entry.registry, release)]
    return [
        Hit(f"{name}:{slug}", cls, entry.registry, release)
        for cls, slug in zip(release.classes, release.slugs, strict=True)
        if all(word in f"{about} {cls} {slug}".lower() for word in words)
    ]
