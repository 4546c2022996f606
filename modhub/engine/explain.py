"""One image through the modules of a plan, counting at every site which nodes fire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter
from modhub.composition.explanation import Firing
from modhub.composition.plan import Plan
from modhub.engine.library import ops
from modhub.engine.run.adapters import prepared
from modhub.engine.run.compiled import compiled, to_numpy
from modhub.engine.run.isolated import equal_masks
from modhub.engine.run.masks import mask_tensors, masking
from modhub.engine.run.trunks import trunk_of
from modhub.package.module import Module, PackedMasks


def watched(plan: Plan, image: NDArray[Any]) -> tuple[NDArray[np.float32], list[tuple[Firing, ...]]]:
    """Margins float32 (recognisers,) and each recogniser's firings for one raw image (H, W, C) of the composite."""
    margins = np.empty(len(plan.recognisers), np.float32)
    firings: list[tuple[Firing, ...]] = [()] * len(plan.recognisers)
    for positions in plan.groups():
        modules = [plan.recognisers[position] for position in positions]
        network = _Watched(modules, plan.adapter(modules[0]))
        # The origin itself keeps every node.
        full = PackedMasks.of({site: np.ones(shape, bool) for site, shape in network.shapes.items()})
        _, of_origin = network.run(full, image)
        for members in equal_masks(modules):
            features, fired = network.run(modules[members[0]].keep, image)
            for member in members:
                module, position = modules[member], positions[member]
                margins[position] = module.head.margins(features)
                firings[position] = _firings(module, fired, of_origin)
    return margins, firings


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


class _Watched:
    """An origin's trunk with masks at all sites, compiled once for all of its modules."""

    def __init__(self, modules: Sequence[Module], adapter: Adapter | None) -> None:
        origin = modules[0].origin
        self.shapes = {site: shape for module in modules for site, shape in module.keep.shapes.items()}
        network = trunk_of(origin)

        def run(images: Any, masks: Mapping[str, Any]) -> Any:
            keep, fired = masking(masks), {}

            def visit(call: str, output: Any) -> Any:
                output = keep(call, output)
                if call in masks:
                    fired[call] = ops.sum(ops.cast(output > 0, "int32"))
                return output

            return network.run(prepared(images, origin.contract, adapter), visit), fired

        self._run = compiled(run)

    def run(self, masks: PackedMasks, image: NDArray[Any]) -> tuple[NDArray[np.float32], dict[str, int]]:
        """Features (F,) of one image under ``masks``, and how many nodes fired at each site."""
        every = {site: masks[site] if site in masks else np.ones(shape, bool) for site, shape in self.shapes.items()}
        features, fired = to_numpy(self._run(image[None], mask_tensors(every, every)))
        return features[0], {site: int(count) for site, count in fired.items()}
