"""From a trained Keras model to an Architecture and named weights, or an error that names the layer in the way.

Reading happens before any work on data. What cannot be represented exactly is refused, never approximated; the caller
compares the rebuilt network's answers with the model's own before trusting the reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from modhub.engine.read.graph import LayerCall, layer_calls
from modhub.engine.read.head import DenseHead, find_head
from modhub.errors import UnsupportedModel
from modhub.spec import architecture as arch

SUPPORTED = (
    "Conv2D, Dense, BatchNormalization, ReLU, Activation('relu'), max, average and global pooling, Add, Concatenate, "
    "Flatten, Reshape, Dropout, Rescaling, Normalization, ZeroPadding2D, Softmax"
)
_ACTIVATIONS = {"linear": "linear", "relu": "relu", "relu6": "relu6"}


def read_model(model: keras.Model) -> tuple[arch.Architecture, dict[str, NDArray[np.float32]]]:
    """The network up to its penultimate features, and all weights with the head's, float32.

    Raises UnsupportedModel for anything outside the table of layers, a model without a ReLU, or a head that is no
    dense softmax, logits or single sigmoid.
    """
    if not isinstance(model, keras.Model):
        raise UnsupportedModel(
            f"expected a keras.Model, got {type(model).__name__}.",
            kind="not-a-model",
            hint="load it first: keras.models.load_model(path).",
        )
    calls, output = layer_calls(model)
    head = find_head(calls, output)
    body = [_apart_from_head(call) for call in _needed(calls, head.features)]
    weights: dict[str, NDArray[np.float32]] = {}
    layers: dict[str, Any] = {}
    shapes: dict[str, arch.Shape] = {arch.INPUT: _input_shape(model)}
    for call in body:
        inputs = [shapes[source] for source in call.inputs]
        if call.name not in layers:
            layers[call.name], own = _read_layer(call, inputs)
            weights |= {f"{call.name}/{name}": value for name, value in own.items()}
        shapes[call.id] = arch.output_shape(call.id, layers[call.name], inputs)
    if len(shapes[head.features]) != 1:
        raise UnsupportedModel(
            f"the head reads a map of shape {shapes[head.features]}, not a vector.",
            kind="unsupported-head",
            hint="put Flatten or GlobalAveragePooling2D before the last Dense layer.",
        )
    architecture = _architecture(model, layers, body, head)
    if not any(arch.is_relu(layer) for layer in layers.values()):
        raise UnsupportedModel(
            f"the model {model.name!r} has no ReLU, so no node is ever inactive and there is nothing to decompose.",
            kind="no-relu",
            hint="modhub cuts networks with ReLU activations.",
        )
    return architecture, weights | head_weights(head)


def _architecture(
    model: keras.Model, layers: dict[str, Any], body: list[LayerCall], head: DenseHead
) -> arch.Architecture:
    try:
        return arch.Architecture(
            input_shape=_input_shape(model),
            layers=layers,
            calls=tuple(arch.Call(id=call.id, layer=call.name, inputs=call.inputs) for call in body),
            features=head.features,
            head=head.style,
        )
    except ValidationError as error:
        raise UnsupportedModel(
            f"the model {model.name!r} is beyond what modhub stores: {_first_problem(error)}.", kind="beyond-limits"
        ) from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc']))} {str(problem['input'])[:60]}: {problem['msg']}"


def _apart_from_head(call: LayerCall) -> LayerCall:
    """The call under a name that the head's weights do not have. Only nesting gives a name with a slash."""
    return replace(call, name=f"{arch.HEAD}/{arch.HEAD}") if call.name == arch.HEAD else call


def head_weights(head: DenseHead) -> dict[str, NDArray[np.float32]]:
    """The head's kernel (features, classes) and bias (classes,); one sigmoid becomes the logit pair (0, z)."""
    kernel, bias = head.kernel, head.bias
    if head.style == "sigmoid":
        kernel = np.concatenate([np.zeros_like(kernel), kernel], axis=1)
        bias = np.concatenate([np.zeros_like(bias), bias])
    return {f"{arch.HEAD}/kernel": kernel, f"{arch.HEAD}/bias": bias}


