"""Modules one after the other, but the network's beginning only once: up to where their masks first differ.

Every image goes through the calls before that once, under the masks that all have there, and through the rest once for
each different set of masks. Exact. Only one batch's tensors are held in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter
from modhub.engine.library import ops
from modhub.engine.run.adapters import prepared
from modhub.engine.run.compiled import FEW, compiled, fetched
from modhub.engine.run.devices import has_accelerator
from modhub.engine.run.masks import mask_tensors, masking
from modhub.engine.run.network import Network
from modhub.package.module import Masks
from modhub.spec import architecture as arch
from modhub.spec.architecture import INPUT, Architecture
from modhub.spec.input_contract import InputContract


class Tails:
    """Runs ``masks``, of one origin and all different, one after the other behind one beginning."""

    def __init__(
        self, network: Network, contract: InputContract, masks: Sequence[Masks], adapter: Adapter | None = None
    ) -> None:
        self.start = start = first_difference(network.architecture, masks)
        here = {call.id for call in network.architecture.calls[:start]}
        common = mask_tensors(masks[0], [site for site in masks[0] if site in here and not masks[0][site].all()])
        self._lacking = [site for site in masks[0] if site not in here and not all(mask[site].all() for mask in masks)]

        def beginning(images: Any) -> dict[str, Any]:
            live = {INPUT: prepared(images, contract, adapter)}
            return network.advance(live, masking(common), stop=start)

        def tail(live: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
            tensors = network.advance(live, masking(own), start=start)
            return ops.cast(tensors[network.architecture.features], "float32")

        self._beginning = compiled(beginning, after=FEW)
        # Called for each of the masks, so that already the first images are worth compiling for, unless those are few.
        self._tail = compiled(tail, after=0 if len(masks) > FEW else FEW)
        # An accelerator's memory holds all of them, and it would wait for each.
        self._each = [mask_tensors(mask, self._lacking) for mask in masks] if has_accelerator() else None
        self._masks = masks

    def features(self, images: NDArray[Any], batch_size: int) -> Iterator[tuple[slice, int, NDArray[np.float32]]]:
        """For each batch of raw images and each of the masks: the batch's place, which masks, features (B, F)."""
        places = [slice(first, min(first + batch_size, len(images))) for first in range(0, len(images), batch_size)]
        numbers = itertools.product(places, range(len(self._masks)))
        for (place, number), features in zip(numbers, fetched(self._run(images, places)), strict=True):
            yield place, number, features

    def _run(self, images: NDArray[Any], places: Sequence[slice]) -> Iterator[Any]:
        for place in places:
            live = self._beginning(images[place])
            for number, masks in enumerate(self._masks):
                yield self._tail(live, self._each[number] if self._each else mask_tensors(masks, self._lacking))


def first_difference(architecture: Architecture, masks: Sequence[Masks]) -> int:
    """The position of the first call whose masks are not all equal; how many calls there are when all are."""
    for position, call in enumerate(architecture.calls):
        if call.id in masks[0] and any((mask[call.id] != masks[0][call.id]).any() for mask in masks[1:]):
            return position
    return len(architecture.calls)


def share_before(architecture: Architecture, start: int) -> float:
    """What share of an image's multiplications the calls before ``start`` take, between 0 and 1."""
    shapes = arch.shapes_of(architecture)
    work = []
    for call in architecture.calls:
        weights = architecture.layers[call.layer].weight_shapes(shapes[call.inputs[0]])
        kernel = weights.get("kernel", (1,))
        # An output is a sum over all of the kernel but its last axis, the filters or units.
        work.append(prod(shapes[call.id]) * prod(kernel[:-1]))
    return sum(work[:start]) / sum(work) if work else 0.0
