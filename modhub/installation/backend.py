"""How composites find and run modules: through the verified cache, on the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modhub.cache.cache import Cache, cache_folder
from modhub.installation.context import Places, RegistryUrls
from modhub.installation.keeping import keep, kept_modules
from modhub.installation.notices import kept_remarks, warn_of
from modhub.package.decomposition import modules_from
from modhub.package.local import modules_in
from modhub.package.module import ReleasePin
from modhub.resolve.catalog import Pinned, all_modules
from modhub.settings.config import load_config
from modhub.spec.contract import NamedContract
from modhub.spec.folder_refs import classifier_ref, folder_ref
from modhub.spec.refs import ModuleRef
from modhub.storage.verify import VerifiedBlob, VerifiedBlobs

if TYPE_CHECKING:
    from modhub.advisories.matching import Remark
    from modhub.composition.plan import Plan
    from modhub.composition.recipe import Recipe
    from modhub.package.module import Module
    from modhub.spec.keras_model import KerasModel
    from modhub.spec.manifest import StoredBlob


def _verified(cache: Cache, into: VerifiedBlobs, weights: str, digest: str, record: StoredBlob) -> VerifiedBlob:
    """A blob as this call has verified it; one that pruning had taken meanwhile is read once more."""
    # Weights are large, and whatever else needs them finds them decoded.
    return (into.take(record) if digest == weights else into.get(record)) or cache.blob(record)


def _pin_of(module: Module) -> Pinned | None:
    """The module as a release has it; None for one that was never published."""
    if module.version is None:
        return None
    namespace, _, model = module.origin.name.partition("/")
    return Pinned(ModuleRef(namespace, model, module.slug, module.version), module.name, "", "")


class InstalledBackend:
    """How composites find, run and keep modules: through the verified cache, on the engine.

    ``into`` is for one call that looks up names several times: what it has verified is not verified again.
    """

    def __init__(self, registry: RegistryUrls, cache: str | Path | None, into: VerifiedBlobs | None = None) -> None:
        self._registry = registry
        self._cache = cache
        self._into = into

    def __getstate__(self) -> dict[str, Any]:
        # A copy is for other calls.
        return self.__dict__ | {"_into": None}

    def find(
        self, refs: Sequence[str], *, fixed: Sequence[NamedContract] = (), adapt: bool = False
    ) -> list[list[Module]]:
        """For each name its modules, installed first where they are not; those of a folder here are read from it.

        Raises as ``resolve_together``, ``install`` and ``folder_ref`` do.
        """
        here = [self._here(ref) for ref in refs]
        own = [NamedContract(ref, found[0].origin.contract) for ref, found in zip(refs, here, strict=True) if found]
        names = [ref for ref, modules in zip(refs, here, strict=True) if modules is None]
        installed = iter(self._installed(names, [*fixed, *own], adapt) if names else ())
        return [next(installed) if modules is None else modules for modules in here]

    def _here(self, ref: str) -> list[Module] | None:
        """The modules of a folder or of a kept classifier on this machine; None for a name in a registry."""
        if (kept := classifier_ref(ref)) is not None:
            recipe = self.kept(kept.file)
            return list(recipe.modules if kept.label is None else [recipe.modules[recipe.column(kept.label)]])
        folder = folder_ref(ref)
        return None if folder is None else modules_in(folder)

    def kept(self, file: Path) -> Recipe[Module]:
        """The classifier that a file keeps, see ``keeping.kept_modules``."""
        return kept_modules(file, registry=self._registry, cache=self._cache, modules_of=self.modules_of)

    def keep(self, plan: Plan, file: Path, *, bundle: bool, force: bool) -> None:
        """Write ``plan`` to the file of a classifier, see ``keeping.keep``."""
        keep(plan.recipe, file, bundle=bundle, force=force, registry=self._registry, cache=self._cache)

    def _installed(self, names: Sequence[str], fixed: Sequence[NamedContract], adapt: bool) -> list[list[Module]]:
        places = Places.open_or_cached(self._registry, self._cache)
        named = places.resolve_together(names, fixed=fixed, adapt=adapt)
        found = iter(self.modules_of(all_modules(named), places))
        return [[next(found) for _ in each.modules] for each in named]

    def modules_of(
        self, pinned: Sequence[Pinned], places: Places | None = None, *, into: VerifiedBlobs | None = None
    ) -> list[Module]:
        """The modules that were pinned, in order, installed first where they are not.

        Their blobs are decoded as installing verified them, or as a step before did that held them in ``into``.
        """
        places = places or Places.open_or_cached(self._registry, self._cache)
        into = into or self._into or VerifiedBlobs()
        came_from = {each.ref: each.registry for each in places.install(pinned, into=into)}

        found: dict[Pinned, Module] = {}
        for digest in dict.fromkeys(pin.digest for pin in pinned):
            own = [pin for pin in dict.fromkeys(pinned) if pin.digest == digest]
            manifest = places.cache.manifest(digest)
            verified = partial(_verified, places.cache, into, manifest.content.origin.weights)
            modules = modules_from(manifest, verified, [pin.ref.cls for pin in own])
            for pin, module in zip(own, modules, strict=True):
                found[pin] = replace(module, pin=ReleasePin(digest, came_from[pin.ref]))
        return [found[pin] for pin in pinned]

    def runner(self, plan: Plan) -> Any:
        """Warns of what registries said against the modules when they were last asked."""
        warn_of(self._remarks(plan), stacklevel=4)
        from modhub.engine.run.plan import PlanRunner  # here and below keras, which a plan can do without

        return PlanRunner(plan)

    def remarks(self, plan: Plan) -> list[str]:
        """What registries said against the modules of ``plan`` when they were last asked, a line each."""
        return [str(remark) for remark in self._remarks(plan)]

    def _remarks(self, plan: Plan) -> list[Remark]:
        cache = Cache(cache_folder(self._cache, load_config()))
        pins = [pin for module in plan.recognisers if (pin := _pin_of(module)) is not None]
        return kept_remarks(cache, pins)

    def to_keras(self, plan: Plan) -> KerasModel:
        from modhub.engine.export.to_keras import to_keras

        return to_keras(plan)
