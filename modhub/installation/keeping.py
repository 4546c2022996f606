"""Keeping a classifier in a file, and getting it back: from the bundle in it, else as a lockfile is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from modhub.cache.catalog import CacheCatalog
from modhub.composition.recipe import Recipe
from modhub.errors import IntegrityError, NotFound, Untrusted, UsageError
from modhub.installation.classifier_file import (
    CLASSIFIER_FORMAT,
    KeptClass,
    KeptClassifier,
    KeptModule,
    KeptRelease,
    KeptStage,
    OpenClassifier,
    check_place_of_classifier,
    opened_classifier,
    write_classifier,
)
from modhub.installation.context import Places, RegistryUrls
from modhub.installation.lockfile import Lock, SettingsTable
from modhub.installation.registries import STARTER_FOLDER, is_starter
from modhub.package.decomposition import modules_from
from modhub.package.module import Module, ReleasePin
from modhub.package.packing import packed
from modhub.package.readme import with_card
from modhub.resolve.catalog import Pinned
from modhub.spec.card import CardFile
from modhub.spec.digests import canonical_json
from modhub.spec.manifest import Manifest, SiteRecord
from modhub.spec.refs import ModuleRef
from modhub.spec.text import in_short
from modhub.storage import files
from modhub.storage.verify import VerifiedBlob, VerifiedBlobs

if TYPE_CHECKING:
    from modhub.package.folder import Package
    from modhub.spec.manifest import StoredBlob

#: How a file names the registry inside the package, which lies elsewhere on every machine.
_STARTER: Final = "starter"
#: Missing releases that a message names.
_NAMED: Final = 3


class ModulesOf(Protocol):
    """Decodes modules that were pinned, in order, installed first where they are not."""

    def __call__(self, pinned: Sequence[Pinned], places: Places, *, into: VerifiedBlobs) -> list[Module]: ...


def keep(
    recipe: Recipe[Module], file: Path, *, bundle: bool, force: bool, registry: RegistryUrls, cache: str | Path | None
) -> None:
    """Write a classifier to ``file``; with ``bundle`` all bytes of its modules too, those published as they are stored.

    Raises UsageError, kind ``unpublished``, for modules that only a bundle can hold; Conflict, StorageError, and what
    installing raises.
    """
    check_place_of_classifier(file, force=force)
    local = [module for module in recipe.every_module if module.pin is None]
    if local and not bundle:
        raise UsageError(
            f"only a bundle can hold what is not published as it is here: {in_short(each.ref for each in local)}.",
            kind="unpublished",
            hint="bundle them (--bundle, bundle=True), or publish them first and compose them by name.",
            modules=[module.ref for module in local],
        )
    packages = _packages(local)
    kept = _kept(recipe, packages, bundle=bundle)
    manifests = {package.manifest.digest: package.manifest for package, _ in packages}
    blobs: dict[str, tuple[StoredBlob, Callable[[], VerifiedBlob]]] = {
        stored: (blob.record, partial(_itself, blob))
        for package, _ in packages
        for stored, blob in package.blobs.items()
    }
    if bundle and (pins := _pins(kept)):
        places, found = _places_with(pins, registry, cache, what="the classifier")
        places.install(found)
        for digest, slugs in _slugs(kept, published=True).items():
            manifests[digest] = manifest = places.cache.manifest(digest)
            for record in _needed(manifest, slugs):
                blobs[record.sha256] = record, partial(places.cache.blob, record)
    write_classifier(file, kept, manifests, blobs)


def kept_modules(
    file: Path,
    *,
    registry: RegistryUrls,
    cache: str | Path | None,
    modules_of: ModulesOf,
) -> Recipe[Module]:
    """The classifier in ``file``, its modules decoded: from the bundle, else installed by digest and by ``modules_of``.

    Where the user requires signatures, which a bundle has not, its published modules are installed as well, and others
    are refused. Raises UsageError, IntegrityError, Incompatible, Untrusted, and NotFound that names what is missing.
    """
    with opened_classifier(file) as opened:
        kept = opened.kept
        if kept.bundle and not Places.open(registry, cache, offline=True).trust.required:
            return kept.recipe.made_of(_bundled(opened))
    for module in kept.modules:
        if kept.release_of(module).registry is None:
            raise Untrusted(
                f"{file} has {kept.release_of(module).ref(module.slug)}, which was never published, so no key vouches "
                "for it.",
                hint="have it published and signed, or allow unsigned modules for this once.",
                path=str(file),
            )
    into = VerifiedBlobs()
    places, found = _places_with(_pins(kept), registry, cache, what=str(file), into=into)
    return kept.recipe.made_of(modules_of(found, places, into=into))


# To the file


def _itself(blob: VerifiedBlob) -> VerifiedBlob:
    return blob


def _packages(modules: Iterable[Module]) -> list[tuple[Package, list[Module]]]:
    """Modules that were never published, as releases without a registry: in each those of one origin and making.

    The modules of each are all that it stands for, also those that are equal.
    """
    groups: dict[tuple[bytes, int], list[Module]] = {}
    for module in modules:
        making, number = _making(module), 0
        # Two modules of one class cannot be in one release, unless they are the same.
        while any(_differ(module, other) for other in groups.get((making, number), ())):
            number += 1
        groups.setdefault((making, number), []).append(module)
    return [(_package({module.index: module for module in group}.values()), group) for group in groups.values()]


def _differ(module: Module, other: Module) -> bool:
    """Whether one release cannot have both."""
    if module.index != other.index and module.slug != other.slug:
        return False
    one, two = (
        (each.index, each.slug, each.digest, each.threshold, each.scale, each.metrics, each.derived_from)
        for each in (module, other)
    )
    return one != two


def _making(module: Module) -> bytes:
    """Equal for modules that one release can hold."""
    made, fused = module.made, module.fused
    parts = () if made is None else (made.dataset, made.options, made.provenance, made.card)
    value = [None if part is None else part.model_dump(mode="json") for part in (*parts, fused, module.origin.vote)]
    return canonical_json([module.origin.fingerprint, module.origin.name, module.version, value])


def _package(distinct: Iterable[Module]) -> Package:
    modules = list(distinct)
    first = modules[0]
    if first.made is None:
        raise UsageError(
            f"{first.ref} does not say how it was made, which a file has to say.",
            kind="unpublished",
            hint="take modules from a decomposition, a folder or a registry.",
            module=first.ref,
        )
    sites = [SiteRecord(id=site, shape=shape) for site, shape in first.keep.shapes.items()]
    package = packed(modules, first.made, sites, version=first.version, fused=first.fused)
    return package if first.made.card is None else with_card(package, CardFile(first.made.card))


def _kept(recipe: Recipe[Module], packages: Sequence[tuple[Package, list[Module]]], *, bundle: bool) -> KeptClassifier:
    releases: dict[str, KeptRelease] = {}
    packed_in = {id(module): package.manifest.digest for package, group in packages for module in group}

    def kept(module: Module) -> KeptModule:
        pin = module.pin
        digest = packed_in[id(module)] if pin is None else pin.digest
        place = None if pin is None else _STARTER if is_starter(pin.registry) else pin.registry
        releases.setdefault(
            digest, KeptRelease(digest=digest, name=module.origin.name, version=module.version, registry=place)
        )
        return KeptModule(release=digest, slug=module.slug, name=module.name)

    as_kept = recipe.mapped(kept)
    return KeptClassifier(
        format=CLASSIFIER_FORMAT,
        bundle=bundle,
        settings=SettingsTable(**recipe.settings.to_dict()),
        releases=tuple(releases.values()),
        classes=tuple(KeptClass(label=label, **dict(module)) for label, module in as_kept.classes),
        stages=tuple(KeptStage(columns=stage.columns, modules=stage.modules) for stage in as_kept.stages),
    )


# From the file


def _bundled(opened: OpenClassifier) -> list[Module]:
    """The modules in the bundle, in the order of the classifier's. Raises IntegrityError."""
    found: dict[tuple[str, str], Module] = {}
    wanted: set[str] = set()
    names = {(module.release, module.slug): module.name for module in opened.kept.modules}
    by_release = _slugs(opened.kept)
    for release in opened.kept.releases:
        manifest, slugs = opened.manifest(release), by_release[release.digest]
        known = {record.slug: record.name for record in manifest.content.modules}
        for slug in slugs:
            if known.get(slug) != names[release.digest, slug]:
                raise opened.broken(f"promises {release.ref(slug)}, which is not in the release that it has")
        wanted |= {record.sha256 for record in _needed(manifest, slugs)}
        pin = None if release.registry is None else ReleasePin(release.digest, _url(release.registry))
        modules = modules_from(manifest, lambda _, record: opened.blob(record), slugs)
        found |= {(release.digest, module.slug): replace(module, pin=pin) for module in modules}
    opened.check_nothing_else(wanted)
    return [found[module.release, module.slug] for module in opened.kept.modules]


