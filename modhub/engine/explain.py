"""One image through the modules of a plan: which nodes fire at every site, and where each module sees its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter
from modhub.composition.explanation import ActivationMap, Firing
from modhub.composition.plan import Plan
from modhub.engine.library import ops
from modhub.engine.run.adapters import prepared
from modhub.engine.run.compiled import compiled, to_numpy
from modhub.engine.run.isolated import equal_masks
from modhub.engine.run.masks import mask_tensors, masking
from modhub.engine.run.trunks import trunk_of
from modhub.engine.seen import live_behind, map_place, seen_by
from modhub.package.module import Head, Module, PackedMasks
from modhub.spec.architecture import INPUT


def watched(
    plan: Plan, image: NDArray[Any]
) -> tuple[NDArray[np.float32], list[tuple[Firing, ...]], list[ActivationMap | None]]:
    """What every recogniser makes of one raw image (H, W, C) of the composite: margins float32 (recognisers,), firings,
    and where each member sees its class, None where its network has no map."""
    margins = np.empty(len(plan.recognisers), np.float32)
    firings: list[tuple[Firing, ...]] = [()] * len(plan.recognisers)
    seen: list[ActivationMap | None] = [None] * len(plan.recognisers)
    for positions in plan.groups():
        modules = [plan.recognisers[position] for position in positions]
        network = _Watched(modules, plan.adapter(modules[0]))
        # The origin itself keeps every node.
        full = PackedMasks.of({site: np.ones(shape, bool) for site, shape in network.shapes.items()})
        of_origin = network.run(full, image).fired
        for members in equal_masks(modules):
            found = network.run(modules[members[0]].keep, image)
            for member in members:
                module, position = modules[member], positions[member]
                margins[position] = module.head.margins(found.features)
                firings[position] = _firings(module, found.fired, of_origin)
                if position < len(plan.modules):
                    seen[position] = network.seen(module.head, found)
    return margins, firings, seen


def _firings(module: Module, fired: dict[str, int], of_origin: dict[str, int]) -> tuple[Firing, ...]:
    layers = {call.id: call.layer for call in module.origin.architecture.calls}
    return tuple(
        Firing(
            site=site,
            layer=layers[site],
            nodes=prod(shape),
            kept=int(module.keep[site].sum()),
            fired=fired[site],
            origin_fired=of_origin[site],
        )
        for site, shape in module.keep.shapes.items()
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """One image under some masks: features (F,), how many nodes fired at each site, and the tensors behind the map."""

    features: NDArray[np.float32]
    fired: dict[str, int]
    live: dict[str, NDArray[np.float32]]
    masks: dict[str, Any]


class _Watched:
    """An origin's trunk with masks at all sites, compiled once for all of its modules."""

    def __init__(self, modules: Sequence[Module], adapter: Adapter | None) -> None:
        origin = modules[0].origin
        self.shapes = {site: shape for module in modules for site, shape in module.keep.shapes.items()}
        self._network = network = trunk_of(origin)
        self._place = map_place(origin.architecture)
        wanted = set(live_behind(origin.architecture, self._place.position)) if self._place else set()

        def run(images: Any, masks: Mapping[str, Any]) -> Any:
            keep, fired = masking(masks), {}
            prepared_images = prepared(images, origin.contract, adapter)
            live = {INPUT: prepared_images} if INPUT in wanted else {}

            def visit(call: str, output: Any) -> Any:
                output = keep(call, output)
                if call in masks:
                    fired[call] = ops.sum(ops.cast(output > 0, "int32"))
                if call in wanted:
                    live[call] = output
                return output

            return network.run(prepared_images, visit), fired, live

        self._run = compiled(run)

    def run(self, masks: PackedMasks, image: NDArray[Any]) -> _Found:
        """One raw image (H, W, C) under ``masks``."""
        every = {site: masks[site] if site in masks else np.ones(shape, bool) for site, shape in self.shapes.items()}
        tensors = mask_tensors(every, every)
        features, fired, live = to_numpy(self._run(image[None], tensors))
        return _Found(features[0], {site: int(count) for site, count in fired.items()}, live, tensors)

    def seen(self, head: Head, found: _Found) -> ActivationMap | None:
        """Where a module with ``head`` sees its class."""
        if self._place is None:
            return None
        return seen_by(self._network, self._place, found.live, masking(found.masks), head)
