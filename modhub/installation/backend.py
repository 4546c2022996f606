"""How composites find and run modules: through the verified cache, on the engine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modhub.installation.context import Places, RegistryUrls
from modhub.package.decomposition import modules_from
from modhub.package.local import modules_in
from modhub.resolve.catalog import Pinned, all_modules
from modhub.spec.contract import NamedContract
from modhub.spec.folder_refs import folder_ref
from modhub.storage.verify import VerifiedBlob, VerifiedBlobs

if TYPE_CHECKING:
    from modhub.cache.cache import Cache
    from modhub.composition.plan import Plan
    from modhub.package.module import Module
    from modhub.spec.keras_model import KerasModel
    from modhub.spec.manifest import StoredBlob


def _verified(cache: Cache, into: VerifiedBlobs, weights: str, digest: str, record: StoredBlob) -> VerifiedBlob:
    """A blob as this call has verified it; one that pruning had taken meanwhile is read once more."""
    # Weights are large, and whatever else needs them finds them decoded.
    return (into.take(record) if digest == weights else into.get(record)) or cache.blob(record)


class InstalledBackend:
    """How composites find and run modules: through the verified cache, on the engine.

    ``into`` is for one call that looks up names several times: what it has verified is not verified again.
    """

    def __init__(self, registry: RegistryUrls, cache: str | Path | None, into: VerifiedBlobs | None = None) -> None:
        self._registry = registry
        self._cache = cache
        self._into = into

    def find(
        self, refs: Sequence[str], *, fixed: Sequence[NamedContract] = (), adapt: bool = False
    ) -> list[list[Module]]:
        """For each name its modules, installed first where they are not; those of a folder here are read from it.

        Raises as ``resolve_together``, ``install`` and ``folder_ref`` do.
        """
        folders = [folder_ref(ref) for ref in refs]
        here = [None if folder is None else modules_in(folder) for folder in folders]
        own = [NamedContract(ref, found[0].origin.contract) for ref, found in zip(refs, here, strict=True) if found]
        names = [ref for ref, folder in zip(refs, folders, strict=True) if folder is None]
        installed = iter(self._installed(names, [*fixed, *own], adapt) if names else ())
        return [next(installed) if modules is None else modules for modules in here]

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
        places.install(pinned, into=into)

        found: dict[Pinned, Module] = {}
        for digest in dict.fromkeys(pin.digest for pin in pinned):
            own = [pin for pin in dict.fromkeys(pinned) if pin.digest == digest]
            manifest = places.cache.manifest(digest)
            verified = partial(_verified, places.cache, into, manifest.content.origin.weights)
            modules = modules_from(manifest, verified, [pin.ref.cls for pin in own])
            found |= dict(zip(own, modules, strict=True))
        return [found[pin] for pin in pinned]

    def runner(self, plan: Plan) -> Any:
        from modhub.engine.run.plan import PlanRunner  # here and below keras, which a plan can do without

        return PlanRunner(plan)

    def to_keras(self, plan: Plan) -> KerasModel:
        from modhub.engine.export.to_keras import to_keras

        return to_keras(plan)
