"""How composites find and run modules: through the verified cache, on the engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modhub.installation.context import Places, RegistryUrls
from modhub.package.decomposition import modules_from
from modhub.resolve.catalog import Pinned, all_modules

if TYPE_CHECKING:
    from modhub.composition.plan import Plan
    from modhub.package.module import Module
    from modhub.spec.contract import Standing


class InstalledBackend:
    """How composites find and run modules: through the verified cache, on the engine."""

    def __init__(self, registry: RegistryUrls, cache: str | Path | None) -> None:
        self._registry = registry
        self._cache = cache

    def find(
        self, refs: Sequence[str], *, standing: Sequence[Standing] = (), adapt: bool = False
    ) -> list[list[Module]]:
        """For each name its modules, installed first where they are not. Raises as ``settle`` and ``install`` do."""
        places = Places.open_or_cached(self._registry, self._cache)
        named = places.settle(refs, standing=standing, adapt=adapt)
        found = iter(self.modules_of(all_modules(named), places))
        return [[next(found) for _ in each.modules] for each in named]

    def modules_of(self, pinned: Sequence[Pinned], places: Places | None = None) -> list[Module]:
        """The modules that were pinned, in order, installed first where they are not."""
        places = places or Places.open_or_cached(self._registry, self._cache)
        places.install(pinned)
        found: dict[Pinned, Module] = {}
        for digest in dict.fromkeys(pin.digest for pin in pinned):
            own = [pin for pin in dict.fromkeys(pinned) if pin.digest == digest]
            manifest = places.cache.manifest(digest)
            modules = modules_from(manifest, lambda _, record: places.cache.blob(record), [pin.ref.cls for pin in own])
            found |= dict(zip(own, modules, strict=True))
        return [found[pin] for pin in pinned]

    def runner(self, plan: Plan) -> Any:
        from modhub.engine.run.plan import PlanRunner  # here and below keras, which a plan can do without

        return PlanRunner(plan)

    def to_keras(self, plan: Plan) -> Any:
        from modhub.engine.export.to_keras import to_keras

        return to_keras(plan)
