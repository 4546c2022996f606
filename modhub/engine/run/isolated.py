"""Running modules: the origin's trunk with a module's masks, compiled once for all modules of an origin.

Masks are arguments of the compiled function, so that another module is another argument and never another trace.
Sites where no module of the group lacks a node carry no mask at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.adapters import Adapter
from modhub.composition.recipe import Dtype
from modhub.engine.run import memory
from modhub.engine.run.adapters import prepared
from modhub.engine.run.batches import batch_that_fits, in_batches, live_bytes
from modhub.engine.run.compiled import FEW, compiled
from modhub.engine.run.masks import mask_tensors, masking, on_all_sites
from modhub.engine.run.memory import images_in_chunk
from modhub.engine.run.network import Network
from modhub.engine.run.shared_pass import WatchedNetwork, is_worth_watching
from modhub.engine.run.shared_prefix import Tails, first_difference, share_before
from modhub.engine.run.trunks import trunk_of
from modhub.package.module import MarginHead, Masks, Module, Origin
from modhub.spec.input_contract import InputContract

#: Images watched first, to find out whether watching pays: few, because watching takes memory.
_FIRST: Final = 8
#: How often a run of many images says how far it is.
_PICTURES: Final = 50


class MaskedNetwork:
    """Raw images (N, H, W, C) to the features (N, F) of the module whose masks were set last.

    Compiled ``after`` so many calls: at once where what it gives is kept, so that every call rounds alike.
    """

    def __init__(
        self,
        network: Network,
        contract: InputContract,
        sites: Iterable[str],
        adapter: Adapter | None = None,
        *,
        after: int = 0,
    ) -> None:
        self._network = network
        self._masks: Mapping[str, Any] = {site: np.ones(network.shapes[site], bool) for site in sites}

        def run(images: Any, masks: Mapping[str, Any]) -> Any:
            return network.run(prepared(images, contract, adapter), masking(masks))

        self._run = compiled(run, after=after)

    def set_masks(self, masks: Masks) -> None:
        """Use ``masks`` from the next batch on; sites that carry no mask here must be full."""
        self._masks = mask_tensors(masks, self._masks)

    def features(self, images: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        """The features of all images, float32 (N, F), in batches of ``batch_size``."""
        parts = list(in_batches(lambda batch: self._run(batch, self._masks), images, batch_size))
        return np.concatenate(parts) if parts else np.zeros((0, self.width), np.float32)

    @property
    def width(self) -> int:
        """How many features there are."""
        return self._network.shapes[self._network.architecture.features][0]


def masked_sites(modules: Sequence[Module]) -> list[str]:
    """The sites at which at least one of the modules lacks a node."""
    return [site for site in modules[0].keep if not all(module.keep[site].all() for module in modules)]


class OriginRunner:
    """Runs any modules of one origin, each under its own masks, behind an adapter where one is given.

    Modules with equal masks share a run. Modules with other masks share one pass of the whole network for all images on
    which their masks change nothing, and run by themselves on the others only; where those are too many, they share the
    network's beginning up to where masks first differ. What is kept in between belongs to one chunk of the images,
    whose size memory decides, so that it does not grow with their number.
    """

    def __init__(
        self, origin: Origin, modules: Sequence[Module], adapter: Adapter | None = None, dtype: Dtype = "float32"
    ) -> None:
        self.origin = origin
        self._modules = modules = on_all_sites(modules)
        self._live = live_bytes(origin.architecture)
        self._groups = equal_masks(modules)
        trunk = trunk_of(origin, dtype)
        masks = [modules[members[0]].keep for members in self._groups]
        self._network = MaskedNetwork(trunk, origin.contract, masked_sites(modules), adapter, after=FEW)
        self._make_tails = partial(Tails, trunk, origin.contract, masks, adapter)
        before = share_before(origin.architecture, first_difference(origin.architecture, masks))
        # Watching takes a pass, and a pass more for each pair that runs again; tails take their beginning once.
        self._most_hits = (1 - before) * (1 - 1 / len(masks))
        worth = is_worth_watching(masks)
        self._watched = WatchedNetwork(trunk, origin.contract, masks, adapter) if worth else None

    def margins(
        self, images: NDArray[Any], batch_size: int, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """``(w_c - w_uc) . h + (b_c - b_uc)`` of raw images (N, H, W, C); float32 (N, modules).

        ``progress`` is called with the images done.
        """
        result = np.empty((len(images), len(self._modules)), np.float32)
        batch = batch_that_fits(self._live, batch_size)
        chunk = images_in_chunk(memory.free(), self._bytes_an_image(images), batch)
        if progress is not None:
            chunk = min(chunk, batch * max(1, len(images) // (_PICTURES * batch)))
        watched, start = self._watched, 0
        while start < len(images):
            stop = start + (chunk if start or watched is None else min(batch, _FIRST))
            part = images[start:stop]
            shared = watched.watch(part, batch) if watched else None
            is_spared = shared is not None and shared[1].mean() < self._most_hits
            if watched is not None and not is_spared:
                # Watched without gain. They run again with the rest, since other numbers of images compile again.
                watched = None
                continue
            if shared is not None:
                self._fill_spared(part, batch, result[start:stop], *shared)
            else:
                self._fill_each(part, batch, result[start:stop])
            start = stop
            if progress is not None:
                progress(min(start, len(images)))
        return result

    def _fill_spared(
        self,
        images: NDArray[Any],
        batch_size: int,
        result: NDArray[np.float32],
        whole: NDArray[np.float32],
        hits: NDArray[np.bool_],
    ) -> None:
        """Fill in the margins (N, modules) of one chunk, for which the watched pass gave ``whole`` and ``hits``."""
        for number, members in enumerate(self._groups):
            features = self._only_hits(self._modules[members[0]].keep, images, batch_size, whole, hits[:, number])
            result[:, members] = self._heads[number].margins(features)

    def _fill_each(self, images: NDArray[Any], batch_size: int, result: NDArray[np.float32]) -> None:
        """Fill in the margins (N, modules) of one chunk, every set of masks for itself behind one beginning."""
        for place, number, features in self._tails.features(images, batch_size):
            result[place, self._groups[number]] = self._heads[number].margins(features)

    @cached_property
    def _tails(self) -> Tails:
        return self._make_tails()

    @cached_property
    def _heads(self) -> list[MarginHead]:
        return [MarginHead.of([self._modules[member].head for member in members]) for members in self._groups]

    def _only_hits(
        self,
        masks: Masks,
        images: NDArray[Any],
        batch_size: int,
        whole: NDArray[np.float32],
        hits: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """The features under ``masks``: those of the ``whole`` network but for the images that are ``hits``."""
        rows = np.flatnonzero(hits)
        if not len(rows):
            return whole
        self._network.set_masks(masks)
        features = whole.copy()
        # Filled up to few different numbers of images, because each one is traced and compiled.
        filled = np.resize(rows, _filled(len(rows), batch_size))
        features[rows] = self._network.features(images[filled], batch_size)[: len(rows)]
        return features

    def _bytes_an_image(self, images: NDArray[Any]) -> int:
        """What a chunk keeps of one image at most: features of the shared pass and of one group, each in parts and as a
        whole, the copy of an image that runs again, and its hits."""
        features = self._network.width * 4
        return 4 * features + int(np.prod(images.shape[1:])) * images.itemsize + len(self._groups)


def _filled(count: int, batch_size: int) -> int:
    """``count`` with its last batch filled up to a power of two, or to a whole batch."""
    whole, rest = divmod(count, batch_size)
    return whole * batch_size + (min(batch_size, 1 << (rest - 1).bit_length()) if rest else 0)


def equal_masks(modules: Sequence[Module]) -> list[list[int]]:
    """Positions of the modules, those with equal masks together, in order of first appearance."""
    groups: dict[bytes, list[int]] = {}
    for position, module in enumerate(modules):
        groups.setdefault(module.keep.key(), []).append(position)
    return list(groups.values())
