"""How each of Keras' layers is read: into one record of its kind, or into several that compute the same.

A rule is called with the builder and the call. What cannot be represented exactly raises UnsupportedModel, naming the
layer and the way out; nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, Final

import numpy as np

from modhub.engine.library import keras
from modhub.engine.read import one_row
from modhub.engine.read.activations import (
    activate,
    activation_name,
    leaky,
    parametric_relu,
    relu_layer,
    scale_and_shift,
    with_activation,
)
from modhub.engine.read.builder import Builder, array, named_weights, refuse
from modhub.engine.read.graph import LayerCall
from modhub.spec.layer_record import Shape
from modhub.spec.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    Elementwise,
    GlobalPooling2D,
    GroupNormalization,
    Identity,
    LayerNormalization,
    Normalization,
    Pooling2D,
    ReLU,
    Rescaling,
)
from modhub.spec.rearrangements import (
    Add,
    Concatenate,
    Cropping2D,
    Flatten,
    Merge,
    Permute,
    Reshape,
    UpSampling2D,
    ZeroPadding2D,
)

ReadingRule = Callable[[Builder, LayerCall], Any]


def _check_padding(call: LayerCall) -> None:
    if call.layer.padding not in ("valid", "same"):
        raise refuse(call, f"has the padding {call.layer.padding!r}", hint="use padding='same' or 'valid'.")


def _conv2d(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    _check_padding(call)
    with_activation(
        build,
        call,
        lambda activation: Conv2D(
            filters=layer.filters,
            kernel_size=tuple(layer.kernel_size),
            strides=tuple(layer.strides),
            padding=layer.padding,
            dilation=tuple(layer.dilation_rate),
            groups=layer.groups,
            use_bias=layer.use_bias,
            activation=activation,
        ),
        named_weights(call, "kernel", *(["bias"] if layer.use_bias else [])),
    )


def _depthwise_record(layer: Any, channels: int, *, use_bias: bool, activation: Any) -> Conv2D:
    return Conv2D(
        filters=channels * layer.depth_multiplier,
        kernel_size=tuple(layer.kernel_size),
        strides=tuple(layer.strides),
        padding=layer.padding,
        dilation=tuple(layer.dilation_rate),
        groups=channels,
        use_bias=use_bias,
        activation=activation,
    )


def _depthwise_kernel(kernel: Any) -> Any:
    """Keras' (rows, columns, channels, multiplier) as a grouped convolution's (rows, columns, 1, filters)."""
    values = array(kernel)
    return values.reshape(*values.shape[:2], 1, -1)


def _depthwise_conv2d(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    _check_padding(call)
    channels = build.shape(call)[-1]
    weights = {"kernel": _depthwise_kernel(layer.kernel)} | named_weights(call, *(["bias"] if layer.use_bias else []))
    with_activation(
        build,
        call,
        lambda activation: _depthwise_record(layer, channels, use_bias=layer.use_bias, activation=activation),
        weights,
    )
    build.note(call, "a convolution of as many groups as channels")


def _separable_conv2d(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    _check_padding(call)
    depthwise = build.part(
        call,
        "depthwise",
        _depthwise_record(layer, build.shape(call)[-1], use_bias=False, activation="linear"),
        call.inputs,
        {"kernel": _depthwise_kernel(layer.depthwise_kernel)},
    )
    weights = {"kernel": array(layer.pointwise_kernel)} | named_weights(call, *(["bias"] if layer.use_bias else []))
    with_activation(
        build,
        call,
        lambda activation: Conv2D(
            filters=layer.filters, kernel_size=(1, 1), use_bias=layer.use_bias, activation=activation
        ),
        weights,
        source=depthwise,
    )
    build.note(call, "a depthwise and a 1x1 convolution")


def _dense(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    with_activation(
        build,
        call,
        lambda activation: Dense(units=layer.units, use_bias=layer.use_bias, activation=activation),
        named_weights(call, "kernel", *(["bias"] if layer.use_bias else [])),
    )


def _batch_normalization(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    if layer.axis not in (-1, build.rank(call)):
        raise refuse(call, f"normalises axis {layer.axis}, not the channels", hint="use axis=-1.")
    names = ["gamma"] * layer.scale + ["beta"] * layer.center
    record = BatchNormalization(epsilon=layer.epsilon, center=layer.center, scale=layer.scale)
    build.put(call, record, named_weights(call, *names, "moving_mean", "moving_variance"))


def _layer_normalization(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if axes not in ([-1], [build.rank(call)]):
        raise refuse(call, f"normalises the axes {axes}, not the channels", hint="use axis=-1.")
    if getattr(layer, "rms_scaling", False):
        raise refuse(call, "scales by the root mean square", hint="use rms_scaling=False.")
    names = ["gamma"] * layer.scale + ["beta"] * layer.center
    record = LayerNormalization(epsilon=layer.epsilon, center=layer.center, scale=layer.scale)
    build.put(call, record, named_weights(call, *names))


def _group_normalization(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    shape = build.shape(call)
    if layer.axis not in (-1, build.rank(call)) or len(shape) != 3:
        raise refuse(call, f"normalises axis {layer.axis} of the shape {shape}", hint="use axis=-1 on images.")
    names = ["gamma"] * layer.scale + ["beta"] * layer.center
    record = GroupNormalization(
        groups=shape[-1] if layer.groups == -1 else layer.groups,
        epsilon=layer.epsilon,
        center=layer.center,
        scale=layer.scale,
    )
    build.put(call, record, named_weights(call, *names))


def _activation(build: Builder, call: LayerCall) -> None:
    name = activation_name(call)
    if name == "linear":
        build.put(call, Identity())
    elif name in ("relu", "relu6"):
        build.put(call, ReLU(max_value=6.0 if name == "relu6" else None))
    else:
        activate(build, call, name, call.inputs[0])


def _elu(build: Builder, call: LayerCall) -> None:
    build.put(call, Elementwise(function="elu", alpha=float(call.layer.alpha)))


def _pooling(kind: Any) -> ReadingRule:
    def rule(build: Builder, call: LayerCall) -> None:
        layer: Any = call.layer
        build.put(
            call,
            Pooling2D(kind=kind, pool_size=tuple(layer.pool_size), strides=tuple(layer.strides), padding=layer.padding),
        )

    return rule


def _global_pooling(kind: Any) -> ReadingRule:
    return lambda build, call: build.put(call, GlobalPooling2D(kind=kind, keepdims=call.layer.keepdims))


def _concatenate(build: Builder, call: LayerCall) -> None:
    axis = call.layer.axis % (len(build.shape(call)) + 1)
    if axis == 0:
        raise refuse(call, "joins images of one batch", hint="join channels: axis=-1.")
    build.put(call, Concatenate(axis=axis - 1))


def add_tensors(build: Builder, call: LayerCall) -> None:
    """The sum of a call's inputs; where axes are repeated, twice the mean of two, which is exact."""
    if len({build.shapes[source] for source in call.inputs}) == 1:
        build.put(call, Add())
        return
    if len(call.inputs) != 2:
        raise refuse(call, "adds more than two tensors of different shapes", hint="add two at a time.")
    mean = build.part(call, "mean", Merge(kind="average"), call.inputs)
    two, none = np.full(1, 2, np.float32), np.zeros(1, np.float32)
    scale_and_shift(build, call, mean, two, none)


