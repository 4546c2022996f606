"""How much modules keep, and how much of it they share: Jaccard indices between masks, and nodes kept per layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from modhub.package.module import Module, PackedMasks
from modhub.package.overlap import between_masks, packed_bits
from modhub.spec.text import kept_share


@dataclass(frozen=True)
class LayerRow:
    """Nodes kept at one site: the mean, smallest and largest share of its ``nodes`` over the modules of one origin."""

    origin: str
    site: str
    nodes: int
    mean: float
    least: float
    most: float


def between_modules(modules: Sequence[Module]) -> NDArray[np.float64]:
    """Jaccard index of every two modules' masks, all sites together, (k, k); NaN where they are of different origins.

    1.0 for two masks that keep nothing, as in ``decomposition.jaccard``.
    """
    result = np.full((len(modules), len(modules)), np.nan)
    for positions in _by_sites(modules):
        result[np.ix_(positions, positions)] = between_masks([modules[position].keep for position in positions])
    return result


def toggled_nodes(masks: PackedMasks, other: PackedMasks) -> int:
    """How many nodes only one of two masks keeps, which sit at the same sites."""
    return int.from_bytes((packed_bits(masks) ^ packed_bits(other)).tobytes(), "big").bit_count()


def kept_per_layer(modules: Sequence[Module]) -> list[LayerRow]:
    """One row a site, in the order of the network; origins in order of first appearance."""
    rows = []
    for positions in _by_sites(modules):
        members = [modules[position] for position in positions]
        for site, shape in members[0].keep.shapes.items():
            counts = [int(np.unpackbits(module.keep.bits[site]).sum()) for module in members]
            kept = [count / prod(shape) for count in counts]
            rows.append(
                LayerRow(
                    members[0].origin.name, site, prod(shape), sum(kept) / len(kept), least=min(kept), most=max(kept)
                )
            )
    return rows


def kept_shares(modules: Sequence[Module]) -> NDArray[np.float64]:
    """The share of its network's nodes that each module keeps, (k,)."""
    return np.array(
        [
            kept_share(
                int(np.unpackbits(packed_bits(module.keep)).sum(dtype=np.int64)),
                sum(prod(shape) for shape in module.keep.shapes.values()),
            )
            for module in modules
        ]
    )


def _by_sites(modules: Sequence[Module]) -> Iterator[list[int]]:
    """Positions of the modules whose masks can be compared: of one origin, with masks at the same sites."""
    found: dict[tuple[str, tuple[tuple[str, tuple[int, ...]], ...]], list[int]] = {}
    for position, module in enumerate(modules):
        key = (module.origin.fingerprint, tuple(module.keep.shapes.items()))
        found.setdefault(key, []).append(position)
    yield from found.values()
