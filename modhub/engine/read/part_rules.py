"""How operations are read that take a part of a tensor, or one number of many: slices, splits, means and maxima.

Channels are chosen and summed by a 1x1 convolution whose kernel says which; of images, rows and columns are cropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.read.activations import scale_and_shift
from modhub.engine.read.builder import Builder, refuse
from modhub.engine.read.graph import LayerCall
from modhub.engine.read.layer_rules import ReadingRule
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import Conv2D, Dense, GlobalPooling2D, Identity, Pooling2D
from modhub.spec.rearrangements import Cropping2D, Reshape

_ALL: Final = slice(None)


def _weighing(kernel: NDArray[np.float32], rank: int) -> tuple[LayerRecord, dict[str, NDArray[np.float32]]]:
    """The layer that makes each position's channels ``kernel`` (channels, outputs) of them, and its weights."""
    outputs = kernel.shape[1]
    if rank != 3:
        return Dense(units=outputs, use_bias=False), {"kernel": kernel}
    record = Conv2D(filters=outputs, kernel_size=(1, 1), use_bias=False)
    return record, {"kernel": kernel.reshape(1, 1, *kernel.shape)}


def _channels(build: Builder, call: LayerCall, chosen: Any, source: str) -> None:
    """The channels ``chosen`` of ``source``, in that order, as the last record of ``call``."""
    shape = build.shapes[source]
    kernel = np.eye(shape[-1], dtype=np.float32)[:, chosen].copy()
    record, weights = _weighing(kernel, len(shape))
    build.emit(call.id, call.name, record, [source], weights)


def _get_item(build: Builder, call: LayerCall) -> None:
    """``x[:, 1:-1]``, ``x[..., :8]``, ``x[..., ::-1]``, ``x[..., 0]``."""
    shape, key = build.shape(call), call.arguments.get("key")
    parts: list[Any] = list(key) if isinstance(key, tuple) else [key]
    if parts.count(Ellipsis) == 1:
        place = parts.index(Ellipsis)
        parts[place : place + 1] = [_ALL] * (len(shape) + 2 - len(parts))
    parts += [_ALL] * (len(shape) + 1 - len(parts))
    rows_and_columns, last = parts[1:-1], parts[-1]
    fits = len(parts) == len(shape) + 1 and parts[0] == _ALL and all(map(_is_range, rows_and_columns))
    if not fits or not isinstance(last, int | slice) or isinstance(last, bool):
        raise refuse(call, "takes a part of a tensor", hint="take ranges of rows, columns or channels: x[:, 1:-1].")
    if isinstance(last, int):
        _one_channel(build, call, last, [part.indices(n) for part, n in zip(rows_and_columns, shape, strict=False)])
        return
    _ranges(build, call, rows_and_columns, list(range(shape[-1]))[last])


def _is_range(part: Any) -> bool:
    return isinstance(part, slice) and part.step in (None, 1)


def _ranges(build: Builder, call: LayerCall, rows_and_columns: list[slice], channels: list[int]) -> None:
    """Ranges of rows and columns, and some channels in any order."""
    shape, source = build.shape(call), call.inputs[0]
    is_whole = channels == list(range(shape[-1]))
    borders = []
    for part, extent in zip(rows_and_columns, shape[:-1], strict=True):
        start, stop, _ = part.indices(extent)
        borders.append((start, extent - stop))
    if any(map(any, borders)):
        if len(shape) != 3:
            raise refuse(call, "takes a part of what is no image", hint="make an image of it before.")
        record = Cropping2D(cropping=tuple(borders))
        source = build.put(call, record) if is_whole else build.part(call, "cropped", record, [source])
    elif is_whole:
        build.put(call, Identity())
    if not is_whole:
        _channels(build, call, channels, source)
        build.note(call, "a 1x1 convolution that chooses channels")


def _one_channel(build: Builder, call: LayerCall, channel: int, ranges: list[tuple[int, int, int]]) -> None:
    shape = build.shape(call)
    if len(shape) != 3 or any(found != (0, n, 1) for found, n in zip(ranges, shape, strict=False)):
        raise refuse(call, "takes one number of each image", hint="take a range: x[:, k:k+1].")
    record, weights = _weighing(np.eye(shape[2], dtype=np.float32)[:, [channel]].copy(), 3)
    chosen = build.part(call, "channel", record, call.inputs, weights)
    build.last(call, "map", Reshape(target_shape=shape[:2]), [chosen])


