"""Observing the data during a decomposition: in this process, piece by piece.

An observer has two tasks: the activity and logits of all observed inputs, and the margins of modules whose
masks take something away. Both are gathered from pieces of the data; because every step has the same shape
(``probe``), how the data is divided into pieces changes no bit, and ``ray_cluster`` does the same on many machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modhub.data.rows import Piece
from modhub.decomposition.activity import Activity, Bits
from modhub.decomposition.sampling import Indices, Observed, Sample, Segment, observed, pack_rows
from modhub.decomposition.sites import Site, find_sites
from modhub.engine.decompose.probe import StepProgress, observe, step_size, threads_for
from modhub.engine.run.isolated import MaskedNetwork
from modhub.engine.run.network import Network
from modhub.package.module import Head, Masks, Module, Origin
from modhub.spec.manifest import DecomposeOptions


@dataclass(frozen=True, eq=False)
class Logits:
    """The origin's logits for the observed inputs: ``values`` float32 (n, classes), ``inputs`` ascending (n,)."""

    inputs: Indices
    values: NDArray[np.float32]

    def of(self, inputs: Indices) -> NDArray[np.float32]:
        """Float32 (k, classes) for ``inputs`` (k,), all of which were observed."""
        return self.values[np.searchsorted(self.inputs, inputs)]


class Observer(Protocol):
    """Runs an origin and its modules on the inputs of a sample, wherever these are."""

    def activity(self, sample: Sample, parts: Sequence[Segment], options: DecomposeOptions) -> tuple[Activity, Logits]:
        """Which nodes each segment activates, and what the origin answers."""

    def margins(
        self, modules: Sequence[Module], inputs: Sequence[Indices], batch_size: int
    ) -> list[NDArray[np.float64]]:
        """The margins of each module, under its masks, on the inputs asked of it, in their order."""


@dataclass(frozen=True, eq=False)
class MarginInputs:
    """A module as far as its margins need it: masks, head."""

    keep: Masks
    head: Head

    @classmethod
    def of(cls, module: Module) -> MarginInputs:
        return cls(module.keep, module.head)


class LocalObserver:
    """Observes in this process. ``progress`` is called with batches done and in all, of several pieces with pieces."""

    def __init__(
        self, origin: Origin, network: Network, pieces: Sequence[Piece], progress: StepProgress | None = None
    ) -> None:
        self._origin = origin
        self._network = network
        self._pieces = pieces
        self._progress = progress

    def activity(self, sample: Sample, parts: Sequence[Segment], options: DecomposeOptions) -> tuple[Activity, Logits]:
        sites = find_sites(self._origin.architecture, options.observe)
        everything = observed(sample, parts)
        inside, between = (self._progress, None) if len(self._pieces) == 1 else (None, self._progress)
        activity, found = Activity(sites, parts), []
        for number, piece in enumerate(self._pieces):
            share = everything.within(piece.start, piece.stop)
            if len(share.inputs):
                rows, bits, logits = observe_piece(
                    self._network, self._origin, sites, share, piece.images, options.batch_size, inside
                )
                activity.merge(rows, bits)
                found.append((piece.start + np.sort(share.inputs), logits))
            if between:
                between(number + 1, len(self._pieces))
        return activity, gathered(found)

    def margins(
        self, modules: Sequence[Module], inputs: Sequence[Indices], batch_size: int
    ) -> list[NDArray[np.float64]]:
        result = [np.empty(len(own)) for own in inputs]
        for piece in self._pieces:
            places, own = wanted_of(piece, inputs)
            if not any(map(len, own)):
                continue
            found = margins_of_piece(
                self._network, self._origin, map(MarginInputs.of, modules), own, piece.images, batch_size
            )
            for values, place, margins in zip(result, places, found, strict=True):
                values[place] = margins
        return result


def observe_piece(
    network: Network,
    origin: Origin,
    sites: Sequence[Site],
    share: Observed,
    images: Any,
    batch_size: int,
    progress: StepProgress | None = None,
) -> tuple[NDArray[np.int64], Bits, NDArray[np.float32]]:
    """Segments (k,), what they activate (k, bytes), and logits (n, classes) of the inputs in ascending order."""
    rows, numbers = np.unique(share.rows, return_inverse=True)
    batches = pack_rows(Observed(share.inputs, numbers), step_size(batch_size))
    local = [Segment(0, row, row + 1) for row in range(len(rows))]
    activity, logits = observe(
        network,
        origin.weights,
        origin.contract,
        sites,
        local,
        batches,
        images,
        progress,
        threads=threads_for(batch_size),
    )
    return rows, activity.rows, logits


def margins_of_piece(
    network: Network,
    origin: Origin,
    modules: Iterable[MarginInputs],
    inputs: Sequence[Indices],
    images: Any,
    batch_size: int,
) -> list[NDArray[np.float64]]:
    """The margins of each module on its ``inputs`` of one piece, run in whole batches filled up by repeating some."""
    masked: MaskedNetwork | None = None
    result: list[NDArray[np.float64]] = []
    for module, own in zip(modules, inputs, strict=True):
        masked = masked or MaskedNetwork(network, origin.contract, module.keep)
        masked.set_masks(module.keep)
        filled = np.resize(own, -(-len(own) // batch_size) * batch_size)
        parts = [
            module.head.margins(masked.features(images[filled[start : start + batch_size]], batch_size))
            for start in range(0, len(filled), batch_size)
        ]
        result.append(np.concatenate([np.empty(0, np.float32), *parts])[: len(own)].astype(np.float64))
    return result


def wanted_of(piece: Piece, inputs: Sequence[Indices]) -> tuple[list[Indices], list[Indices]]:
    """Which of each module's inputs are in a piece: their places among the inputs, and their places in the piece."""
    places = [np.flatnonzero((own >= piece.start) & (own < piece.stop)) for own in inputs]
    return places, [own[place] - piece.start for own, place in zip(inputs, places, strict=True)]


def gathered(found: Sequence[tuple[Indices, NDArray[np.float32]]]) -> Logits:
    """Logits of pieces, inputs ascending in each, as one."""
    inputs = np.concatenate([own for own, _ in found])
    order = np.argsort(inputs, kind="stable")
    return Logits(inputs[order], np.concatenate([logits for _, logits in found])[order])
