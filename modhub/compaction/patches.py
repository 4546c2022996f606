"""What a convolution or dense layer reads at some positions of its output, as rows of a regression."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.channels import is_depthwise
from modhub.spec.digests import sha256
from modhub.spec.layer_record import LayerRecord, Shape
from modhub.spec.layers import Conv2D, window_padding

_Singles = NDArray[np.float32]
Positions = NDArray[np.int64]


def drawn_positions(call: str, shape: Shape, images: int, count: int, seed: int) -> Positions:
    """For each image ``count`` positions of the output ``shape`` of ``call``, (images, count); all when there are
    fewer. Position p is row ``p // columns`` and column ``p % columns``; a vector has one. The same for the same seed.
    """
    places = prod(shape[:-1])
    if places <= count:
        return np.broadcast_to(np.arange(places), (images, places)).copy()
    own = int(sha256(call.encode())[-12:], 16)
    return np.random.default_rng([seed, own]).integers(0, places, (images, count))


def at_positions(tensor: _Singles, positions: Positions) -> _Singles:
    """The values of ``tensor`` (n, ..., channels) at ``positions`` (n, count), as rows (n * count, channels)."""
    flat = tensor.reshape(len(tensor), -1, tensor.shape[-1])
    return np.asarray(np.take_along_axis(flat, positions[:, :, None], axis=1).reshape(-1, tensor.shape[-1]))


def patches_at(layer: LayerRecord, tensor: _Singles, positions: Positions, columns: int) -> _Singles:
    """What ``layer`` reads of ``tensor`` (n, ..., channels) for each position of its output, one row each.

    Rows are in the order of the kernel: for a convolution window rows, window columns, channels; for a depthwise one
    the channels stay apart, (rows, window, channels). ``columns`` is the width of the output.
    """
    if not isinstance(layer, Conv2D):
        return at_positions(tensor, positions)
    padding = window_padding(layer, tensor.shape[1:])
    padded = np.pad(tensor, ((0, 0), *padding, (0, 0)))
    down, across = (np.arange(size) * step for size, step in zip(layer.kernel_size, layer.dilation, strict=True))
    top, left = positions // columns * layer.strides[0], positions % columns * layer.strides[1]
    rows = (top[:, :, None] + down)[:, :, :, None]
    aside = (left[:, :, None] + across)[:, :, None, :]
    found = padded[np.arange(len(tensor))[:, None, None, None], rows, aside]
    count, channels = positions.size, tensor.shape[-1]
    if is_depthwise(layer, tensor.shape[1:]):
        return np.asarray(found.reshape(count, -1, channels))
    return np.asarray(found.reshape(count, -1))


def moments(inputs: _Singles, outputs: _Singles) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``X'X`` (d + 1, d + 1) and ``X'Z`` (d + 1, outputs) of rows (n, d) with a last column of ones."""
    design = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
    return (design.T @ design).astype(np.float64), (design.T @ outputs).astype(np.float64)


def kernel_rows(kernel: NDArray[np.floating]) -> NDArray[np.float64]:
    """A kernel as the weights of that regression, without the bias: (inputs, outputs)."""
    return np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])


def channel_rows(entering: NDArray[np.int64], ids: tuple[int, ...], window: int) -> NDArray[np.int64]:
    """Which rows each channel class takes, (ids, rows), where a layer reads ``entering`` at ``window`` places.

    A class that stands in several channels has them all.
    """
    places = [np.flatnonzero(entering == element) for element in ids]
    offsets = np.arange(window)[:, None] * len(entering)
    return np.array([(offsets + own).reshape(-1) for own in places], np.int64)
