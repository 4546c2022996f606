"""What people write into Keras models, as pieces of random graphs: at least one for every rule that the reader has.

A piece takes a symbolic tensor, images (rows, columns, channels) or vectors (units), and gives one. Its numbers are
drawn, real and small, so that values neither vanish nor grow along a graph of many pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import keras
import numpy as np
from keras import ops

from modhub.spec.layers import ElementFunction
from tests.oracle.drawing import Numbers

L = keras.layers
Piece = Callable[[Any, Numbers], Any]


def _channels(tensor: Any) -> int:
    return int(tensor.shape[-1])


def _branch(x: Any, n: Numbers) -> Any:
    """Another tensor of the same shape."""
    return L.Conv2D(_channels(x), n.of(1, 3), padding="same", activation=n.of(None, "relu", "tanh"))(x)


def _fewer(x: Any, n: Numbers) -> Any:
    """A tensor that is repeated along rows and columns, or along channels, when it meets ``x``."""
    if n.of(True, False):
        return L.Conv2D(1, 1, activation="relu")(x)
    return L.GlobalAveragePooling2D(keepdims=True)(x)


def _two(make: Callable[[Any], Any], *, repeated: bool = True) -> Piece:
    """A piece that merges two tensors, in either order, of which one may be repeated."""

    def piece(x: Any, n: Numbers) -> Any:
        other = _fewer(x, n) if repeated and n.of(True, False) else _branch(x, n)
        return make([x, other] if n.of(True, False) else [other, x])

    return piece


def _many(make: Callable[[Any], Any]) -> Piece:
    return lambda x, n: make([x, *(_branch(x, n) for _ in range(n.of(1, 2)))])


def _map(make: Callable[[Any], Any]) -> Piece:
    """A piece of one element at a time, bounded before where the function grows fast."""
    return lambda x, n: make(x)


def _conv(x: Any, n: Numbers) -> Any:
    groups = n.of(*(g for g in (1, 2) if _channels(x) % g == 0))
    step = n.of({}, {"strides": n.of(2, (1, 2))}, {"dilation_rate": n.of(2, (2, 1))})
    return L.Conv2D(
        2 * n.of(1, 2),
        n.of(1, 2, 3, (3, 1)),
        padding="same",
        groups=groups,
        use_bias=n.of(True, False),
        activation=n.of(None, "relu", "relu6", "leaky_relu", "silu"),
        **step,
    )(x)


def _depthwise(x: Any, n: Numbers) -> Any:
    step = n.of({}, {"strides": 2}, {"dilation_rate": 2})
    return L.DepthwiseConv2D(
        n.of(2, (3, 2)), depth_multiplier=n.of(1, 2), padding="same", use_bias=n.of(True, False),
        activation=n.of(None, "relu", "tanh"), **step,
    )(x)  # fmt: skip


def _separable(x: Any, n: Numbers) -> Any:
    return L.SeparableConv2D(
        4, n.of(2, 3), depth_multiplier=n.of(1, 2), padding="same", strides=n.of(1, 2), use_bias=n.of(True, False),
        activation=n.of(None, "relu", "gelu"),
    )(x)  # fmt: skip


def _normalised(kind: Any) -> Piece:
    return lambda x, n: kind(epsilon=0.1, center=n.of(True, False), scale=n.of(True, False))(x)


def _groups(x: Any, n: Numbers) -> Any:
    return L.GroupNormalization(n.of(*(g for g in (1, 2, -1) if _channels(x) % g == 0)), epsilon=0.1)(x)


def _normalization(x: Any, n: Numbers) -> Any:
    by_channel = {"mean": n.array(_channels(x)), "variance": n.array(_channels(x), least=0.5)}
    return L.Normalization(**n.of(by_channel, {"axis": None, "mean": 0.3, "variance": 2.0}))(x)


def _rescaling(x: Any, n: Numbers) -> Any:
    return L.Rescaling(n.of(-0.7, n.array(_channels(x)).tolist()), n.of(0.2, n.array(_channels(x)).tolist()))(x)


def _pool(kind: Any) -> Piece:
    return lambda x, n: kind(n.of(2, (3, 2)), strides=n.of(1, 2, (1, 2)), padding=n.of("same", "valid"))(x)


def _joined(x: Any, n: Numbers) -> Any:
    return L.Concatenate(axis=n.of(-1, 1, 2))([x, _branch(x, n)])


def _reshaped(x: Any, n: Numbers) -> Any:
    rows, columns, channels = x.shape[1:]
    return L.Reshape(n.of((columns, rows, channels), (rows, -1, columns)))(x)


def _borders(kind: Any, most: int) -> Piece:
    return lambda x, n: kind(((n.of(0, most), 0), (n.of(0, most), n.of(0, most))))(x)


def _constant(make: Callable[[Any, Any], Any]) -> Piece:
    """A piece of a tensor and one number, or one a channel, none near zero."""
    return lambda x, n: make(x, n.of(1.25, -0.75, n.array(_channels(x), least=0.5)))


def _transpose(x: Any, n: Numbers) -> Any:
    return ops.transpose(x, n.of((0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 2, 3)))


def _by_mean(x: Any, n: Numbers) -> Any:
    """A gate of one number a channel, taken away again by an operation, and put back."""
    gate = ops.expand_dims(ops.expand_dims(ops.mean(x, axis=(1, 2)), 1), 1)
    return x * ops.sigmoid(gate)


def _by_max(x: Any, n: Numbers) -> Any:
    return x - ops.max(x, axis=(1, 2), keepdims=True)


def _sliced(x: Any, n: Numbers) -> Any:
    last = n.of(slice(None), slice(1, None), slice(None, None, -1), slice(0, None, 2))
    return n.of(x[:, 1:, :-1, last], x[:, :-1], x[..., last], x[:, 0:2, ..., last])


def _split(x: Any, n: Numbers) -> Any:
    """Halves of the channels gated by each other, and of that the upper rows."""
    first, second = ops.split(L.Conv2D(4, 1)(x), n.of(2, (2,)), axis=-1)
    upper, *_ = ops.split(first * second, (2,), axis=1)
    return upper


def _over_channels(x: Any, n: Numbers) -> Any:
    """CBAM's two maps of an image, of one channel each."""
    mean, most = ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)
    total = ops.expand_dims(ops.sum(x, axis=-1), -1)
    return L.Concatenate()([x, mean, most, n.of(0.1, -0.2) * total])


