"""The corridor: each public verb as a short recipe over the rooms. Only the verbs that need a heavy room enter it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modhub.cache import Installed
from modhub.config import load_config, load_trust, publishing_registry, registries
from modhub.documents import IndexEntry
from modhub.errors import InvalidRef, ModhubError, NotFound, StorageError
from modhub.installation import Progress as BytesProgress
from modhub.limits import MAX_LOCK_BYTES
from modhub.manifest import Manifest
from modhub.places import Backend, Places, RegistryUrls, cache_of
from modhub.refs import ModelRef, is_exact, parse, parse_version
from modhub.registry import SearchEntry, files, versioned
from modhub.resolve import Lock, read_lock

if TYPE_CHECKING:
    from modhub.composition.composite import Composite
    from modhub.package.decomposition import Decomposition
    from modhub.signing import Signer


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
    decomposition_or_folder: Decomposition | str | Path,
    *,
    version: str | None = None,
    registry: str | None = None,
    sign: str | Signer | None = None,
    progress: BytesProgress | None = None,
) -> Release:
    """Publish all modules of one decomposition as an immutable release.

    Without ``version``, equal content gives the release that exists, else the next minor version is taken. Publishing
    equal content again changes nothing. ``sign`` names one of the user's keys, or is one. ``progress`` is told what,
    bytes done and in all. Raises Conflict when the version has other content.
    """
    from modhub.package.decomposition import decomposition_from
    from modhub.package.folder import load_package

    if version is not None:
        parse_version(version)
    signer = _signer(sign)
    if isinstance(decomposition_or_folder, (str, Path)):
        package = load_package(Path(decomposition_or_folder))
        # A folder may come from anywhere: what does not decode and fit its architecture is never published.
        decomposition_from(package.manifest, lambda _, record: package.blobs[record.sha256])
    else:
        package = decomposition_or_folder.package

    target = publishing_registry(registry, load_config())
    if version is None:
        published = target.publish_next(package.manifest, package.blobs, signer=signer, progress=progress)
    else:
        published = target.publish(
            versioned(package.manifest, version), package.blobs, signer=signer, progress=progress
        )
    return Release(
        ref=published.ref,
        digest=published.digest,
        registry=published.registry,
        created=published.created,
        classes=tuple(module.name for module in package.manifest.content.modules),
        size=sum(blob.size for blob in package.manifest.blobs.values()),
        warnings=published.warnings,
    )


def yank(
    ref: str, reason: str, *, undo: bool = False, registry: str | None = None, sign: str | Signer | None = None
) -> bool:
    """Let resolution skip the release ``namespace/model@version`` (or with ``undo``, find it again).

    Lockfiles still install it, with a warning. False when it was so already. Raises NotFound, UsageError.
    """
    target = publishing_registry(registry, load_config())
    return target.yank(release_named(ref), reason, undo=undo, signer=_signer(sign))


def release_named(ref: str) -> ModelRef:
    """The one release that ``namespace/model@version`` names. Raises InvalidRef."""
    request = parse(ref)
    if not request.is_qualified or request.cls is not None or not is_exact(request.version or ""):
        raise InvalidRef(
            f"{ref!r} is not a release's name.",
            hint="write namespace/model@version, for example me/net@1.0.0.",
            name=ref,
        )
    namespace, model = request.base.split("/")
    return ModelRef(namespace, model, str(request.version))


def install(
    refs: str | Sequence[str] = (),
    *,
    locked: str | Path | None = None,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    offline: bool = False,
    require_signature: bool | None = None,
    progress: BytesProgress | None = None,
) -> list[Installed]:
    """Bring modules into the local cache, verified: one weights blob a release, and each module's own.

    ``locked``: a lockfile, in the place of ``refs``. ``registry``: one URL or several in order; without it those
    configured. ``offline`` uses the cache alone. ``require_signature`` believes only what a trusted key has signed;
    None leaves it to the configuration. ``progress`` is told what, bytes done and in all.

    Raises NotFound, IntegrityError, RegistryUnreachable, StorageError.
    """
    places = Places.open(registry, cache, offline=offline, require_signature=require_signature)
    pinned = places.resolve(_as_list(refs)) if locked is None else places.unlock(load_lock(locked))
    return places.install(pinned, progress)


def lock(
    refs: str | Sequence[str],
    file: str | Path,
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
) -> Lock:
    """Write down exactly which modules names mean now; ``install(locked=file)`` installs the same anywhere."""
    found = Lock.of(Places.open(registry, cache).resolve(_as_list(refs)))
    try:
        files.overwrite(files.absolute(file), found.to_text().encode(), durable=True)
    except OSError as error:
        raise StorageError(
            f"the lockfile {file} cannot be written: {error.strerror or error}.",
            hint="free the disk, or choose another place with --out.",
            path=str(file),
        ) from error
    return found


def load_lock(file: str | Path) -> Lock:
    """A lockfile. Raises NotFound, kind ``no-lock``, and IntegrityError."""
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(MAX_LOCK_BYTES + 1)
    except OSError as error:
        raise NotFound(
            f"the lockfile {file} cannot be read: {error.strerror or error}.",
            kind="no-lock",
            hint="write one: modhub lock REF... --out FILE",
            path=str(file),
        ) from error
    return read_lock(data, what=f"the lockfile {file}")


def compose(
    refs: Any,
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    adapt: str | None = None,
    size: tuple[int, int] | None = None,
    reject: bool = False,
) -> Composite:
    """A classifier of modules of any origins. No training.

    ``refs``: names, modules and composites, one or a list; what is not installed is installed first. ``adapt`` lets
    modules that take other images than the composite see them through an adapter: ``resize`` stretches, ``crop`` keeps
    the middle, ``letterbox`` keeps all and fills up with black; ``print(composite.plan)`` shows which, and what it
    costs. The composite then takes images of ``size`` (height, width), by default the largest that a module takes. With
    ``reject`` it answers "none of these" when no module is positive.

    Raises NotFound, Incompatible, Conflict, UsageError.
    """
    from modhub.adapters import check_adapt
    from modhub.composition.composite import Composite, parts_of
    from modhub.composition.plan import make_plan

    check_adapt(adapt, size)
    backend = Backend(registry, cache)
    parts = list(refs) if isinstance(refs, Iterable) and not isinstance(refs, str) else [refs]
    members, verifiers = parts_of(parts, backend, adapt=adapt is not None)
    return Composite(make_plan(members, adapt=adapt, size=size, verifiers=verifiers), backend, reject)


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
    words = query.lower().split()
    hits: list[Hit] = []
    for entry in _shown(registry):
        if namespace not in (None, entry.ref.namespace) or dataset not in (None, entry.release.dataset):
            continue
        hits += _matches(entry, words)
        if limit is not None and len(hits) >= limit:
            return hits[:limit]
    return hits


def info(ref: str, *, registry: RegistryUrls = None, cache: str | Path | None = None) -> Details:
    """Everything a release says of itself, or of one of its classes. Raises NotFound."""
    places = Places.open(registry, cache)
    pinned = places.resolve([ref])
    first = pinned[0]
    source = next((r for r in places.registries if r.url == first.registry), None)
    manifest = source.manifest(first.ref.release) if source else places.cache.manifest(first.digest)
    return Details(first.ref.release, first.registry, manifest, tuple(pin.ref.cls for pin in pinned))


def list_installed(*, cache: str | Path | None = None) -> list[Installed]:
    """The modules in the local cache."""
    return cache_of(cache, load_config()).installed()


def list_available(*, registry: RegistryUrls = None) -> list[Hit]:
    """Every release of every registry, newest version of each model."""
    return [Hit(entry.ref.name, None, entry.registry, entry.release) for entry in _shown(registry)]


def _as_list(refs: str | Sequence[str]) -> list[str]:
    return [refs] if isinstance(refs, str) else list(refs)


def _shown(registry: RegistryUrls) -> list[SearchEntry]:
    """Of each model the release that its plain name gives, from the first registry that has it."""
    config = load_config()
    found: dict[str, SearchEntry] = {}
    for place in registries(registry, config, trust=load_trust(config)):
        for entry in place.entries(_warn_of):
            found.setdefault(entry.ref.name, entry)
    return [found[name] for name in sorted(found)]


def _signer(sign: str | Signer | None) -> Signer | None:
    """One of the user's keys by its name; None and keys are given back. Raises NotFound, UsageError."""
    if not isinstance(sign, str):
        return sign
    from modhub.keyring import load_signer

    return load_signer(sign)


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