def merge(kind: Any) -> ReadingRule:
    """A rule for a merge of two or more tensors."""
    return lambda build, call: build.put(call, Merge(kind=kind))


def _minimum(build: Builder, call: LayerCall) -> None:
    mirror = Rescaling(scale=(-1.0,), offset=(0.0,))
    mirrored = [build.part(call, f"mirrored_{n}", mirror, [source]) for n, source in enumerate(call.inputs)]
    most = build.part(call, "maximum", Merge(kind="maximum"), mirrored)
    build.last(call, "mirror", mirror, [most])
    build.note(call, "-max(-a, -b)")


def _reshape(build: Builder, call: LayerCall) -> None:
    build.put(call, Reshape(target_shape=whole_shape(tuple(call.layer.target_shape), build.shape(call))))


def whole_shape(target: Shape, source: Shape) -> Shape:
    """``target`` with the extent that is -1 computed."""
    known = -prod(target)
    return tuple(prod(source) // known if extent == -1 else extent for extent in target) if -1 in target else target


def _rescaling(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    channels = build.shape(call)[-1]
    arrays = [np.asarray(number, np.float64) for number in (layer.scale, layer.offset)]
    if any((one.size != 1 and one.shape[-1:] != (channels,)) or one.size > channels for one in arrays):
        raise refuse(
            call,
            f"has numbers of shape {arrays[0].shape} and {arrays[1].shape}, not one or one a channel",
            hint="give one number, or one a channel.",
        )
    scale, offset = (tuple(float(value) for value in np.ravel(one)) for one in arrays)
    build.put(call, Rescaling(scale=scale, offset=offset))


def _normalization(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    shape, rank = build.shape(call), build.rank(call)
    if layer.invert:
        raise refuse(call, "is inverted", hint="use invert=False.")
    if tuple(axis % (rank + 1) for axis in layer.axis) not in ((), (rank,)):
        raise refuse(call, f"normalises the axes {layer.axis}, not the channels", hint="use axis=-1.")
    weights = {
        name: np.broadcast_to(np.ravel(array(getattr(layer, name))), (shape[-1],)).copy()
        for name in ("mean", "variance")
    }
    build.put(call, Normalization(), weights)


def _zero_padding(build: Builder, call: LayerCall) -> None:
    build.put(call, ZeroPadding2D(padding=tuple(tuple(border) for border in call.layer.padding)))


def _cropping(build: Builder, call: LayerCall) -> None:
    build.put(call, Cropping2D(cropping=tuple(tuple(border) for border in call.layer.cropping)))


def _upsampling(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    # Of one position every way of interpolating makes the same everywhere.
    if layer.interpolation != "nearest" and build.shape(call)[:2] != (1, 1):
        raise refuse(call, f"interpolates {layer.interpolation!r}", hint="use interpolation='nearest'.")
    build.put(call, UpSampling2D(size=tuple(layer.size)))


def _permute(build: Builder, call: LayerCall) -> None:
    build.put(call, Permute(dims=tuple(axis - 1 for axis in call.layer.dims)))


def _same_size(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    if build.shape(call)[:2] != (layer.height, layer.width):
        raise refuse(
            call,
            f"makes images of {build.shape(call)[:2]} ones of {(layer.height, layer.width)}",
            hint="resize images before the model, and give it that input shape.",
        )
    build.put(call, Identity())
    build.note(call, "nothing: the images have that size")


def _center_crop(build: Builder, call: LayerCall) -> None:
    """Keras rounds the borders above and on the left down; where the image is smaller it resizes."""
    layer: Any = call.layer
    spare = [extent - wanted for extent, wanted in zip(build.shape(call), (layer.height, layer.width), strict=False)]
    if min(spare) < 0 or not any(spare):
        _same_size(build, call)
        return
    top, left = (extent // 2 for extent in spare)
    build.put(call, Cropping2D(cropping=((top, spare[0] - top), (left, spare[1] - left))))
    build.note(call, "a cropping")


def _identity(build: Builder, call: LayerCall) -> None:
    build.put(call, Identity())


def _tokens(build: Builder, call: LayerCall) -> None:
    raise refuse(
        call,
        "reads tokens: they are names for something, and modhub takes numbers",
        hint="decompose what stands behind it, on its vectors: a model whose input is the embedding's output.",
    )


def _leaky_relu(build: Builder, call: LayerCall) -> None:
    leaky(build, call, call.inputs[0], float(call.layer.negative_slope))


_layers = keras.layers
#: Layers that act in training only and pass their input through at inference, those of them that this Keras has.
_TRAINING_ONLY: Final = (
    "Dropout", "SpatialDropout2D", "GaussianDropout", "AlphaDropout", "GaussianNoise", "ActivityRegularization",
    "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomShear", "RandomContrast",
    "RandomBrightness", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomGrayscale", "RandomPosterization", "RandomInvert", "RandomErasing",
    "RandomGaussianBlur", "RandomPerspective", "RandomElasticTransform", "MixUp", "CutMix", "RandAugment", "AugMix",
    "Identity",
)  # fmt: skip
_RULES: Final[Mapping[str, ReadingRule]] = {
    "Conv2D": _conv2d,
    "DepthwiseConv2D": _depthwise_conv2d,
    "SeparableConv2D": _separable_conv2d,
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "ReLU": relu_layer,
    "LeakyReLU": _leaky_relu,
    "PReLU": parametric_relu,
    "ELU": _elu,
    "Activation": _activation,
    "MaxPooling2D": _pooling("max_pooling2d"),
    "AveragePooling2D": _pooling("average_pooling2d"),
    "GlobalMaxPooling2D": _global_pooling("global_max_pooling2d"),
    "GlobalAveragePooling2D": _global_pooling("global_average_pooling2d"),
    "Add": add_tensors,
    "Multiply": merge("multiply"),
    "Subtract": merge("subtract"),
    "Average": merge("average"),
    "Maximum": merge("maximum"),
    "Minimum": _minimum,
    "Concatenate": _concatenate,
    "Flatten": lambda build, call: build.put(call, Flatten()),
    "Reshape": _reshape,
    "Permute": _permute,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    "UpSampling2D": _upsampling,
    "Resizing": _same_size,
    "CenterCrop": _center_crop,
    **dict.fromkeys(("Embedding", "CategoryEncoding", "IntegerLookup", "StringLookup", "TextVectorization"), _tokens),
    "RandomCrop": _same_size,
    **dict.fromkeys(_TRAINING_ONLY, _identity),
}
#: Exactly these classes: a subclass may compute something else.
RULES: Final[Mapping[type, ReadingRule]] = one_row.RULES | {
    getattr(_layers, name): rule for name, rule in _RULES.items() if hasattr(_layers, name)
}
