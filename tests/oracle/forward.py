"""One image through a network, position by position.

Numbers are Python floats. With the small integers and powers of two that ``networks`` draws, every intermediate sum is
exact in float32 as well, so a correct fast version computes the very same values and masks may be compared exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from modhub.spec.architecture import INPUT, Architecture

Values = dict[str, np.ndarray]


def forward(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    image: np.ndarray,
    masks: Mapping[str, np.ndarray] | None = None,
    instead: Mapping[str, np.ndarray] | None = None,
) -> Values:
    """The output of every call for one image (rows, columns, channels), by call id; ``input`` is the image.

    ``masks`` are multiplied onto the outputs of the calls they name, after the layer's own activation. What ``instead``
    names is not computed but taken from there, before any mask.
    """
    values: Values = {INPUT: np.array(image, dtype=np.float64)}
    for call in architecture.calls:
        layer = architecture.layers[call.layer]
        if instead is not None and call.id in instead:
            output = instead[call.id].copy()
        else:
            output = apply_layer(layer, call.layer, weights, [values[source] for source in call.inputs])
        if masks is not None and call.id in masks:
            for position in np.ndindex(output.shape):
                if not masks[call.id][position]:
                    output[position] = 0.0
        values[call.id] = output
    return values


def features(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    image: np.ndarray,
    masks: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """The penultimate features of one image."""
    return forward(architecture, weights, image, masks)[architecture.features]


def logits(kernel: np.ndarray, bias: np.ndarray, vector: np.ndarray) -> list[float]:
    """``vector . kernel + bias``, one number a column of ``kernel`` (features, outputs)."""
    rows, columns = kernel.shape
    return [sum(float(vector[i]) * float(kernel[i, j]) for i in range(rows)) + float(bias[j]) for j in range(columns)]


def is_exact(values: Values) -> bool:
    """Whether float32 sums over these values are exact in any order: few bits, and digits for sums of many."""
    for array in values.values():
        largest = max((abs(float(value)) for value in array.flat), default=0.0)
        bits = 0
        while bits <= 12 and any(not (float(value) * 2**bits).is_integer() for value in array.flat):
            bits += 1
        if bits > 12 or largest * 2**bits >= 2**19:
            return False
    return True


def apply_layer(layer: Any, name: str, weights: Mapping[str, np.ndarray], inputs: list[np.ndarray]) -> np.ndarray:
    """One layer's output for one image."""
    x = inputs[0]
    match layer.kind:
        case "conv2d":
            return _convolution(layer, weights[f"{name}/kernel"], weights.get(f"{name}/bias"), x)
        case "dense":
            return _dense(layer, weights[f"{name}/kernel"], weights.get(f"{name}/bias"), x)
        case "batch_normalization":
            return _batch_normalization(layer, name, weights, x)
        case "relu":
            return _elementwise(x, lambda value, _: _clip(value, layer.max_value))
        case "max_pooling2d" | "average_pooling2d":
            return _pooling(layer, x)
        case "global_max_pooling2d" | "global_average_pooling2d":
            return _global_pooling(layer, x)
        case "add":
            return _add(inputs)
        case "concatenate":
            return _concatenate(layer.axis, inputs)
        case "flatten":
            return _refill(x, (x.size,))
        case "reshape":
            return _refill(x, layer.target_shape)
        case "identity":
            return x.copy()
        case "rescaling":
            return _elementwise(x, lambda value, c: value * _at(layer.scale, c) + _at(layer.offset, c))
        case "normalization":
            mean, variance = weights[f"{name}/mean"], weights[f"{name}/variance"]
            return _elementwise(x, lambda v, c: (v - _at(mean, c)) / max(math.sqrt(_at(variance, c)), 1e-7))
        case "zero_padding2d":
            return _zero_padding(layer.padding, x)
        case "multiply" | "subtract" | "average" | "maximum":
            return _merge(layer.kind, inputs)
        case "permute":
            return _permute(layer.dims, x)
        case "cropping2d":
            (top, bottom), (left, right) = layer.cropping
            return _part(x, top, x.shape[0] - bottom, left, x.shape[1] - right)
        case "upsampling2d":
            return _upsampling(layer.size, x)
        case "elementwise":
            return _elementwise(x, lambda value, _: FUNCTIONS[layer.function](value, layer.alpha or 1.0))
        case "layer_normalization":
            return _normalised(
                layer, name, weights, x, lambda position: [(*position[:-1], c) for c in range(x.shape[-1])]
            )
        case "group_normalization":
            return _group_normalization(layer, name, weights, x)
    raise AssertionError(f"the oracle does not know the layer kind {layer.kind!r}")