def _input_shape(model: keras.Model) -> tuple[int, int, int]:
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or any(extent is None for extent in shape):
        raise UnsupportedModel(
            f"the model {model.name!r} takes inputs of shape {shape}; modhub takes images of a fixed size.",
            kind="not-an-image-model",
            hint="give the Input layer a shape such as (32, 32, 3).",
            shape=list(shape),
        )
    return shape


def _needed(calls: list[LayerCall], features: str) -> list[LayerCall]:
    """The calls that the features depend on, in execution order; everything behind the features is the head."""
    needed = {features}
    for call in reversed(calls):
        if call.id in needed:
            needed.update(call.inputs)
    return [call for call in calls if call.id in needed]


def _refuse(call: LayerCall, reason: str, *, kind: str = "unsupported-layer") -> UnsupportedModel:
    return UnsupportedModel(
        f"the layer {call.name!r} ({type(call.layer).__name__}) {reason}.",
        kind=kind,
        hint=f"supported are: {SUPPORTED}.",
        layer=call.name,
        type=type(call.layer).__name__,
    )


def _activation(call: LayerCall, allowed: dict[str, str] = _ACTIVATIONS) -> str:
    function = getattr(call.layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__) if function is not None else "linear"
    if name not in allowed:
        raise _refuse(call, f"has the activation {name!r}", kind="unsupported-activation")
    if function is not None and function is not getattr(keras.activations, name):
        raise _refuse(
            call,
            f"has the activation {name!r} of {getattr(function, '__module__', '?')}, not activation={name!r}",
            kind="unsupported-activation",
        )
    return allowed[name]


def _array(variable: Any) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(variable), dtype=np.float32)


def _named(call: LayerCall, *names: str) -> dict[str, NDArray[np.float32]]:
    return {name: _array(getattr(call.layer, name)) for name in names if getattr(call.layer, name, None) is not None}


_Read = tuple[Any, dict[str, NDArray[np.float32]]]
_Reader = Callable[[LayerCall, list[arch.Shape]], _Read]


