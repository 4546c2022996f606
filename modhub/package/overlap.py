"""How much the masks of a release's modules share: Jaccard indices on packed bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modhub.package.module import PackedMasks

_CHUNK_BYTES: Final = 4096
#: Of so many modules at most every two are compared for a release's mean: all pairs of a thousand would take minutes.
_MOST_COMPARED: Final = 128


def mean_between(masks: Sequence[PackedMasks]) -> float | None:
    """The mean Jaccard index of two masks of one network: of all pairs of at most 128 masks, spread evenly.

    None where there is one mask alone.
    """
    if len(masks) < 2:
        return None
    chosen = np.unique(np.linspace(0, len(masks) - 1, min(len(masks), _MOST_COMPARED)).round().astype(int))
    found = between_masks([masks[place] for place in chosen.tolist()])
    return float(found[np.triu_indices(len(found), 1)].mean())


def between_masks(masks: Sequence[PackedMasks]) -> NDArray[np.float64]:
    """Jaccard index of every two masks of one network, all sites together, (k, k).

    1.0 for two masks that keep nothing, as in ``decomposition.jaccard``.
    """
    both = _shared_nodes([packed_bits(mask) for mask in masks])
    own = np.diagonal(both)
    either = own[:, None] + own[None, :] - both
    return np.asarray(np.divide(both, either, out=np.ones(both.shape), where=either > 0))


def packed_bits(masks: PackedMasks) -> NDArray[np.uint8]:
    """All sites' bits one after the other."""
    # Each site's last byte is filled up with zeros, which count for nothing.
    empty = np.zeros(0, np.uint8)
    return np.concatenate([empty, *(masks.bits[site] for site in masks.shapes)])


def _shared_nodes(masks: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """How many nodes every two masks keep both, (k, k): a product of matrices of bits, a piece at a time."""
    packed = np.stack(masks)
    both = np.zeros((len(packed), len(packed)), np.int64)
    for start in range(0, packed.shape[1], _CHUNK_BYTES):
        # float32 holds such small counts exactly, and its product is the fast one.
        bits = np.unpackbits(packed[:, start : start + _CHUNK_BYTES], axis=1).astype(np.float32)
        both += np.rint(bits @ bits.T).astype(np.int64)
    return both
