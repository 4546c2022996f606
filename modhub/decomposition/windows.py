"""Which input positions a sliding window reads: a transposed convolution with a kernel of ones, of truth values."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modhub.spec.layer_record import Shape
from modhub.spec.layers import Conv2D, Pooling2D, window_padding


def read_by(layer: Conv2D | Pooling2D, shape: Shape, outputs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The input positions (H, W, C) that at least one of the chosen ``outputs`` (H', W', C) reads.

    ``shape`` is the input's (H, W, C). Padding is excluded: what a window reads beyond the border counts nowhere.
    """
    kernel, dilation = (layer.kernel_size, layer.dilation) if isinstance(layer, Conv2D) else (layer.pool_size, (1, 1))
    (top, bottom), (left, right) = window_padding(layer, shape)
    read = np.zeros((shape[0] + top + bottom, shape[1] + left + right, outputs.shape[2]), bool)
    rows, columns = outputs.shape[:2]
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            y, x = i * dilation[0], j * dilation[1]
            read[
                y : y + (rows - 1) * layer.strides[0] + 1 : layer.strides[0],
                x : x + (columns - 1) * layer.strides[1] + 1 : layer.strides[1],
            ] |= outputs
    return read[top : top + shape[0], left : left + shape[1]]


@lru_cache(maxsize=1024)
def ever_read(layer: Conv2D | Pooling2D, shape: Shape, outputs: Shape) -> NDArray[np.bool_]:
    """The input positions (H, W, C) that any of the outputs, of the shape ``outputs``, reads. Not to be written to."""
    found = read_by(layer, shape, np.ones(outputs, bool))
    found.flags.writeable = False
    return found
