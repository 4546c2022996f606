"""The engine's half of every kind of layer: which Keras layer computes it, and how its weights go in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.packaged import half_of
from modhub.spec.layer_record import LayerRecord, Shape
from modhub.spec.layers import Conv2D, Elementwise
from modhub.spec.packaged_layers import PackagedLayer

Values = dict[str, NDArray[np.float32]]


def made_layer(spec: LayerRecord, name: str, input_shape: Shape, values: Values) -> tuple[keras.Layer, Values]:
    """The Keras layer that computes ``spec`` in float32, not yet built, and its weights as that layer has them.

    ``values`` are the weights by the names and in the shapes that ``spec.weight_shapes`` gives; what is returned is by
    the names of the layer's initializers. ``input_shape`` is that of the first input.
    """
    if isinstance(spec, Conv2D) and _is_depthwise(spec, input_shape):
        return _depthwise(spec, name, values)
    if isinstance(spec, Elementwise):
        return _function(spec, name), values
    if isinstance(spec, PackagedLayer):
        return half_of(type(spec)).make(spec, name), values
    kind, arguments = _MAKERS[spec.kind]
    return kind(**arguments(spec), name=name, dtype="float32"), values


def _is_depthwise(spec: Conv2D, input_shape: Shape) -> bool:
    """Whether each channel is a group, which TensorFlow computes a hundred times faster as a depthwise convolution.

    It has no kernel for different strides in rows and columns.
    """
    return 1 < spec.groups == input_shape[-1] and spec.strides[0] == spec.strides[1]


def _depthwise(spec: Conv2D, name: str, values: Values) -> tuple[keras.Layer, Values]:
    multiplier = spec.filters // spec.groups
    layer = keras.layers.DepthwiseConv2D(
        spec.kernel_size,
        strides=spec.strides,
        padding=spec.padding,
        dilation_rate=spec.dilation,
        depth_multiplier=multiplier,
        use_bias=spec.use_bias,
        activation=spec.activation,
        depthwise_initializer="zeros",
        name=name,
        dtype="float32",
        **_LAST,
    )
    # Filter c * multiplier + j reads channel c: the same order, with the last two axes apart.
    kernel = values["kernel"].reshape(*spec.kernel_size, spec.groups, multiplier)
    bias = {"bias": values["bias"]} if spec.use_bias else {}
    return layer, {"depthwise": kernel, **bias}


def _function(spec: Elementwise, name: str) -> keras.Layer:
    if spec.function == "elu":
        return keras.layers.ELU(alpha=1.0 if spec.alpha is None else spec.alpha, name=name, dtype="float32")
    return keras.layers.Activation(spec.function, name=name, dtype="float32")


def _number_or_list(numbers: tuple[float, ...]) -> Any:
    return numbers[0] if len(numbers) == 1 else list(numbers)


def _none(spec: Any) -> dict[str, Any]:
    return {}


def _pooling(spec: Any) -> dict[str, Any]:
    return {"pool_size": spec.pool_size, "strides": spec.strides, "padding": spec.padding, **_LAST}


def _normalization(spec: Any) -> dict[str, Any]:
    return {"epsilon": spec.epsilon, "center": spec.center, "scale": spec.scale}


def _global_pooling(spec: Any) -> dict[str, Any]:
    return {"keepdims": spec.keepdims, **_LAST}


_LAST = {"data_format": "channels_last"}
_layers = keras.layers
_MAKERS: Final[Mapping[str, tuple[Any, Callable[[Any], dict[str, Any]]]]] = {
    "conv2d": (
        _layers.Conv2D,
        lambda s: {
            "filters": s.filters,
            "kernel_size": s.kernel_size,
            "strides": s.strides,
            "padding": s.padding,
            "dilation_rate": s.dilation,
            "groups": s.groups,
            "use_bias": s.use_bias,
            "activation": s.activation,
            "kernel_initializer": "zeros",
            **_LAST,
        },
    ),
    "dense": (
        _layers.Dense,
        lambda s: {
            "units": s.units,
            "use_bias": s.use_bias,
            "activation": s.activation,
            "kernel_initializer": "zeros",
        },
    ),
    "batch_normalization": (
        _layers.BatchNormalization,
        lambda s: {"epsilon": s.epsilon, "center": s.center, "scale": s.scale},
    ),
    "relu": (_layers.ReLU, lambda s: {"max_value": s.max_value}),
    "max_pooling2d": (_layers.MaxPooling2D, _pooling),
    "average_pooling2d": (_layers.AveragePooling2D, _pooling),
    "global_max_pooling2d": (_layers.GlobalMaxPooling2D, _global_pooling),
    "global_average_pooling2d": (_layers.GlobalAveragePooling2D, _global_pooling),
    "add": (_layers.Add, _none),
    "concatenate": (_layers.Concatenate, lambda s: {"axis": s.axis + 1}),
    "flatten": (_layers.Flatten, lambda s: _LAST),
    "reshape": (_layers.Reshape, lambda s: {"target_shape": s.target_shape}),
    "identity": (_layers.Identity, _none),
    "rescaling": (
        _layers.Rescaling,
        lambda s: {"scale": _number_or_list(s.scale), "offset": _number_or_list(s.offset)},
    ),
    "zero_padding2d": (_layers.ZeroPadding2D, lambda s: {"padding": s.padding, **_LAST}),
    "multiply": (_layers.Multiply, _none),
    "subtract": (_layers.Subtract, _none),
    "average": (_layers.Average, _none),
    "maximum": (_layers.Maximum, _none),
    # Keras counts the batch as axis 0.
    "permute": (_layers.Permute, lambda s: {"dims": tuple(axis + 1 for axis in s.dims)}),
    "cropping2d": (_layers.Cropping2D, lambda s: {"cropping": s.cropping, **_LAST}),
    "upsampling2d": (_layers.UpSampling2D, lambda s: {"size": s.size, **_LAST}),
    "layer_normalization": (_layers.LayerNormalization, _normalization),
    "group_normalization": (_layers.GroupNormalization, lambda s: {"groups": s.groups, **_normalization(s)}),
}