def _needed(manifest: Manifest, slugs: Iterable[str]) -> list[StoredBlob]:
    """The blobs of some of a release's modules: its weights, and each module's own."""
    own = {module.slug: module.blob for module in manifest.content.modules}
    return [manifest.blobs[digest] for digest in (manifest.content.origin.weights, *(own[slug] for slug in slugs))]


def _slugs(kept: KeptClassifier, *, published: bool = False) -> Mapping[str, list[str]]:
    """By release the slugs of its modules, each once; with ``published`` of those only."""
    found: dict[str, dict[str, None]] = {}
    registries = {release.digest: release.registry for release in kept.releases}
    for module in kept.modules:
        if registries[module.release] is not None or not published:
            found.setdefault(module.release, {})[module.slug] = None
    return {digest: list(slugs) for digest, slugs in found.items()}


def _pins(kept: KeptClassifier) -> list[Pinned]:
    """The published modules, in order."""
    releases = {release.digest: release for release in kept.releases}
    pins = []
    for module in kept.modules:
        release = releases[module.release]
        if release.registry is not None and release.version is not None:
            namespace, model = release.name.split("/")
            ref = ModuleRef(namespace, model, module.slug, release.version)
            pins.append(Pinned(ref, module.name, release.digest, _url(release.registry)))
    return pins