def _one_channel(x: Any, n: Numbers) -> Any:
    return L.Concatenate()([x, ops.expand_dims(x[..., n.of(0, -1)], -1)])


def _stacked(x: Any, n: Numbers) -> Any:
    return ops.stack([x[..., 0], x[..., -1], x[..., 0]], axis=-1)


def _weighted(x: Any, n: Numbers) -> Any:
    return ops.conv(x, n.array(3, 2, _channels(x), 3) / 3, strides=n.of(1, 2), padding="same")


def _weighted_depthwise(x: Any, n: Numbers) -> Any:
    return ops.depthwise_conv(x, n.array(2, 2, _channels(x), 2), strides=1, padding="same")


def _batch_norm(x: Any, n: Numbers) -> Any:
    mean, variance, offset = n.array(_channels(x)), n.array(_channels(x), least=0.5), n.array(_channels(x))
    both = {"offset": offset, "scale": variance}
    return ops.batch_normalization(x, mean, variance, axis=-1, **n.of({}, both))


def _layer_norm(x: Any, n: Numbers) -> Any:
    return ops.layer_normalization(x, gamma=n.array(_channels(x)), beta=n.array(_channels(x)), axis=-1, epsilon=0.1)


def _padded(x: Any, n: Numbers) -> Any:
    return ops.pad(x, [[0, 0], [n.of(0, 1), 1], [0, n.of(0, 2)], [0, 0]])


def _leaky(x: Any, n: Numbers) -> Any:
    slope = n.of(0.3, 0.05)
    return n.of(
        L.ReLU(negative_slope=slope), L.ReLU(negative_slope=slope, max_value=0.6), L.ReLU(max_value=0.4), L.ReLU()
    )(x)


def _prelu(x: Any, n: Numbers) -> Any:
    return L.PReLU(shared_axes=[1, 2] if len(x.shape) == 4 else None)(x)