def _read_layer(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer = call.layer
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise _refuse(call, "keeps its channels first")
    for types, read in _READERS:
        # Exactly these types: a subclass may compute something else.
        if type(layer) in types:
            try:
                return read(call, inputs)
            except ValidationError as error:
                raise _refuse(call, f"is beyond what modhub stores ({_first_problem(error)})") from error
    if not isinstance(layer, keras.layers.Layer):
        raise _refuse(call, "is an operation on tensors, not a layer")
    raise _refuse(call, "is not supported")


def _conv2d(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    if layer.padding not in ("valid", "same"):
        raise _refuse(call, f"has the padding {layer.padding!r}")
    spec = arch.Conv2D(
        filters=layer.filters,
        kernel_size=tuple(layer.kernel_size),
        strides=tuple(layer.strides),
        padding=layer.padding,
        dilation=tuple(layer.dilation_rate),
        groups=layer.groups,
        use_bias=layer.use_bias,
        activation=_activation(call),
    )
    return spec, _named(call, "kernel", *(["bias"] if layer.use_bias else []))


def _dense(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    spec = arch.Dense(units=layer.units, use_bias=layer.use_bias, activation=_activation(call))
    return spec, _named(call, "kernel", *(["bias"] if layer.use_bias else []))


def _batch_normalization(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    if layer.axis not in (-1, len(inputs[0])):
        raise _refuse(call, f"normalises axis {layer.axis}, not the channels")
    spec = arch.BatchNormalization(epsilon=layer.epsilon, center=layer.center, scale=layer.scale)
    names = ["gamma"] * layer.scale + ["beta"] * layer.center
    return spec, _named(call, *names, "moving_mean", "moving_variance")


def _relu(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    if float(layer.negative_slope) != 0 or float(layer.threshold) != 0:
        raise _refuse(
            call,
            f"is leaky (negative_slope={float(layer.negative_slope)}, threshold={float(layer.threshold)})",
            kind="unsupported-activation",
        )
    return arch.ReLU(max_value=None if layer.max_value is None else float(layer.max_value)), {}


def _activation_layer(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    name = _activation(call)
    if name == "linear":
        return arch.Identity(), {}
    return arch.ReLU(max_value=6.0 if name == "relu6" else None), {}


def _pooling(kind: str) -> _Reader:
    def read(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
        layer: Any = call.layer
        spec = arch.Pooling2D(
            kind=kind,
            pool_size=tuple(layer.pool_size),
            strides=tuple(layer.strides),
            padding=layer.padding,
        )
        return spec, {}

    return read


def _global_pooling(kind: str) -> _Reader:
    def read(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
        layer: Any = call.layer
        return arch.GlobalPooling2D(kind=kind, keepdims=layer.keepdims), {}

    return read


def _concatenate(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    axis = layer.axis % (len(inputs[0]) + 1)
    if axis == 0:
        raise _refuse(call, "joins images of one batch")
    return arch.Concatenate(axis=axis - 1), {}


def _add(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    if len(set(inputs)) != 1:
        raise _refuse(call, f"broadcasts tensors of the shapes {sorted(set(inputs))}")
    return arch.Add(), {}


def _reshape(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    target = tuple(layer.target_shape)
    if -1 in target:
        known = -prod(target)
        target = tuple(prod(inputs[0]) // known if extent == -1 else extent for extent in target)
    return arch.Reshape(target_shape=target), {}


def _rescaling(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    arrays = [np.asarray(number, np.float64) for number in (layer.scale, layer.offset)]
    if any(
        (array.size != 1 and array.shape[-1:] != (inputs[0][-1],)) or array.size > inputs[0][-1] for array in arrays
    ):
        raise _refuse(call, f"has numbers of shape {arrays[0].shape} and {arrays[1].shape}, not one or one a channel")
    scale, offset = (tuple(float(value) for value in np.ravel(array)) for array in arrays)
    return arch.Rescaling(scale=scale, offset=offset), {}


def _normalization(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    if layer.invert:
        raise _refuse(call, "is inverted")
    if tuple(axis % (len(inputs[0]) + 1) for axis in layer.axis) not in ((), (len(inputs[0]),)):
        raise _refuse(call, f"normalises the axes {layer.axis}, not the channels")
    channels = inputs[0][-1]
    mean, variance = (np.ravel(_array(value)) for value in (layer.mean, layer.variance))
    return arch.Normalization(), {
        "mean": np.broadcast_to(mean, (channels,)).copy(),
        "variance": np.broadcast_to(variance, (channels,)).copy(),
    }


def _zero_padding(call: LayerCall, inputs: list[arch.Shape]) -> _Read:
    layer: Any = call.layer
    return arch.ZeroPadding2D(padding=tuple(tuple(border) for border in layer.padding)), {}


_layers = keras.layers
#: Layers that act in training only and pass their input through at inference.
_IDENTITIES: tuple[type, ...] = (
    _layers.Dropout,
    _layers.SpatialDropout2D,
    _layers.GaussianDropout,
    _layers.GaussianNoise,
    _layers.ActivityRegularization,
    _layers.RandomFlip,
    _layers.RandomRotation,
    _layers.RandomTranslation,
    _layers.RandomZoom,
    _layers.RandomContrast,
    _layers.RandomBrightness,
)
_READERS: tuple[tuple[tuple[type, ...], _Reader], ...] = (
    ((_layers.Conv2D,), _conv2d),
    ((_layers.Dense,), _dense),
    ((_layers.BatchNormalization,), _batch_normalization),
    ((_layers.ReLU,), _relu),
    ((_layers.Activation,), _activation_layer),
    ((_layers.MaxPooling2D,), _pooling("max_pooling2d")),
    ((_layers.AveragePooling2D,), _pooling("average_pooling2d")),
    ((_layers.GlobalMaxPooling2D,), _global_pooling("global_max_pooling2d")),
    ((_layers.GlobalAveragePooling2D,), _global_pooling("global_average_pooling2d")),
    ((_layers.Add,), _add),
    ((_layers.Concatenate,), _concatenate),
    ((_layers.Flatten,), lambda call, inputs: (arch.Flatten(), {})),
    ((_layers.Reshape,), _reshape),
    (_IDENTITIES, lambda call, inputs: (arch.Identity(), {})),
    ((_layers.Rescaling,), _rescaling),
    ((_layers.Normalization,), _normalization),
    ((_layers.ZeroPadding2D,), _zero_padding),
)