def _url(registry: str) -> str:
    return str(files.absolute(STARTER_FOLDER)) if registry == _STARTER else registry


def _places_with(
    pins: Sequence[Pinned],
    registry: RegistryUrls,
    cache: str | Path | None,
    *,
    what: str,
    into: VerifiedBlobs | None = None,
) -> tuple[Places, list[Pinned]]:
    """Places that have all of ``pins``, and where there: the cache alone where it has them, else registries too.

    Raises NotFound, kind ``missing-modules``, that names everything that no place has; and as ``Places.unlock`` does.
    """
    places = Places.open(registry, cache, offline=True)
    here = [replace(pin, registry=CacheCatalog(places.cache).url) for pin in pins]
    try:
        places.install(here, into=into)
        return places, here
    except Untrusted:
        raise
    except (NotFound, IntegrityError):
        places = Places.open(registry, cache, locked=True)
    found: list[Pinned] = []
    missing: list[Pinned] = []
    for pin in pins:
        try:
            found += places.unlock(Lock((pin,)))
        except NotFound:
            missing.append(pin)
    if missing:
        raise _nowhere(what, missing, [each.name for each in places.registries])
    return places, found


def _nowhere(what: str, missing: Sequence[Pinned], searched: Sequence[str]) -> NotFound:
    releases = dict.fromkeys((pin.ref.release, pin.registry) for pin in missing)
    named = [f"{release} (it was in {registry})" for release, registry in releases]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return NotFound(
        f"{what} needs releases that neither the cache has nor {', '.join(searched) or 'any registry, offline'}: "
        f"{', '.join(named[:_NAMED])}{more}.",
        kind="missing-modules",
        hint="name the registry that has them with --registry, or have the classifier saved with --bundle.",
        missing=[{"module": str(pin.ref), "digest": pin.digest, "registry": pin.registry} for pin in missing],
    )