def windows(layer: Any, shape: tuple[int, ...]) -> Iterator[tuple[int, int, list[tuple[int, int, int, int]]]]:
    """Every window of a convolution or pooling on an input of ``shape`` (rows, columns, channels).

    Yields the output row and column, and for each input position inside the image that the window reads the tuple
    (row in the window, column in the window, input row, input column). Positions in the padding are left out.
    """
    size = layer.kernel_size if layer.kind == "conv2d" else layer.pool_size
    dilation = layer.dilation if layer.kind == "conv2d" else (1, 1)
    counts, before = [], []
    for axis in (0, 1):
        extent = (size[axis] - 1) * dilation[axis] + 1
        if layer.padding == "valid":
            counts.append((shape[axis] - extent) // layer.strides[axis] + 1)
            before.append(0)
        else:
            counts.append(math.ceil(shape[axis] / layer.strides[axis]))
            total = max((counts[axis] - 1) * layer.strides[axis] + extent - shape[axis], 0)
            before.append(total // 2)
    for out_row in range(counts[0]):
        for out_column in range(counts[1]):
            read = []
            for i in range(size[0]):
                for j in range(size[1]):
                    row = out_row * layer.strides[0] - before[0] + i * dilation[0]
                    column = out_column * layer.strides[1] - before[1] + j * dilation[1]
                    if 0 <= row < shape[0] and 0 <= column < shape[1]:
                        read.append((i, j, row, column))
            yield out_row, out_column, read


def _by_position(entries: dict[tuple[int, ...], float]) -> np.ndarray:
    shape = tuple(max(position[axis] for position in entries) + 1 for axis in range(len(next(iter(entries)))))
    output = np.full(shape, np.nan)
    for position, value in entries.items():
        output[position] = value
    return output


def _activate(activation: str, value: float) -> float:
    return {"linear": value, "relu": _clip(value, None), "relu6": _clip(value, 6.0)}[activation]


def _clip(value: float, largest: float | None) -> float:
    positive = max(value, 0.0)
    return positive if largest is None else min(positive, largest)


def _at(numbers: Any, channel: int) -> float:
    return float(numbers[channel] if len(numbers) > 1 else numbers[0])


def _elementwise(x: np.ndarray, function: Any) -> np.ndarray:
    output = np.empty(x.shape)
    for position in np.ndindex(x.shape):
        output[position] = function(float(x[position]), position[-1])
    return output


def _convolution(layer: Any, kernel: np.ndarray, bias: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    numbers, pixels, entries = kernel.tolist(), x.tolist(), {}
    channels, filters = x.shape[2] // layer.groups, layer.filters // layer.groups
    for row, column, read in windows(layer, x.shape):
        for f in range(layer.filters):
            first = (f // filters) * channels
            total = 0.0 if bias is None else float(bias[f])
            for i, j, r, c in read:
                for k in range(channels):
                    total += pixels[r][c][first + k] * numbers[i][j][k][f]
            entries[row, column, f] = _activate(layer.activation, total)
    return _by_position(entries)


def _dense(layer: Any, kernel: np.ndarray, bias: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    output = np.empty((*x.shape[:-1], layer.units))
    numbers = kernel.tolist()
    for position in np.ndindex(x.shape[:-1]):
        row = x[position].tolist()
        for unit in range(layer.units):
            total = 0.0 if bias is None else float(bias[unit])
            for i, value in enumerate(row):
                total += value * numbers[i][unit]
            output[(*position, unit)] = _activate(layer.activation, total)
    return output


def _batch_normalization(layer: Any, name: str, weights: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]

    def normalise(value: float, c: int) -> float:
        result = (value - float(mean[c])) / math.sqrt(float(variance[c]) + layer.epsilon)
        result *= float(weights[f"{name}/gamma"][c]) if layer.scale else 1.0
        return result + (float(weights[f"{name}/beta"][c]) if layer.center else 0.0)

    return _elementwise(x, normalise)


def _pooling(layer: Any, x: np.ndarray) -> np.ndarray:
    entries = {}
    for row, column, read in windows(layer, x.shape):
        for channel in range(x.shape[2]):
            values = [float(x[r, c, channel]) for _, _, r, c in read]
            # An average is over the positions inside the image only; padding counts for nothing.
            pooled = max(values) if layer.kind == "max_pooling2d" else sum(values) / len(values)
            entries[row, column, channel] = pooled
    return _by_position(entries)


def _global_pooling(layer: Any, x: np.ndarray) -> np.ndarray:
    rows, columns, channels = x.shape
    output = np.empty(channels)
    for channel in range(channels):
        values = [float(x[r, c, channel]) for r in range(rows) for c in range(columns)]
        output[channel] = max(values) if layer.kind == "global_max_pooling2d" else sum(values) / len(values)
    return _refill(output, (1, 1, channels)) if layer.keepdims else output


def _add(inputs: list[np.ndarray]) -> np.ndarray:
    output = np.zeros(inputs[0].shape)
    for x in inputs:
        for position in np.ndindex(x.shape):
            output[position] += x[position]
    return output


def _concatenate(axis: int, inputs: list[np.ndarray]) -> np.ndarray:
    shape = list(inputs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in inputs)
    output = np.empty(shape)
    first = 0
    for x in inputs:
        for position in np.ndindex(x.shape):
            output[(*position[:axis], first + position[axis], *position[axis + 1 :])] = x[position]
        first += x.shape[axis]
    return output


def _refill(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    output = np.empty(shape)
    for source, target in zip(np.ndindex(x.shape), np.ndindex(tuple(shape)), strict=True):
        output[target] = x[source]
    return output


def _zero_padding(padding: Any, x: np.ndarray) -> np.ndarray:
    (top, bottom), (left, right) = padding
    output = np.zeros((x.shape[0] + top + bottom, x.shape[1] + left + right, x.shape[2]))
    for r, c, k in np.ndindex(x.shape):
        output[r + top, c + left, k] = x[r, c, k]
    return output


def _merge(kind: str, inputs: list[np.ndarray]) -> np.ndarray:
    shape = tuple(max(extents) for extents in zip(*(x.shape for x in inputs), strict=True))
    output = np.empty(shape)
    for position in np.ndindex(shape):
        values = [
            float(x[tuple(0 if extent == 1 else index for extent, index in zip(x.shape, position, strict=True))])
            for x in inputs
        ]
        match kind:
            case "multiply":
                output[position] = math.prod(values)
            case "subtract":
                output[position] = values[0] - values[1]
            case "average":
                output[position] = sum(values) / len(values)
            case "maximum":
                output[position] = max(values)
    return output


def _permute(dims: tuple[int, ...], x: np.ndarray) -> np.ndarray:
    output = np.empty(tuple(x.shape[axis] for axis in dims))
    for position in np.ndindex(output.shape):
        source = [0] * len(dims)
        for place, axis in enumerate(dims):
            source[axis] = position[place]
        output[position] = x[tuple(source)]
    return output


def _part(x: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    output = np.empty((bottom - top, right - left, x.shape[2]))
    for r, c, k in np.ndindex(output.shape):
        output[r, c, k] = x[top + r, left + c, k]
    return output


def _upsampling(size: tuple[int, int], x: np.ndarray) -> np.ndarray:
    output = np.empty((x.shape[0] * size[0], x.shape[1] * size[1], x.shape[2]))
    for r, c, k in np.ndindex(output.shape):
        output[r, c, k] = x[r // size[0], c // size[1], k]
    return output


def _normalised(layer: Any, name: str, weights: Mapping[str, np.ndarray], x: np.ndarray, alike: Any) -> np.ndarray:
    """Each element less the mean of those that ``alike`` names, divided by their deviation, then gamma and beta."""
    output = np.empty(x.shape)
    for position in np.ndindex(x.shape):
        values = [float(x[place]) for place in alike(position)]
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        result = (float(x[position]) - mean) / math.sqrt(variance + layer.epsilon)
        channel = position[-1]
        result *= float(weights[f"{name}/gamma"][channel]) if layer.scale else 1.0
        output[position] = result + (float(weights[f"{name}/beta"][channel]) if layer.center else 0.0)
    return output


def _group_normalization(layer: Any, name: str, weights: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    width = x.shape[-1] // layer.groups

    def alike(position: tuple[int, ...]) -> list[tuple[int, ...]]:
        first = position[-1] // width * width
        return [(*place, c) for place in np.ndindex(x.shape[:-1]) for c in range(first, first + width)]

    return _normalised(layer, name, weights, x, alike)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _hard_sigmoid(x: float) -> float:
    return min(max(x / 6 + 0.5, 0.0), 1.0)


_SELU = 1.0507009873554805, 1.6732632423543772

#: Each function of one number and of alpha, as its paper or Keras' documentation defines it.
FUNCTIONS: dict[str, Any] = {
    "silu": lambda x, a: x * _sigmoid(x),
    "gelu": lambda x, a: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "tanh": lambda x, a: math.tanh(x),
    "sigmoid": lambda x, a: _sigmoid(x),
    "elu": lambda x, a: x if x > 0 else a * math.expm1(x),
    "selu": lambda x, a: _SELU[0] * (x if x > 0 else _SELU[1] * math.expm1(x)),
    "celu": lambda x, a: max(x, 0.0) + min(0.0, math.expm1(min(x, 0.0))),
    "softplus": lambda x, a: _softplus(x),
    "softsign": lambda x, a: x / (1 + abs(x)),
    "mish": lambda x, a: x * math.tanh(_softplus(x)),
    "exponential": lambda x, a: math.exp(x),
    "log_sigmoid": lambda x, a: -_softplus(-x),
    "hard_sigmoid": lambda x, a: _hard_sigmoid(x),
    "hard_silu": lambda x, a: x * _hard_sigmoid(x),
    "hard_tanh": lambda x, a: min(max(x, -1.0), 1.0),
    "tanh_shrink": lambda x, a: x - math.tanh(x),
    "squareplus": lambda x, a: 0.5 * (x + math.sqrt(x * x + 4)),
}
