"""What leaving out a block changes, as far as the layers that stay cannot make up for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.blocks import Block
from modhub.compaction.patches import at_positions, drawn_positions, moments, patches_at
from modhub.engine.compact.observing import tensors_of
from modhub.engine.library import ops
from modhub.engine.run.network import Network
from modhub.spec.input_contract import InputContract
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import Conv2D, Dense

_Singles = NDArray[np.float32]

#: Positions of each image at which a branch is observed.
_POSITIONS: Final = 20
#: A branch is predicted from a window of 3 x 3, or, where that is more numbers than these, from the position alone.
_MOST_INPUTS: Final = 1152
_RIDGE: Final = 3e-4


@dataclass(frozen=True, eq=False)
class BranchGone:
    """A sum without its branch, but for a linear function of its input, ``kernel`` (3, 3, channels, channels) or
    (channels, channels) and ``bias``, which other layers take over."""

    block: Block
    kernel: _Singles
    bias: _Singles

    @property
    def at(self) -> str:
        return self.block.sum

    def added(self, tensors: Mapping[str, Any]) -> Any:
        skip = tensors[self.block.skip]
        if self.kernel.ndim == 2:
            predicted = ops.matmul(skip, self.kernel)
        else:
            predicted = ops.conv(skip, self.kernel, padding="same")
        return skip + predicted + self.bias - tensors[self.block.sum]


def branches_gone(
    network: Network, contract: InputContract, images: NDArray[Any], blocks: Sequence[Block], seed: int
) -> dict[str, BranchGone]:
    """By the sum of each block what the network has without its branch; the linear functions are fitted on raw
    ``images`` (n, ...)."""
    if not blocks:
        return {}
    readers = {block.sum: _reader(network.shapes[block.skip]) for block in blocks}
    positions = {name: drawn_positions(name, network.shapes[name], len(images), _POSITIONS, seed) for name in readers}
    sums: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    fetched = [*dict.fromkeys(name for block in blocks for name in (block.sum, block.skip))]
    for part, found in tensors_of(network, contract, images, fetched):
        for block in blocks:
            skip, own = found[block.skip], positions[block.sum][part]
            inputs = patches_at(readers[block.sum], skip, own, skip.shape[2] if skip.ndim == 4 else 1)
            gram, cross = moments(inputs, at_positions(found[block.sum] - skip, own))
            before = sums.get(block.sum)
            sums[block.sum] = (gram, cross) if before is None else (before[0] + gram, before[1] + cross)
    return {block.sum: _gone(block, readers[block.sum], *sums[block.sum]) for block in blocks}


def _gone(block: Block, reader: LayerRecord, gram: NDArray[np.float64], cross: NDArray[np.float64]) -> BranchGone:
    strength = max(_RIDGE * float(np.trace(gram)) / len(gram), 1e-12)
    solved = np.linalg.solve(gram + strength * np.eye(len(gram)), cross).astype(np.float32)
    channels = solved.shape[1]
    kernel = solved[:-1].reshape(3, 3, channels, channels) if isinstance(reader, Conv2D) else solved[:-1]
    return BranchGone(block, kernel, solved[-1])


def _reader(shape: tuple[int, ...]) -> LayerRecord:
    """What a branch is predicted with, from a tensor of this shape."""
    channels = shape[-1]
    if len(shape) == 3 and 9 * channels <= _MOST_INPUTS:
        return Conv2D(filters=channels, kernel_size=(3, 3), padding="same")
    return Dense(units=channels)
