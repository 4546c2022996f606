"""Layers of signals (steps, channels) as layers of images of one row, (1, steps, channels).

A network of images has every kind that one of signals needs. So a tensor that a layer of signals reads gets a row in
front, and keeps it through the layers that work on the last axis or on each element alone; others get it without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from modhub.engine.library import keras
from modhub.engine.read.activations import with_activation
from modhub.engine.read.builder import Builder, array, named_weights, refuse
from modhub.engine.read.graph import LayerCall
from modhub.spec.layers import Conv2D, GlobalPooling2D, Identity, Padding, Pooling2D
from modhub.spec.rearrangements import Cropping2D, Reshape, UpSampling2D, ZeroPadding2D

SignalRule = Callable[[Builder, LayerCall], Any]


def in_one_row(build: Builder, call: LayerCall) -> LayerCall:
    """The call with inputs of one row: those (steps, channels) get a row in front. Raises UnsupportedModel."""
    for source in call.inputs:
        if source not in build.one_row and len(build.shapes[source]) != 2:
            raise refuse(call, f"reads the shape {build.shapes[source]}, not steps and channels")
    return replace(call, inputs=tuple(with_row(build, source) for source in call.inputs))


def without_row(build: Builder, call: LayerCall) -> LayerCall:
    """The call with inputs that have the axes which Keras says that they have."""
    return replace(call, inputs=tuple(_without_row(build, source) for source in call.inputs))


def with_row(build: Builder, source: str) -> str:
    """The tensor with a row in front."""
    return source if source in build.one_row else _reshaped(build, source, (1, *build.shapes[source]), "row")


def _without_row(build: Builder, source: str) -> str:
    return _reshaped(build, source, build.shapes[source][1:], "steps") if source in build.one_row else source


def _reshaped(build: Builder, source: str, shape: tuple[int, ...], part: str) -> str:
    """``source`` in another shape, once however often it is asked for."""
    if source not in build.reshaped:
        name = f"{source}/{part}"
        while name in build.layers or name in build.shapes:
            name += "_"
        build.reshaped[source] = build.emit(name, name, Reshape(target_shape=shape), [source])
        if part == "row":
            build.one_row.add(name)
    return build.reshaped[source]


def _convolution(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    kernel = array(layer.kernel)[None]
    call, padding = _padded(build, call)
    with_activation(
        build,
        call,
        lambda activation: Conv2D(
            filters=layer.filters,
            kernel_size=(1, layer.kernel_size[0]),
            strides=_strides(layer),
            padding=padding,
            dilation=(1, layer.dilation_rate[0]),
            groups=layer.groups,
            use_bias=layer.use_bias,
            activation=activation,
        ),
        {"kernel": kernel} | _bias(call),
    )


def _depthwise_record(layer: Any, channels: int, padding: Padding, *, use_bias: bool, activation: Any) -> Conv2D:
    return Conv2D(
        filters=channels * layer.depth_multiplier,
        kernel_size=(1, layer.kernel_size[0]),
        strides=_strides(layer),
        padding=padding,
        dilation=(1, layer.dilation_rate[0]),
        groups=channels,
        use_bias=use_bias,
        activation=activation,
    )


def _depthwise(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    channels = build.shape(call)[-1]
    call, padding = _padded(build, call)
    with_activation(
        build,
        call,
        lambda activation: _depthwise_record(layer, channels, padding, use_bias=layer.use_bias, activation=activation),
        {"kernel": _depthwise_kernel(layer.kernel)} | _bias(call),
    )


def _separable(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    channels = build.shape(call)[-1]
    call, padding = _padded(build, call)
    depthwise = build.part(
        call,
        "depthwise",
        _depthwise_record(layer, channels, padding, use_bias=False, activation="linear"),
        call.inputs,
        {"kernel": _depthwise_kernel(layer.depthwise_kernel)},
    )
    with_activation(
        build,
        call,
        lambda activation: Conv2D(
            filters=layer.filters, kernel_size=(1, 1), use_bias=layer.use_bias, activation=activation
        ),
        {"kernel": array(layer.pointwise_kernel)[None]} | _bias(call),
        source=depthwise,
    )


def _depthwise_kernel(kernel: Any) -> Any:
    """Keras' (steps, channels, multiplier) as a grouped convolution's (1, steps, 1, filters)."""
    values = array(kernel)
    return values.reshape(1, values.shape[0], 1, -1)


def _bias(call: LayerCall) -> dict[str, Any]:
    return named_weights(call, *(["bias"] if call.layer.use_bias else []))


def _strides(layer: Any) -> tuple[int, int]:
    """Over one row any stride is the same; equal ones have fast kernels."""
    return layer.strides[0], layer.strides[0]


def _padded(build: Builder, call: LayerCall) -> tuple[LayerCall, Padding]:
    """The call and its padding; a causal one looks back only, so zeros stand in front of what it reads."""
    layer: Any = call.layer
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        record = ZeroPadding2D(padding=((0, 0), (before, 0)))
        return replace(call, inputs=(build.part(call, "causal", record, call.inputs),)), "valid"
    if layer.padding not in ("valid", "same"):
        raise refuse(call, f"has the padding {layer.padding!r}", hint="use padding='same', 'valid' or 'causal'.")
    return call, layer.padding


def _pooling(kind: Any) -> SignalRule:
    def rule(build: Builder, call: LayerCall) -> None:
        layer: Any = call.layer
        if layer.padding not in ("valid", "same"):
            raise refuse(call, f"has the padding {layer.padding!r}", hint="use padding='same' or 'valid'.")
        record = Pooling2D(
            kind=kind, pool_size=(1, layer.pool_size[0]), strides=(1, layer.strides[0]), padding=layer.padding
        )
        build.put(call, record)

    return rule


def _global(kind: Any) -> SignalRule:
    return lambda build, call: build.put(call, GlobalPooling2D(kind=kind, keepdims=call.layer.keepdims))


def _zero_padding(build: Builder, call: LayerCall) -> None:
    build.put(call, ZeroPadding2D(padding=((0, 0), _both_ends(call.layer.padding))))


def _cropping(build: Builder, call: LayerCall) -> None:
    build.put(call, Cropping2D(cropping=((0, 0), _both_ends(call.layer.cropping))))


def _both_ends(border: Any) -> tuple[int, int]:
    return (border, border) if isinstance(border, int) else (border[0], border[1])


def _upsampling(build: Builder, call: LayerCall) -> None:
    size: Any = call.layer.size
    build.put(call, UpSampling2D(size=(1, size if isinstance(size, int) else size[0])))


def _identity(build: Builder, call: LayerCall) -> None:
    build.put(call, Identity())


_layers = keras.layers
#: Layers of signals, which are read in one row.
RULES: Final[dict[type, SignalRule]] = {
    _layers.Conv1D: _convolution,
    _layers.DepthwiseConv1D: _depthwise,
    _layers.SeparableConv1D: _separable,
    _layers.MaxPooling1D: _pooling("max_pooling2d"),
    _layers.AveragePooling1D: _pooling("average_pooling2d"),
    _layers.GlobalMaxPooling1D: _global("global_max_pooling2d"),
    _layers.GlobalAveragePooling1D: _global("global_average_pooling2d"),
    _layers.ZeroPadding1D: _zero_padding,
    _layers.Cropping1D: _cropping,
    _layers.UpSampling1D: _upsampling,
    _layers.SpatialDropout1D: _identity,
}
#: Layers that compute the same with a row in front: on each element, on the last axis, or on all elements.
_AS_WITHOUT: Final = frozenset(
    {
        _layers.Activation,
        _layers.ActivityRegularization,
        _layers.Add,
        _layers.AlphaDropout,
        _layers.Average,
        _layers.BatchNormalization,
        _layers.Dense,
        _layers.Dropout,
        _layers.ELU,
        _layers.Flatten,
        _layers.GaussianDropout,
        _layers.GaussianNoise,
        _layers.Identity,
        _layers.LayerNormalization,
        _layers.LeakyReLU,
        _layers.Maximum,
        _layers.Minimum,
        _layers.Multiply,
        _layers.Normalization,
        _layers.ReLU,
        _layers.Rescaling,
        _layers.Subtract,
    }
)


#: Operations that are read on images, and so on signals in one row.
_OPERATIONS: Final = frozenset({"AveragePool", "Conv", "DepthwiseConv", "Max", "MaxPool", "Mean"})


def placed(build: Builder, call: LayerCall) -> LayerCall:
    """The call with inputs that have a row in front, or have none, as its layer is read."""
    kind = type(call.layer)
    is_on_images = kind is _layers.GroupNormalization or (
        call.type in _OPERATIONS and not isinstance(call.layer, keras.layers.Layer)
    )
    if kind in RULES or (is_on_images and _is_signal(build, call.inputs[0])):
        return in_one_row(build, call)
    if not any(source in build.one_row for source in call.inputs):
        return call
    return in_one_row(build, call) if kind in _AS_WITHOUT else without_row(build, call)


def _is_signal(build: Builder, source: str) -> bool:
    return source in build.one_row or len(build.shapes[source]) == 2


def remember(build: Builder, call: LayerCall) -> None:
    """Remember that what a call gave has a row in front, when what it read had one and is not flat now."""
    rows = [source in build.one_row for source in call.inputs]
    if rows and all(rows) and len(build.shapes[call.id]) == 3:
        build.one_row.add(call.id)
