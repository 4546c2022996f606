"""Modules one after the other, but the network's beginning only once: up to where their masks first differ.

Every image goes through the calls before that once, under the masks that all have there, and through the rest once for
each different set of masks. Exact. Only one batch's tensors are held in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from modhub import architecture as arch
from modhub.adapters import Adapter
from modhub.architecture import INPUT, Architecture
from modhub.engine.adapting import adapted
from modhub.engine.network import JIT_COMPILE, Network, preprocess
from modhub.manifest import InputContract
from modhub.module import Masks


class Beginning(keras.Model):
    """Raw images (N, H, W, C) to the tensors that are live behind the first ``stop`` calls, under ``masks``."""

    def __init__(
        self, network: Network, contract: InputContract, masks: Masks, stop: int, adapter: Adapter | None = None
    ) -> None:
        super().__init__(name="beginning", dtype="float32")
        self.jit_compile = JIT_COMPILE
        self._network, self._contract, self._stop, self._adapter = network, contract, stop, adapter
        here = {call.id for call in network.architecture.calls[:stop]}
        self._masks = _variables(self, network, [site for site in masks if site in here and not masks[site].all()])
        for site, variable in self._masks.items():
            variable.assign(masks[site].astype(np.float32))

    def call(self, images: Any) -> Any:
        if self._adapter is not None:
            images = adapted(images, self._adapter)
        x = preprocess(images, self._contract)
        return self._network.advance({INPUT: x}, _masking(self._masks), stop=self._stop)


class Tail(keras.Model):
    """Live tensors behind the first ``start`` calls to the features (N, F) float32, under the masks set last."""

    def __init__(self, network: Network, sites: Sequence[str], start: int) -> None:
        super().__init__(name="tail", dtype="float32")
        self.jit_compile = JIT_COMPILE
        self._network, self._start = network, start
        self._masks = _variables(self, network, sites)

    def set_masks(self, masks: Masks) -> None:
        """Use ``masks`` from the next batch on; sites that carry no mask here must be full."""
        for site, variable in self._masks.items():
            variable.assign(masks[site].astype(np.float32))

    def call(self, live: Mapping[str, Any]) -> Any:
        tensors = self._network.advance(live, _masking(self._masks), start=self._start)
        return ops.cast(tensors[self._network.architecture.features], "float32")


class Tails:
    """Runs ``masks``, of one origin and all different, one after the other behind one beginning."""

    def __init__(
        self, network: Network, contract: InputContract, masks: Sequence[Masks], adapter: Adapter | None = None
    ) -> None:
        self._each = masks
        self.start = first_difference(network.architecture, masks)
        later = {call.id for call in network.architecture.calls[self.start :]}
        lacking = [site for site in masks[0] if site in later and not all(mask[site].all() for mask in masks)]
        self._beginning = Beginning(network, contract, masks[0], self.start, adapter)
        self._tail = Tail(network, lacking, self.start)

    def features(self, images: NDArray[Any], batch_size: int) -> Iterator[tuple[slice, int, NDArray[np.float32]]]:
        """For each batch of raw images and each of the masks: the batch's place, which masks, features (B, F)."""
        for first in range(0, len(images), batch_size):
            place = slice(first, min(first + batch_size, len(images)))
            live = self._beginning.predict_on_batch(images[place])
            for number, masks in enumerate(self._each):
                self._tail.set_masks(masks)
                yield place, number, self._tail.predict_on_batch(live)


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
        weights = arch.weight_shapes(architecture.layers[call.layer], shapes[call.inputs[0]])
        kernel = weights.get("kernel", (1,))
        # An output is a sum over all of the kernel but its last axis, the filters or units.
        work.append(prod(shapes[call.id]) * prod(kernel[:-1]))
    return sum(work[:start]) / sum(work)


def _variables(model: keras.Model, network: Network, sites: Sequence[str]) -> dict[str, Any]:
    return {
        site: model.add_weight(shape=network.shapes[site], initializer="ones", trainable=False, name=f"mask_{number}")
        for number, site in enumerate(sites)
    }


def _masking(masks: Mapping[str, Any]) -> Any:
    return lambda call, output: output * ops.cast(masks[call], output.dtype) if call in masks else output
