"""How operations on a tensor and a weight are read, which the ``call`` of a layer of a person's own is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.read.builder import Builder, array, refuse
from modhub.engine.read.graph import LayerCall, TensorArgument
from modhub.engine.read.layer_rules import ReadingRule
from modhub.spec.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    LayerNormalization,
)


def rows_and_columns(value: int | Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a size that may be one number."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def extents(build: Builder, call: LayerCall, value: int | Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a size that an operation on images or, in one row, on signals was called with."""
    if call.inputs[0] in build.one_row:
        return 1, value if isinstance(value, int) else int(value[0])
    return rows_and_columns(value)


def _weight(call: LayerCall, name: str) -> NDArray[np.float32]:
    """A weight that an operation was called with. Raises UnsupportedModel where it is a tensor of the graph."""
    value = call.arguments.get(name)
    if value is None or isinstance(value, TensorArgument):
        raise refuse(call, f"takes its {name} from another layer", hint="modhub follows weights, which are fixed.")
    return array(value)


def _convolution(*, depthwise: bool) -> ReadingRule:
    """What the ``call`` of a convolution that a person derived from Keras' own records."""

    def rule(build: Builder, call: LayerCall) -> None:
        layer: Any = call.layer
        if layer.data_format not in (None, "channels_last") or layer.padding not in ("valid", "same"):
            raise refuse(call, "keeps its channels first or pads in another way", hint="use padding='same' or 'valid'.")
        kernel, channels = _weight(call, "kernel"), build.shape(call)[-1]
        if call.inputs[0] in build.one_row and kernel.ndim == 3:
            kernel = kernel[None]
        if kernel.ndim != 4:
            raise refuse(call, f"has a kernel of {kernel.ndim} axes", hint="use a convolution of images or signals.")
        if depthwise:
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
        record = Conv2D(
            filters=kernel.shape[3],
            kernel_size=rows_and_columns(kernel.shape[:2]),
            strides=extents(build, call, layer.strides),
            padding=layer.padding,
            dilation=extents(build, call, layer.dilation_rate),
            groups=channels // kernel.shape[2],
            use_bias=False,
        )
        build.put(call, record, {"kernel": kernel})

    return rule


def _matmul(build: Builder, call: LayerCall) -> None:
    if not isinstance(call.arguments["x1"], TensorArgument):
        raise refuse(call, "multiplies from the left", hint="use a Dense layer.")
    kernel = _weight(call, "x2")
    if kernel.ndim != 2:
        raise refuse(call, f"multiplies by an array of shape {kernel.shape}", hint="use a Dense layer.")
    build.put(call, Dense(units=kernel.shape[1], use_bias=False), {"kernel": kernel})


def _batch_norm(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    if layer.axis not in (-1, len(build.shape(call))):
        raise refuse(call, f"normalises axis {layer.axis}, not the channels", hint="use axis=-1.")
    given = {"gamma": "scale", "beta": "offset", "moving_mean": "mean", "moving_variance": "variance"}
    weights = {ours: _weight(call, name) for ours, name in given.items() if call.arguments.get(name) is not None}
    record = BatchNormalization(epsilon=layer.epsilon, center="beta" in weights, scale="gamma" in weights)
    build.put(call, record, weights)


def _layer_norm(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if axes not in ([-1], [len(build.shape(call))]) or layer.rms_scaling:
        raise refuse(call, f"normalises the axes {axes}, or by the root mean square", hint="use axis=-1.")
    weights = {name: _weight(call, name) for name in ("gamma", "beta") if call.arguments.get(name) is not None}
    record = LayerNormalization(epsilon=layer.epsilon, center="beta" in weights, scale="gamma" in weights)
    build.put(call, record, weights)


WEIGHT_RULES: Final[Mapping[str, ReadingRule]] = {
    "Conv": _convolution(depthwise=False),
    "DepthwiseConv": _convolution(depthwise=True),
    "Matmul": _matmul,
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
}
