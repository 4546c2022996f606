"""Looking things up: what there is, what a release says, what is installed. Loads no neural network library."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modhub.errors import ModhubError
from modhub.installation.notices import heard_by_namespace
from modhub.installation.registries import registries
from modhub.installation.seen_names import keep_names
from modhub.registry.unreachable import reachable
from modhub.settings.config import load_config, load_trust
from modhub.spec.html import HtmlTable, as_html
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.spec.text import in_short, percent
from modhub.spec.url import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modhub.advisories.matching import Remark
    from modhub.cache.cache import Cache
    from modhub.cache.markers import Installed
    from modhub.installation.context import RegistryUrls
    from modhub.registry.reader import RegistryReader, SearchEntry
    from modhub.spec.registry_files import IndexEntry


@dataclass(frozen=True)
class Hit:
    """What ``search`` found, one module or, when ``cls`` is None, one release. ``ref`` can be installed."""

    ref: str
    cls: str | None
    registry: str
    release: IndexEntry

    def __repr__(self) -> str:
        classes = 1 if self.cls is not None else len(self.release.classes)
        return f"<Hit {self.ref}: {classes:,} of {in_short([self.release.dataset])}, in {in_short([self.registry])}>"

    def _repr_html_(self) -> str:
        return Hits([self])._repr_html_()


class Hits(list[Hit]):
    """What ``search`` found, in order: a list that a notebook shows as a table."""

    def __repr__(self) -> str:
        return f"<{self._count()}: {in_short(hit.ref for hit in self)}>"

    def _count(self) -> str:
        return f"{len(self):,} hit{'' if len(self) == 1 else 's'}"

    def _repr_html_(self) -> str:
        headers = ["name", "version", "data set", "from", "classes", "top-1"]
        rows = (
            [
                hit.ref,
                hit.release.version,
                hit.release.dataset,
                hit.registry,
                "1" if hit.cls is not None else f"{len(hit.release.classes):,}",
                percent(hit.release.top_1),
            ]
            for hit in self
        )
        return as_html(self._count(), (), [HtmlTable(headers, rows, len(self), texts=4)])


def search(
    query: str = "",
    *,
    registry: RegistryUrls = None,
    dataset: str | None = None,
    namespace: str | None = None,
    cls: str | None = None,
    keyword: str | None = None,
    license: str | Sequence[str] | None = None,
    signer: str | None = None,
    input_shape: Sequence[int] | None = None,
    min_accuracy: float | None = None,
    max_size: int | None = None,
    limit: int | None = None,
) -> Hits:
    """Modules and releases whose name, class, data set, keywords or description have every word of ``query``.

    Of each model the newest release counts. One whose own text matches is one hit; else each class that matches is.
    Filters, of which all must hold: ``dataset``, ``namespace``, ``keyword`` (of the card); ``cls``, a class, which
    gives modules of that class; ``license``, SPDX names of licences, under one of which it can be used; ``signer``, a
    key by name, id or in full, whose signature is verified; ``input_shape``, the first axes of what it takes, such as
    (32, 32); ``min_accuracy``, a share of 1, of what was measured last, which images that the modules were made with do
    not count for; ``max_size``, bytes of the whole release. At most ``limit`` hits. Raises UsageError, NotFound for
    what is no licence or key.

    >>> import modhub
    >>> [hit.ref for hit in modhub.search("apple")]
    ['cifar100/r20:apple']
    """
    places = _places(registry)
    shape = tuple(input_shape or ())
    chosen = [
        entry
        for entry in _shown(places)
        if namespace in (None, entry.ref.namespace)
        and dataset in (None, entry.release.dataset)
        and (keyword is None or keyword.lower() in map(str.lower, entry.release.keywords))
        and (entry.release.array_shape or entry.release.input_shape)[: len(shape)] == shape
        and (min_accuracy is None or _is_as_good(entry.release, min_accuracy))
        and (max_size is None or entry.release.size <= max_size)
    ]
    is_signed: Callable[[SearchEntry], bool] | None = None
    if license is not None or signer is not None:
        from modhub.ops.filters import licensed, signed  # SPDX's list and keys, which plain searching does without

        chosen = chosen if license is None else licensed(chosen, license)
        is_signed = None if signer is None else signed(signer, places)
    words = query.lower().split()
    hits = Hits()
    for entry in chosen:
        found = _matches(entry, words, cls)
        # Last, because it reads a file, and only of what is shown.
        if found and (is_signed is None or is_signed(entry)):
            hits += found
        if limit is not None and len(hits) >= limit:
            return Hits(hits[:limit])
    return hits


def list_installed(*, cache: str | Path | None = None) -> list[Installed]:
    """The modules in the local cache."""
    return _cache(cache).installed()


def _cache(folder: str | Path | None) -> Cache:
    from modhub.cache.cache import Cache, cache_folder  # searching does without

    return Cache(cache_folder(folder, load_config()))


def remarks_on_installed(
    installed: Sequence[Installed], *, cache: str | Path | None = None
) -> dict[ModuleRef, list[Remark]]:
    """What registries said against installed modules when they were last asked; nobody is asked now."""
    heard = heard_by_namespace((), _cache(cache), {each.ref.namespace for each in installed})
    found: dict[ModuleRef, list[Remark]] = {}
    for each in installed:
        boards = [file.board for file in heard[each.ref.namespace]]
        remarks = dict.fromkeys(remark for board in boards if board is not None for remark in board.about(each.ref))
        if remarks:
            found[each.ref] = list(remarks)
    return found


def remarks_on_hits(hits: Sequence[Hit], *, registry: RegistryUrls = None) -> list[Remark]:
    """What the registries in which hits were found say against them, each once, in their order."""
    places = {place.url: place for place in _places(registry)}
    found: dict[Remark, None] = {}
    for url in dict.fromkeys(hit.registry for hit in hits if hit.registry in places):
        own = [hit for hit in hits if hit.registry == url]
        heard = heard_by_namespace([places[url]], None, {hit.ref.partition("/")[0] for hit in own})
        for hit in own:
            name, _, slug = hit.ref.partition(":")
            namespace, _, model = name.partition("/")
            version = hit.release.version
            ref = ModuleRef(namespace, model, slug, version) if slug else ModelRef(namespace, model, version)
            for file in heard[namespace]:
                found.update(dict.fromkeys(file.board.about(ref) if file.board is not None else ()))
    return list(found)


def list_available(*, registry: RegistryUrls = None) -> Hits:
    """Every release of every registry, newest version of each model."""
    return Hits(Hit(entry.ref.name, None, entry.registry, entry.release) for entry in _shown(_places(registry)))


def _places(registry: RegistryUrls) -> list[RegistryReader]:
    config = load_config()
    return reachable(registries(registry, config, trust=load_trust(config)))


def _shown(places: Sequence[RegistryReader]) -> list[SearchEntry]:
    """Of each model the release that its plain name gives, from the first registry that has it."""
    found: dict[str, SearchEntry] = {}
    cache = load_config().cache_folder
    for place in places:
        entries = list(place.entries(_warn_of))
        if is_url(place.url) and not place.url.startswith("file:"):
            keep_names(cache, place.url, {each.ref.name: each.release.slugs for each in entries})
        for entry in entries:
            found.setdefault(entry.ref.name, entry)
    return [found[name] for name in sorted(found)]


def _warn_of(error: ModhubError) -> None:
    warnings.warn(str(error), stacklevel=4)


def _is_as_good(release: IndexEntry, share: float) -> bool:
    return release.top_1 is not None and release.top_1 >= share and release.is_held_out is not False


def _matches(entry: SearchEntry, words: list[str], wanted: str | None) -> list[Hit]:
    name, release = entry.ref.name, entry.release
    about = " ".join([name, release.dataset, *release.keywords, release.description or ""]).lower()
    if wanted is None and all(word in about for word in words):
        return [Hit(name, None, entry.registry, release)]
    return [
        Hit(f"{name}:{slug}", cls, entry.registry, release)
        for cls, slug in zip(release.classes, release.slugs, strict=True)
        if (wanted is None or wanted.lower() in (cls.lower(), slug))
        and all(word in f"{about} {cls} {slug}".lower() for word in words)
    ]