def _split(build: Builder, call: LayerCall) -> None:
    """One of the parts into which ``split`` cuts a tensor: ``part`` among the arguments says which."""
    shape, layer, part = build.shape(call), call.layer, call.arguments["part"]
    axis, cuts = layer.axis % (len(shape) + 1), layer.indices_or_sections
    if axis == 0:
        raise refuse(call, "takes images of a batch apart", hint="split channels: axis=-1.")
    extent = shape[axis - 1]
    if isinstance(cuts, int):
        cuts = [extent // cuts * number for number in range(1, cuts)]
    own = slice([0, *cuts][part], [*cuts, extent][part])
    parts = [_ALL] * len(shape)
    parts[axis - 1] = own
    _ranges(build, call, parts[:-1], list(range(shape[-1]))[parts[-1]])


def _flip(build: Builder, call: LayerCall) -> None:
    axis, rank = call.layer.axis, len(build.shape(call)) + 1
    axes = [axis] if isinstance(axis, int) else list(axis or range(rank))
    if [one % rank for one in axes] != [rank - 1]:
        raise refuse(call, "turns another axis than the channels around", hint="use axis=-1.")
    _ranges(build, call, [_ALL] * (rank - 2), list(range(build.shape(call)[-1]))[::-1])


def _reduced(kind: Any) -> ReadingRule:
    """A rule for ``mean``, ``max`` or ``sum`` of rows and columns, or of the channels."""

    def rule(build: Builder, call: LayerCall) -> None:
        layer, rank = call.layer, len(build.shape(call)) + 1
        axis = layer.axis
        axes = () if axis is None else [axis] if isinstance(axis, int) else list(axis)
        places = sorted(one % rank for one in axes)
        in_one_row = call.inputs[0] in build.one_row
        if (in_one_row and [one % 3 for one in axes] == [1]) or (rank == 4 and places == [1, 2]):
            _over_positions(build, call, kind, keepdims=bool(layer.keepdims))
        elif rank == 4 and places == [3] and (layer.keepdims or not in_one_row):
            _over_channels(build, call, kind, keepdims=bool(layer.keepdims))
        else:
            raise refuse(call, f"reduces the axes {axis}", hint="reduce rows and columns, axis=(1, 2), or channels.")

    return rule


def _over_positions(build: Builder, call: LayerCall, kind: str, *, keepdims: bool) -> None:
    if kind != "sum":
        pooling: Any = "global_average_pooling2d" if kind == "mean" else "global_max_pooling2d"
        build.put(call, GlobalPooling2D(kind=pooling, keepdims=keepdims))
        return
    positions = prod(build.shape(call)[:2])
    record = GlobalPooling2D(kind="global_average_pooling2d", keepdims=keepdims)
    mean = build.part(call, "mean", record, call.inputs)
    scale_and_shift(build, call, mean, np.full(1, positions, np.float32), np.zeros(1, np.float32))


def _over_channels(build: Builder, call: LayerCall, kind: str, *, keepdims: bool) -> None:
    """A 1x1 convolution of equal weights; the maximum as a pooling of each position's channels in a row."""
    rows, columns, channels = build.shape(call)
    if kind == "max":
        row = build.part(call, "row", Reshape(target_shape=(rows * columns, channels, 1)), call.inputs)
        window = Pooling2D(kind="max_pooling2d", pool_size=(1, channels), strides=(1, channels))
        found = build.part(call, "largest", window, [row])
    else:
        weight = 1.0 if kind == "sum" else 1 / channels
        record, weights = _weighing(np.full((channels, 1), weight, np.float32), 3)
        found = build.part(call, kind, record, call.inputs, weights)
    target = (rows, columns, 1) if keepdims else (rows, columns)
    build.last(call, "map", Reshape(target_shape=target), [found])
    build.note(call, "a pooling of channels" if kind == "max" else "a 1x1 convolution of equal weights")


PART_RULES: Final[Mapping[str, ReadingRule]] = {
    "GetItem": _get_item,
    "Split": _split,
    "Flip": _flip,
    "Mean": _reduced("mean"),
    "Max": _reduced("max"),
    "Sum": _reduced("sum"),
}