#: Of one element each, for images and for vectors alike.
MAPS: dict[str, Piece] = {
    **{
        f"activation {name}": _map(lambda x, name=name: L.Activation(name)(ops.tanh(x)))
        for name in (
            *get_args(ElementFunction),
            "linear",
            "relu",
            "relu6",
            "leaky_relu",
            "swish",
            "hard_swish",
        )
    },
    **{
        f"ops.{name}": _map(lambda x, name=name: getattr(ops, name)(x))
        for name in (
            "relu",
            "relu6",
            "leaky_relu",
            "silu",
            "tanh",
            "sigmoid",
            "elu",
            "selu",
            "celu",
            "softplus",
            "softsign",
            "log_sigmoid",
            "hard_sigmoid",
            "hard_silu",
            "hard_tanh",
            "tanh_shrink",
            "squareplus",
            "abs",
            "absolute",
            "negative",
            "stop_gradient",
        )
    },
    "relu layer": _leaky,
    "leaky layer": lambda x, n: L.LeakyReLU(negative_slope=n.of(0.3, 0.05))(x),
    "parametric layer": _prelu,
    "elu layer": lambda x, n: L.ELU(alpha=n.of(1.0, 0.4))(x),
    "relu function": lambda x, n: keras.activations.relu(x, negative_slope=n.of(0.0, 0.1), max_value=n.of(None, 0.5)),
    "exact gelu": lambda x, n: ops.gelu(x, approximate=False),
    "exponential": lambda x, n: ops.exp(ops.tanh(x)),
    "square": lambda x, n: ops.square(ops.tanh(x)),
    "power": lambda x, n: ops.tanh(x) ** 2,
    "clip": lambda x, n: ops.clip(x, 0, n.of(0.5, 6)),
    "maximum with zero": lambda x, n: ops.maximum(*n.of((x, 0), (0.0, x))),
    "add a number": _constant(lambda x, c: x + c),
    "subtract a number": _constant(lambda x, c: x - c),
    "subtract from a number": lambda x, n: n.of(1.0, -0.5) - x,
    "multiply by a number": _constant(lambda x, c: x * c),
    "divide by a number": _constant(lambda x, c: x / c),
    "divide operation": _constant(ops.divide),
    "cast": lambda x, n: ops.cast(x, "float32"),
    "matrix": lambda x, n: ops.matmul(x, n.array(_channels(x), 3)),
    "dense": lambda x, n: L.Dense(
        n.of(2, 5), use_bias=n.of(True, False), activation=n.of(None, "relu", "relu6", "sigmoid", "leaky_relu")
    )(x),
    "batch normalization": _normalised(L.BatchNormalization),
    "layer normalization": _normalised(L.LayerNormalization),
    "layer norm operation": _layer_norm,
    "batch norm operation": _batch_norm,
    "normalization": _normalization,
    "rescaling": _rescaling,
}

#: For images only.
IMAGES: dict[str, Piece] = {
    "convolution": _conv,
    "depthwise": _depthwise,
    "separable": _separable,
    "convolution operation": _weighted,
    "depthwise operation": _weighted_depthwise,
    "group normalization": _groups,
    "max pooling": _pool(L.MaxPooling2D),
    "average pooling": _pool(L.AveragePooling2D),
    "max pool operation": lambda x, n: ops.max_pool(x, n.of(2, (2, 1)), n.of(1, 2), padding="same"),
    "average pool operation": lambda x, n: ops.average_pool(x, 2, n.of(1, 2), padding="same"),
    "gate by mean": _by_mean,
    "less the largest": _by_max,
    "global maximum": lambda x, n: x * L.Activation("sigmoid")(L.GlobalMaxPooling2D(keepdims=True)(x)),
    "add": _many(lambda tensors: L.Add()(tensors)),
    "add repeated": _two(lambda tensors: L.Add()(tensors)),
    "multiply": _two(lambda tensors: L.Multiply()(tensors)),
    "subtract": _two(lambda tensors: L.Subtract()(tensors)),
    "average": _many(lambda tensors: L.Average()(tensors)),
    "maximum": _two(lambda tensors: L.Maximum()(tensors)),
    "minimum": _two(lambda tensors: L.Minimum()(tensors)),
    "sum": _two(lambda tensors: tensors[0] + tensors[1]),
    "difference": _two(lambda tensors: tensors[0] - tensors[1]),
    "product": _two(lambda tensors: tensors[0] * tensors[1]),
    "maximum of two": _two(lambda tensors: ops.maximum(*tensors)),
    "concatenate": _joined,
    "concatenate operation": lambda x, n: ops.concatenate([x, _branch(x, n)], axis=n.of(-1, 1, 3)),
    "reshape": _reshaped,
    "reshape operation": lambda x, n: ops.reshape(x, (-1, x.shape[2], x.shape[1], x.shape[3])),
    "permute": lambda x, n: L.Permute(n.of((2, 1, 3), (3, 1, 2)))(x),
    "transpose": _transpose,
    "zero padding": _borders(L.ZeroPadding2D, 2),
    "cropping": _borders(L.Cropping2D, 1),
    "upsampling": lambda x, n: L.UpSampling2D(n.of((2, 1), (1, 2)))(x),
    "pad operation": _padded,
    "channels turned around": lambda x, n: n.of(x[..., ::-1], x[:, :, :, ::-1]),
    "flip": lambda x, n: ops.flip(x, axis=-1),
    "one channel": _one_channel,
    "stack": _stacked,
    "resizing": lambda x, n: L.Resizing(*x.shape[1:3])(x),
    "center crop": lambda x, n: L.CenterCrop(x.shape[1] - n.of(0, 1), x.shape[2] - n.of(0, 1))(x),
    "slices": _sliced,
    "split": _split,
    "over channels": _over_channels,
    "random crop": lambda x, n: L.RandomCrop(*x.shape[1:3])(x),
}


