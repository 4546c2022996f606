"""Activity: which nodes were > 0 for any observed input of a segment, and the masks that follow from it.

One row of bits a segment, all sites side by side, eight nodes a byte: 100 classes of a ResNet-56 take 13 MiB. Rows
combine by OR, which is associative, commutative and idempotent, so batches may come in any order and repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modhub.decomposition.sampling import Sample, Segment
from modhub.decomposition.sites import Site

Bits = NDArray[np.uint8]


class Activity:
    """Rows of packed bits, shape (segments, bytes): which nodes were active in each segment."""

    def __init__(self, sites: Sequence[Site], parts: Sequence[Segment]) -> None:
        self.sites = tuple(sites)
        self.parts = tuple(parts)
        self.nodes = sum(site.nodes for site in sites)
        self.rows: Bits = np.zeros((len(parts), -(-self.nodes // 8)), np.uint8)
        self._rows_of: dict[int, list[int]] = {}
        for row, part in enumerate(self.parts):
            self._rows_of.setdefault(part.cls, []).append(row)

    def record(self, rows: NDArray[np.int64], active: NDArray[np.bool_]) -> None:
        """OR ``active`` (groups, nodes) into the segments that ``rows`` (groups,) names."""
        self.merge(rows, np.packbits(active, axis=1))

    def merge(self, rows: NDArray[np.int64], packed: Bits) -> None:
        """OR ``packed`` (n, bytes), activity observed elsewhere, into the segments that ``rows`` (n,) names."""
        # Row by row: numpy's reduceat would go through every column.
        for row, bits in zip(rows, packed, strict=True):
            self.rows[row] |= bits

    def concern(self, cls: int) -> Bits:
        """Concern identification: nodes active for any observed input of ``cls``; shape (bytes,)."""
        return np.asarray(np.bitwise_or.reduce(self.rows[self._rows_of.get(cls, [])], axis=0))

    def _first(self, cls: int, count: int) -> Bits:
        own = [row for row in self._rows_of.get(cls, []) if self.parts[row].stop <= count]
        return np.asarray(np.bitwise_or.reduce(self.rows[own], axis=0))

    def keep(self, sample: Sample) -> Bits:
        """Tangling identification for all classes, shape (classes, bytes).

        ``keep[c] = concern[c] | OR over k != c of active_in_first(k, n_c)``
        """
        kept = np.stack([self.concern(cls) for cls in range(len(sample.counts))])
        for share in set(sample.shares):
            firsts = np.stack([self._first(k, share) for k in range(len(sample.counts))])
            before = np.bitwise_or.accumulate(firsts, axis=0)
            after = np.bitwise_or.accumulate(firsts[::-1], axis=0)[::-1]
            for cls, own in enumerate(sample.shares):
                if own == share:
                    if cls > 0:
                        kept[cls] |= before[cls - 1]
                    if cls + 1 < len(kept):
                        kept[cls] |= after[cls + 1]
        return kept

    def unpack(self, bits: Bits) -> dict[str, NDArray[np.bool_]]:
        """One row of bits as boolean masks by site, each in its site's shape."""
        flat = np.unpackbits(bits, count=self.nodes).astype(bool)
        masks, start = {}, 0
        for site in self.sites:
            masks[site.id] = flat[start : start + site.nodes].reshape(site.shape)
            start += site.nodes
        return masks
