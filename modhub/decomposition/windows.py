"""Which input positions a sliding window reads: a transposed convolution with a kernel of ones, exact in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modhub.architecture import Conv2D, Pooling2D, Shape, window_padding


def read_counts(layer: Conv2D | Pooling2D, shape: Shape, outputs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For every input position, how many of the chosen ``outputs`` (H', W', C) read it; shape (H, W, C).

    ``shape`` is the input's (H, W, C). Padding is excluded: what a window reads beyond the border counts nowhere.
    """
    kernel, dilation = (layer.kernel_size, layer.dilation) if isinstance(layer, Conv2D) else (layer.pool_size, (1, 1))
    (top, bottom), (left, right) = window_padding(layer, shape)
    counts = np.zeros((shape[0] + top + bottom, shape[1] + left + right, outputs.shape[2]), np.int64)
    rows, columns = outputs.shape[:2]
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            y, x = i * dilation[0], j * dilation[1]
            counts[
                y : y + (rows - 1) * layer.strides[0] + 1 : layer.strides[0],
                x : x + (columns - 1) * layer.strides[1] + 1 : layer.strides[1],
            ] += outputs
    return counts[top : top + shape[0], left : left + shape[1]]