def _as_signal(x: Any) -> Any:
    """The image's positions, row after row, as the steps of a signal."""
    rows, columns, channels = x.shape[1:]
    return L.Reshape((rows * columns, channels))(x)


def _signal(make: Callable[[Numbers], Any]) -> Piece:
    """A piece of a layer of signals, between an image and an image of one column."""

    def piece(x: Any, n: Numbers) -> Any:
        signal = make(n)(_as_signal(x))
        return L.Reshape((signal.shape[1], 1, signal.shape[2]))(signal)

    return piece


#: Of signals (steps, channels).
SIGNALS: dict[str, Piece] = {
    "signal convolution": _signal(
        lambda n: L.Conv1D(
            4,
            n.of(1, 3),
            padding=n.of("same", "valid", "causal"),
            activation=n.of(None, "relu", "tanh"),
            **n.of({}, {"strides": 2}, {"dilation_rate": 2}),
        )
    ),
    "signal depthwise": _signal(lambda n: L.DepthwiseConv1D(n.of(2, 3), padding="same", depth_multiplier=n.of(1, 2))),
    "signal separable": _signal(lambda n: L.SeparableConv1D(4, 3, padding="same", activation="relu")),
    "signal max pooling": _signal(lambda n: L.MaxPooling1D(2, strides=n.of(1, 2), padding=n.of("same", "valid"))),
    "signal average pooling": _signal(lambda n: L.AveragePooling1D(2, padding=n.of("same", "valid"))),
    "signal padding": _signal(lambda n: L.ZeroPadding1D((n.of(0, 2), 1))),
    "signal cropping": _signal(lambda n: L.Cropping1D((n.of(0, 1), 1))),
    "signal upsampling": _signal(lambda n: L.UpSampling1D(2)),
    "signal dropout": _signal(lambda n: L.SpatialDropout1D(0.5)),
    "signal normalised": _signal(lambda n: L.BatchNormalization(epsilon=0.1)),
}

#: Layers that act in training only, with what they must be given.
TRAINING: dict[str, tuple[Any, ...]] = {
    "Dropout": (0.5,), "SpatialDropout2D": (0.5,), "GaussianDropout": (0.5,), "AlphaDropout": (0.5,),
    "GaussianNoise": (0.5,), "ActivityRegularization": (), "Identity": (), "RandomFlip": (), "RandomRotation": (0.1,),
    "RandomTranslation": (0.1, 0.1), "RandomZoom": (0.1,), "RandomShear": (0.1,), "RandomContrast": (0.1,),
    "RandomBrightness": (0.1,), "RandomHue": (0.1,), "RandomSaturation": (0.1,), "RandomSharpness": (0.1,),
    "RandomColorDegeneration": (0.1,), "RandomColorJitter": (), "RandomGrayscale": (), "RandomPosterization": (4,),
    "RandomInvert": (), "RandomErasing": (), "RandomGaussianBlur": (), "RandomPerspective": (),
    "RandomElasticTransform": (), "MixUp": (), "CutMix": (), "RandAugment": (), "AugMix": (),
}  # fmt: skip


def _coloured(x: Any) -> Any:
    """Some augmentations take three channels only."""
    return x if _channels(x) == 3 else L.Conv2D(3, 1)(x)


AUGMENTATIONS: dict[str, Piece] = {
    name: lambda x, n, name=name, given=given: getattr(L, name)(*given)(_coloured(x))
    for name, given in TRAINING.items()
    if hasattr(L, name)
}

#: From images to vectors.
VECTORS: dict[str, Piece] = {
    "flatten": lambda x, n: L.Flatten()(x),
    "global average": lambda x, n: L.GlobalAveragePooling2D()(x),
    "global maximum": lambda x, n: L.GlobalMaxPooling2D()(x),
    "mean": lambda x, n: ops.mean(x, axis=(1, 2)),
    "sum": lambda x, n: 0.1 * ops.sum(x, axis=(1, 2)),
    "largest": lambda x, n: ops.max(x, axis=n.of((1, 2), (-2, -3))),
    "squeezed": lambda x, n: ops.squeeze(ops.max(x, axis=(1, 2), keepdims=True), (1, 2)),
    "signal average": lambda x, n: L.GlobalAveragePooling1D()(_as_signal(x)),
    "signal maximum": lambda x, n: L.GlobalMaxPooling1D()(_as_signal(x)),
    "reshaped": lambda x, n: L.Reshape((-1,))(x),
    "reshaped by operation": lambda x, n: ops.reshape(x, (-1, int(np.prod(x.shape[1:])))),
}
