"""The corridor: each public verb as a short recipe over the rooms. Only the verbs that need a heavy room enter it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modhub.cache import Cache, CacheCatalog, Installed
from modhub.config import Config, load_config, publishing_registry, registries
from modhub.documents import IndexEntry
from modhub.errors import ModhubError, RegistryUnreachable
from modhub.installation import Progress as BytesProgress
from modhub.installation import install as install_pinned
from modhub.manifest import Manifest
from modhub.refs import ModelRef, in_order, parse_version
from modhub.registry import Registry, versioned
from modhub.resolve import Catalog, Pinned, resolve, select_version

if TYPE_CHECKING:
    from modhub.composition.composite import Composite
    from modhub.composition.plan import Plan
    from modhub.module import Module
    from modhub.package.decomposition import Decomposition

RegistryUrls = str | Sequence[str] | None


@dataclass(frozen=True)
class Release:
    """What ``publish`` gives. ``created`` is False when equal content stood there already; sizes in bytes."""

    ref: ModelRef
    digest: str
    registry: str
    created: bool
    classes: tuple[str, ...]
    size: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """What ``search`` found, one module or, when ``cls`` is None, one release. ``ref`` can be installed."""

    ref: str
    cls: str | None
    registry: str
    release: IndexEntry


@dataclass(frozen=True)
class Details:
    """A release as ``info`` shows it: its manifest, the classes asked for, and where it was found."""

    ref: ModelRef
    registry: str
    manifest: Manifest
    slugs: tuple[str, ...]


def decompose(
    model: Any,
    x: Any,
    y: Any,
    *,
    classes: Sequence[str],
    name: str,
    rescale: float = 1.0,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    validation: tuple[Any, Any] | None = None,
    samples_per_class: int = 1000,
    observe: str = "relu",
    backtrack: str = "last-conv",
    rule: str = "text",
    delta: float | str = 0.5,
    seed: int = 0,
    batch_size: int = 256,
    dataset: str = "data",
    validation_dataset: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Decomposition:
    """Cut a trained Keras image classifier into one module per output class (Pan & Rajan, ICSE 2022).

    ``x`` are raw images (N, H, W, C), uint8 or float; ``y`` labels (N,), the label's index in ``classes``, which stand
    in the order of the model's outputs. ``name`` is ``namespace/model``. ``(x * rescale - mean) / std`` is what the
    model was trained on; it travels with the modules. ``validation`` (x, y) measures each module; the figures are kept
    under ``validation_dataset``, as ``dataset`` names what was observed.

    ``observe``: ``relu`` masks every ReLU's output, ``conv`` every convolution's own (the paper's literal reading).
    ``backtrack``: ``none``, ``last-conv`` or ``input``; ``rule``: ``text`` or ``printed``; ``delta``: a number or a
    quantile such as ``"q95"``. ``progress`` is told batches done and in all.

    Raises UnsupportedModel, InvalidData, UsageError.
    """
    from modhub.engine.decomposing import decompose_model

    return decompose_model(
        model,
        x,
        y,
        classes=classes,
        name=name,
        rescale=rescale,
        mean=mean,
        std=std,
        validation=validation,
        data_name=dataset,
        validation_name=validation_dataset or f"{dataset} (validation)",
        options={
            "observe": observe,
            "backtrack": backtrack,
            "rule": rule,
            "delta": delta,
            "samples_per_class": samples_per_class,
            "seed": seed,
            "batch_size": batch_size,
        },
        progress=progress,
    )


def load(folder: str | Path) -> Decomposition:
    """Read back what ``Decomposition.save`` wrote. Raises NotFound, IntegrityError, Incompatible."""
    from modhub.package.decomposition import decomposition_from
    from modhub.package.folder import load_blob, load_manifest

    root = Path(folder)
    return decomposition_from(load_manifest(root), lambda digest, record: load_blob(root, record))


def publish(
    decomposition_or_folder: Decomposition | str | Path, *, version: str | None = None, registry: str | None = None
) -> Release:
    """Publish all modules of one decomposition as an immutable release.

    Without ``version``, equal content gives the release that exists, else the next minor version is taken. Publishing
    equal content again changes nothing. Raises Conflict when the version has other content.
    """
    from modhub.package.decomposition import decomposition_from
    from modhub.package.folder import load_package

    if version is not None:
        parse_version(version)
    if isinstance(decomposition_or_folder, (str, Path)):
        package = load_package(Path(decomposition_or_folder))
        # A folder may come from anywhere: what does not decode and fit its architecture is never published.
        decomposition_from(package.manifest, lambda _, record: package.blobs[record.sha256])
    else:
        package = decomposition_or_folder.package

    target = publishing_registry(registry, load_config())
    if version is None:
        published = target.publish_next(package.manifest, package.blobs)
    else:
        published = target.publish(versioned(package.manifest, version), package.blobs)
    return Release(
        ref=published.ref,
        digest=published.digest,
        registry=published.registry,
        created=published.created,
        classes=tuple(module.name for module in package.manifest.content.modules),
        size=sum(blob.size for blob in package.manifest.blobs.values()),
        warnings=published.warnings,
    )


def install(
    refs: str | Sequence[str],
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    progress: BytesProgress | None = None,
) -> list[Installed]:
    """Bring modules into the local cache, verified: one weights blob a release, and each module's own.

    ``registry``: one URL or several in order; without it those configured. ``progress`` is told what, bytes done and in
    all. Raises NotFound, IntegrityError, RegistryUnreachable, StorageError.
    """
    places = _Places.open(registry, cache)
    return install_pinned(places.resolve(_as_list(refs)), places.registries, places.cache, progress)


def compose(
    refs: Any, *, registry: RegistryUrls = None, cache: str | Path | None = None, reject: bool = False
) -> Composite:
    """A classifier of modules of any origins. No training.

    ``refs``: names, modules and composites, one or a list; what is not installed is installed first. With ``reject`` it
    answers "none of these" when no module is positive. Raises NotFound, Incompatible, Conflict, UsageError.
    """
    from modhub.composition.composite import Composite, members_of
    from modhub.composition.plan import make_plan

    backend = _Backend(registry, cache)
    parts = list(refs) if isinstance(refs, Iterable) and not isinstance(refs, str) else [refs]
    return Composite(make_plan(members_of(parts, backend)), backend, reject)


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
    """
    config = load_config()
    words = query.lower().split()
    hits: list[Hit] = []
    for entry in _newest(registries(registry, config)):
        ref, release = entry
        if namespace not in (None, ref[0].namespace) or dataset not in (None, release.dataset):
            continue
        hits += _matches(ref[0], ref[1], release, words)
        if limit is not None and len(hits) >= limit:
            return hits[:limit]
    return hits


def info(ref: str, *, registry: RegistryUrls = None, cache: str | Path | None = None) -> Details:
    """Everything a release says of itself, or of one of its classes. Raises NotFound."""
    places = _Places.open(registry, cache)
    pinned = places.resolve([ref])
    first = pinned[0]
    source = next((r for r in places.registries if r.url == first.registry), None)
    manifest = source.manifest(first.ref.release) if source else places.cache.manifest(first.digest)
    return Details(first.ref.release, first.registry, manifest, tuple(pin.ref.cls for pin in pinned))


def list_installed(*, cache: str | Path | None = None) -> list[Installed]:
    """The modules in the local cache."""
    return _cache(cache, load_config()).installed()


def list_available(*, registry: RegistryUrls = None) -> list[Hit]:
    """Every release of every registry, newest version of each model."""
    entries = _newest(registries(registry, load_config()))
    return [Hit(ref.name, None, url, release) for (ref, url), release in entries]


def _as_list(refs: str | Sequence[str]) -> list[str]:
    return [refs] if isinstance(refs, str) else list(refs)


def _cache(cache: str | Path | None, config: Config) -> Cache:
    return Cache(Path(cache) if cache is not None else config.cache_folder)


def _newest(places: Iterable[Registry]) -> list[tuple[tuple[ModelRef, str], IndexEntry]]:
    """The newest version of each model, a pre-release only where there is no other; the first registry that has it."""
    found: dict[str, tuple[tuple[ModelRef, str], IndexEntry]] = {}
    for place in places:
        own: dict[str, dict[str, tuple[tuple[ModelRef, str], IndexEntry]]] = {}
        for entry in place.entries(_warn_of):
            own.setdefault(entry.ref.name, {})[entry.ref.version] = (entry.ref, entry.registry), entry.release
        for name, versions in own.items():
            newest = select_version(versions, None) or in_order(versions)[-1]
            found.setdefault(name, versions[newest])
    return [found[name] for name in sorted(found)]


def _warn_of(error: ModhubError) -> None:
    warnings.warn(str(error), stacklevel=4)


def _matches(ref: ModelRef, registry: str, release: IndexEntry, words: list[str]) -> list[Hit]:
    about = f"{ref.name} {release.dataset}".lower()
    if all(word in about for word in words):
        return [Hit(ref.name, None, registry, release)]
    return [
        Hit(f"{ref.name}:{slug}", name, registry, release)
        for name, slug in zip(release.classes, release.slugs, strict=True)
        if all(word in f"{about} {name} {slug}".lower() for word in words)
    ]


@dataclass(frozen=True)
class _Places:
    """Where names are looked up: ``catalogs`` in order, the cache last."""

    config: Config
    registries: list[Registry]
    cache: Cache
    catalogs: list[Catalog]

    @classmethod
    def open(cls, registry: RegistryUrls, cache: str | Path | None) -> _Places:
        """Raises RegistryUnreachable when a registry does not exist."""
        config = load_config()
        found, own = registries(registry, config), _cache(cache, config)
        return cls(config, found, own, [*found, CacheCatalog(own)])

    @classmethod
    def open_or_cached(cls, registry: RegistryUrls, cache: str | Path | None) -> _Places:
        """As ``open``, but what is installed stands in, first and with a warning, for a registry that is gone."""
        try:
            return cls.open(registry, cache)
        except RegistryUnreachable as error:
            config = load_config()
            own = _cache(cache, config)
            if not own.marked():
                raise
            warnings.warn(f"{error.message} Using what is installed.", stacklevel=5)
            found = registries(registry, config, skip_missing=True)
            return cls(config, found, own, [CacheCatalog(own), *found])

    def resolve(self, refs: Sequence[str]) -> list[Pinned]:
        return resolve(refs, self.catalogs, self.config.aliases)


class _Backend:
    """How composites find and run modules: through the verified cache, on the engine."""

    def __init__(self, registry: RegistryUrls, cache: str | Path | None) -> None:
        self._registry = registry
        self._cache = cache

    def find(self, refs: Sequence[str]) -> list[Module]:
        from modhub.package.decomposition import modules_from

        places = _Places.open_or_cached(self._registry, self._cache)
        pinned = places.resolve(refs)
        install_pinned(pinned, places.registries, places.cache)
        found: dict[Pinned, Module] = {}
        for digest in dict.fromkeys(pin.digest for pin in pinned):
            own = [pin for pin in dict.fromkeys(pinned) if pin.digest == digest]
            manifest = places.cache.manifest(digest)
            modules = modules_from(manifest, lambda _, record: places.cache.blob(record), [pin.ref.cls for pin in own])
            found |= dict(zip(own, modules, strict=True))
        return [found[pin] for pin in pinned]

    def runner(self, plan: Plan) -> Any:
        from modhub.engine.runner import PlanRunner

        return PlanRunner(plan)

    def to_keras(self, plan: Plan) -> Any:
        from modhub.engine.export import to_keras

        return to_keras(plan)
