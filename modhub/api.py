"""The corridor: each public verb as a short recipe over the rooms. Only the verbs that need a heavy room enter it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modhub.config import load_config, publishing_registry
from modhub.errors import InvalidRef, NotFound, StorageError
from modhub.limits import MAX_LOCK_BYTES
from modhub.places import Backend, Places, RegistryUrls
from modhub.refs import ModelRef, check_version, is_exact, parse
from modhub.registry import files

if TYPE_CHECKING:
    from modhub.cache import Installed
    from modhub.composition.composite import Composite
    from modhub.evaluation.gate import Check, Checked
    from modhub.installation import Progress as BytesProgress
    from modhub.package.decomposition import Decomposition
    from modhub.resolve import Lock
    from modhub.signing import Signer
    from modhub.updating.result import Update


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
    checked: Checked | None = None


def decompose(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    classes: Sequence[str] | None = None,
    name: str,
    rescale: float = 1.0,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    validation: Any = None,
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
    engine: str = "local",
    workers: int | None = None,
) -> Decomposition:
    """Cut a trained Keras image classifier into one module per output class (Pan & Rajan, ICSE 2022).

    ``x`` are raw images (N, H, W, C), uint8 or float; ``y`` labels (N,), the label's index in ``classes``, which stand
    in the order of the model's outputs. Data larger than memory: give, without ``y``, an iterable of (x, y) batches,
    which is run through once and set down in a temporary file, or the URL of one .npz or of a folder of .npz shards,
    whose own ``classes`` serve where none are given. ``name`` is ``namespace/model``. ``(x * rescale - mean) / std`` is
    what the model was trained on; it travels with the modules. ``validation``, a tuple (x, y) or batches or a URL,
    measures each module; the figures are kept under ``validation_dataset``, as ``dataset`` names what was observed.

    ``observe``: ``relu`` masks every ReLU's output, ``conv`` every convolution's own (the paper's literal reading).
    ``backtrack``: ``none``, ``last-conv`` or ``input``; ``rule``: ``text`` or ``printed``; ``delta``: a number or a
    quantile such as ``"q95"``. ``progress`` is told batches done and in all, with shards or workers pieces. Inside
    ``with modhub.meter()`` the energy spent goes into the provenance.

    ``engine="ray"`` observes on a Ray cluster, the one that RAY_ADDRESS names or one of ``workers`` processes here; the
    workers read the shards. The modules are the same, bit by bit.

    Raises UnsupportedModel, InvalidData, UsageError.
    """
    from modhub.energy import lap
    from modhub.engine.decomposing import decompose_model

    spent = lap()
    decomposition = decompose_model(
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
        engine=engine,
        workers=workers,
    )
    return decomposition.with_energy(spent.record())


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
    check: Check | None = None,
    progress: BytesProgress | None = None,
) -> Release:
    """Publish all modules of one decomposition as an immutable release.

    Without ``version``, equal content gives the release that exists, else the next minor version is taken. Publishing
    equal content again changes nothing. ``sign`` names one of the user's keys, or is one. ``check`` refuses a release
    whose recall of a class falls, see ``Check``. ``progress`` is told what, bytes done and in all. Raises Conflict when
    the version has other content, and kind ``recall-fell``.
    """
    from modhub.package.decomposition import decomposition_from
    from modhub.package.folder import load_package
    from modhub.registry import versioned

    if version is not None:
        check_version(version)
    signer = _signer(sign)
    if isinstance(decomposition_or_folder, (str, Path)):
        package = load_package(Path(decomposition_or_folder))
        # A folder may come from anywhere: what does not decode and fit its architecture is never published.
        decomposition = decomposition_from(package.manifest, lambda _, record: package.blobs[record.sha256])
    else:
        decomposition, package = decomposition_or_folder, decomposition_or_folder.package

    target = publishing_registry(registry, load_config())
    checked = None
    if check is not None:
        from modhub.data import as_image_data
        from modhub.engine.datasets import load_dataset
        from modhub.evaluation.gate import check_replacement

        data = as_image_data(check.data, split="test", datasets=load_dataset)
        checked = check_replacement(decomposition, version, target, check, data, compose)
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
        checked=checked,
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
    from modhub.resolve import Lock

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
    from modhub.resolve import read_lock

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
    mode: str = "isolated",
    dtype: str = "float32",
    reject: bool = False,
) -> Composite:
    """A classifier of modules of any origins. No training.

    ``refs``: names, modules and composites, one or a list; what is not installed is installed first. ``adapt`` lets
    modules that take other images than the composite see them through an adapter: ``resize`` stretches, ``crop`` keeps
    the middle, ``letterbox`` keeps all and fills up with black; ``print(composite.plan)`` shows which, and what it
    costs. The composite then takes images of ``size`` (height, width), by default the largest that a module takes. With
    ``reject`` it answers "none of these" when no module is positive.

    ``mode``: ``isolated`` runs every module under its own masks, exactly as if it ran alone; ``fused`` all modules of
    one network at once, under the union of their masks, in one forward pass however many they are, which is an
    approximation (``composite.agreement(images)`` measures it); ``auto`` fuses where the release records that at least
    99.9 % of labels stay, see ``print(composite.plan)``. ``dtype``: trunks compute in ``float32`` or ``bfloat16``.

    Raises NotFound, Incompatible, Conflict, UsageError.
    """
    from modhub.adapters import check_adapt
    from modhub.composition.composite import Composite, parts_of
    from modhub.composition.modes import check_dtype, check_mode
    from modhub.composition.plan import make_plan

    check_adapt(adapt, size)
    check_mode(mode)
    check_dtype(dtype)
    backend = Backend(registry, cache)
    parts = list(refs) if isinstance(refs, Iterable) and not isinstance(refs, str) else [refs]
    members, verifiers = parts_of(parts, backend, adapt=adapt is not None)
    plan = make_plan(members, adapt=adapt, size=size, verifiers=verifiers, mode=mode, dtype=dtype)
    return Composite(plan, backend, reject)


def update(
    modules: Any,
    *,
    against: Any,
    data: Any,
    strategy: str = "auto",
    report: Any = None,
    seed: int = 0,
    batch_size: int = 256,
    keep_origin: bool = False,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
) -> Update:
    """Adapt modules to classes that their origin never saw, by a few labelled images; keeps the better.

    ``modules``: names, modules, composites or decompositions, one or several. ``against``: the modules whose classes
    they never saw, which stay as they are, unless they are among ``modules`` too: then all are updated together.
    ``data``: an ``ImageData`` or (x, y, classes), labelled with the class names of both, 4 images of each or more;
    ``report``: other labelled images to report on, by default a third of ``data``. What fits, what chooses and what
    reports are different images.

    ``strategy``: ``tangle`` (tangling again, against the unseen classes; with ``keep_origin`` beside the origin's own),
    ``remove`` (nodes active for the unseen classes and not for the module's go), ``calibrate`` (heads fitted to the
    examples), or ``auto``, which tries them all. Raises InvalidData, UsageError, Incompatible, NotFound.
    """
    from modhub.updates import update_modules

    return update_modules(
        modules,
        against,
        data,
        strategy=strategy,
        report=report,
        seed=seed,
        batch_size=batch_size,
        keep_origin=keep_origin,
        registry=registry,
        cache=cache,
    )


def _as_list(refs: str | Sequence[str]) -> list[str]:
    return [refs] if isinstance(refs, str) else list(refs)


def _signer(sign: str | Signer | None) -> Signer | None:
    """One of the user's keys by its name; None and keys are given back. Raises NotFound, UsageError."""
    if not isinstance(sign, str):
        return sign
    from modhub.keyring import load_signer

    return load_signer(sign)
