"""A network as data: layers from a fixed table, their calls as a graph, and the shape of every tensor.

This is what a release stores instead of a serialised Keras model, what backtracking walks, and what the engine builds
from. Nothing here is code: a layer is one of the kinds below with bounded numbers, so reading an architecture from a
registry can neither run anything nor allocate anything. Shapes are per image, without the batch axis, channels last.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from collections.abc import Sequence
from math import prod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modhub.errors import IntegrityError, shown
from modhub.limits import (
    MAX_EXTENT,
    MAX_LAYER_NAME_CHARS,
    MAX_LAYERS,
    MAX_TENSOR_ELEMENTS,
    MAX_WEIGHT_ELEMENTS,
)
from modhub.spec.schema import FLOAT32_TINY, Extent, Float32

Pair = tuple[Extent, Extent]
Border = Annotated[int, Field(ge=0, le=MAX_EXTENT)]
Padding = Literal["valid", "same"]
Activation = Literal["linear", "relu", "relu6"]
Shape = tuple[int, ...]
LayerName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LAYER_NAME_CHARS)]

#: The call that stands for the image itself, after the input contract's preprocessing.
INPUT = "input"
#: The name among the weights of the origin's head, which is no layer here; so no layer has this name.
HEAD = "head"


class _Layer(BaseModel):
    # An unknown field of a layer could change what it computes, so here, unlike in the manifest, it is refused.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Conv2D(_Layer):
    """Weights: kernel (kernel height, kernel width, input channels / groups, filters), bias (filters,)."""

    kind: Literal["conv2d"] = "conv2d"
    filters: Extent
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "valid"
    dilation: Pair = (1, 1)
    groups: Extent = 1
    use_bias: bool = True
    activation: Activation = "linear"


class Dense(_Layer):
    """Weights: kernel (input features, units), bias (units,). Works on the last axis."""

    kind: Literal["dense"] = "dense"
    units: Extent
    use_bias: bool = True
    activation: Activation = "linear"


class BatchNormalization(_Layer):
    """Weights: gamma (when scale), beta (when center), moving_mean, moving_variance, each (channels,)."""

    kind: Literal["batch_normalization"] = "batch_normalization"
    epsilon: Annotated[float, Field(ge=FLOAT32_TINY, le=1)] = 1e-3
    center: bool = True
    scale: bool = True


class ReLU(_Layer):
    kind: Literal["relu"] = "relu"
    max_value: Annotated[float, Field(gt=0)] | None = None


class Pooling2D(_Layer):
    kind: Literal["max_pooling2d", "average_pooling2d"]
    pool_size: Pair
    strides: Pair
    padding: Padding = "valid"


class GlobalPooling2D(_Layer):
    kind: Literal["global_max_pooling2d", "global_average_pooling2d"]
    keepdims: bool = False


class Add(_Layer):
    kind: Literal["add"] = "add"


class Concatenate(_Layer):
    """``axis`` counts the axes of one image: 0 is the height, 2 the channels."""

    kind: Literal["concatenate"] = "concatenate"
    axis: Annotated[int, Field(ge=0, le=2)]


class Flatten(_Layer):
    kind: Literal["flatten"] = "flatten"


class Reshape(_Layer):
    kind: Literal["reshape"] = "reshape"
    target_shape: Annotated[tuple[Extent, ...], Field(min_length=1, max_length=3)]


class Identity(_Layer):
    """Dropout and every other layer that passes its input through at inference."""

    kind: Literal["identity"] = "identity"


class Rescaling(_Layer):
    """``x * scale + offset``, each one number or one number a channel."""

    kind: Literal["rescaling"] = "rescaling"
    scale: tuple[Float32, ...]
    offset: tuple[Float32, ...]


class Normalization(_Layer):
    """``(x - mean) / max(sqrt(variance), 1e-7)``. Weights: mean and variance, one number or one a channel."""

    kind: Literal["normalization"] = "normalization"


class ZeroPadding2D(_Layer):
    kind: Literal["zero_padding2d"] = "zero_padding2d"
    padding: tuple[tuple[Border, Border], tuple[Border, Border]]


Layer = Annotated[
    Conv2D
    | Dense
    | BatchNormalization
    | ReLU
    | Pooling2D
    | GlobalPooling2D
    | Add
    | Concatenate
    | Flatten
    | Reshape
    | Identity
    | Rescaling
    | Normalization
    | ZeroPadding2D,
    Field(discriminator="kind"),
]


class Call(_Layer):
    """One use of a layer. ``inputs`` name earlier calls, or ``input``. A layer may be called more than once."""

    id: LayerName
    layer: LayerName
    inputs: Annotated[tuple[LayerName, ...], Field(min_length=1, max_length=1000)]


class Architecture(BaseModel):
    """The network up to its penultimate features, in execution order, and the name of its head.

    The head itself (Dense to the class logits) is not a layer here, because every module brings its own; the origin's
    is kept among the weights under ``head/kernel`` (features, classes) and ``head/bias`` (classes,).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    input_shape: tuple[Extent, Extent, Extent]
    layers: Annotated[dict[LayerName, Layer], Field(max_length=MAX_LAYERS)]
    calls: Annotated[tuple[Call, ...], Field(max_length=MAX_LAYERS)]
    features: LayerName
    head: Literal["softmax", "logits", "sigmoid"]

    def layer_of(self, call: Call) -> Any:
        return self.layers[call.layer]

    def consumers(self) -> dict[str, list[Call]]:
        """For every tensor (call id, or ``input``) the calls that read it, in execution order."""
        readers: dict[str, list[Call]] = {INPUT: [], **{call.id: [] for call in self.calls}}
        for call in self.calls:
            for source in dict.fromkeys(call.inputs):
                readers[source].append(call)
        return readers


def is_relu(layer: Any) -> bool:
    """Whether the layer's output is a ReLU's, as a layer or as the activation argument of another."""
    return isinstance(layer, ReLU) or (isinstance(layer, (Conv2D, Dense)) and layer.activation != "linear")


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Rows of padding (before, after) that TensorFlow's ``same`` adds; ``window`` counts the dilation in."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def window_padding(layer: Conv2D | Pooling2D, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding ((top, bottom), (left, right)) of a convolution or pooling on an input of ``shape`` (H, W, C)."""
    if layer.padding == "valid":
        return (0, 0), (0, 0)
    rows, columns = (same_padding(shape[axis], window_extent(layer)[axis], layer.strides[axis]) for axis in (0, 1))
    return rows, columns


def window_extent(layer: Conv2D | Pooling2D) -> tuple[int, int]:
    """Height and width, in input positions, of one window, its dilation counted in."""
    if isinstance(layer, Pooling2D):
        return layer.pool_size
    return tuple((k - 1) * d + 1 for k, d in zip(layer.kernel_size, layer.dilation, strict=True))  # type: ignore[return-value]


#: The architecture that was asked about last, and its shapes: decomposing asks the same for every class.
_latest: list[tuple[Architecture, dict[str, Shape]]] = []


def shapes_of(architecture: Architecture) -> dict[str, Shape]:
    """The shape of every tensor, per image, by call id; ``input`` is the image.

    Raises IntegrityError when calls are out of order, shapes do not fit, or a tensor or the weights exceed the limits:
    an architecture that passes is safe to allocate.
    """
    latest = _latest[:]
    if not latest or latest[0][0] is not architecture:
        latest = [(architecture, _computed_shapes(architecture))]
        _latest[:] = latest
    return dict(latest[0][1])


def _computed_shapes(architecture: Architecture) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {INPUT: tuple(architecture.input_shape)}
    weights = 0
    built: dict[str, tuple[dict[str, Shape], int]] = {}
    for call in architecture.calls:
        if call.id in shapes:
            raise _broken(call.id, "stands twice")
        if call.layer not in architecture.layers or call.layer == HEAD:
            raise _broken(call.id, f"names the unknown layer {shown(call.layer)}")
        missing = [source for source in call.inputs if source not in shapes]
        if missing:
            raise _broken(call.id, f"reads {shown(missing[0])}, which is not computed before it")
        layer = architecture.layers[call.layer]
        inputs = [shapes[source] for source in call.inputs]
        shape = output_shape(call.id, layer, inputs)
        if min(shape, default=0) < 1 or prod(shape) > MAX_TENSOR_ELEMENTS or max(shape) > MAX_TENSOR_ELEMENTS:
            raise _broken(call.id, f"has the output shape {shape}, beyond what is allowed")
        own = weight_shapes(layer, inputs[0])
        wanted = (own, 0 if isinstance(layer, Dense) else len(inputs[0]))
        if call.layer not in built:
            built[call.layer] = wanted
            weights += sum(prod(s) for s in own.values())
        elif own and built[call.layer] != wanted:
            raise _broken(call.id, f"calls the layer {shown(call.layer)} on the shape {inputs[0]}, unlike before")
        if weights > MAX_WEIGHT_ELEMENTS:
            raise _broken(call.id, f"brings the weights to more than {MAX_WEIGHT_ELEMENTS} numbers")
        shapes[call.id] = shape
    if architecture.features not in shapes:
        raise _broken(architecture.features, "is named as the features but never computed")
    if len(shapes[architecture.features]) != 1:
        raise _broken(architecture.features, f"is no vector but has the shape {shapes[architecture.features]}")
    return shapes


def weight_shapes(layer: Any, input_shape: Shape) -> dict[str, Shape]:
    """Names and shapes of one layer's weights when it reads ``input_shape``; empty for layers without any."""
    channels = input_shape[-1]
    if isinstance(layer, Conv2D):
        shapes: dict[str, Shape] = {"kernel": (*layer.kernel_size, channels // layer.groups, layer.filters)}
        return shapes | ({"bias": (layer.filters,)} if layer.use_bias else {})
    if isinstance(layer, Dense):
        return {"kernel": (channels, layer.units)} | ({"bias": (layer.units,)} if layer.use_bias else {})
    if isinstance(layer, BatchNormalization):
        names = ["gamma"] * layer.scale + ["beta"] * layer.center + ["moving_mean", "moving_variance"]
        return dict.fromkeys(names, (channels,))
    if isinstance(layer, Normalization):
        return {"mean": (channels,), "variance": (channels,)}
    return {}


def _some(shapes: Sequence[Shape]) -> str:
    """As many shapes as fit into a message."""
    return f"{list(shapes[:4])}" + (f" and {len(shapes) - 4} more" if len(shapes) > 4 else "")


def _broken(call: str, reason: str) -> IntegrityError:
    return IntegrityError(f"the architecture is broken: {shown(call)} {reason}.", kind="bad-architecture", call=call)


def output_shape(call: str, layer: Any, inputs: Sequence[Shape]) -> Shape:
    """The shape that ``layer`` gives for ``inputs``. Raises IntegrityError naming ``call`` when they do not fit."""
    first = inputs[0]
    if isinstance(layer, (Add, Concatenate)):
        return _merged(call, layer, inputs)
    if len(inputs) != 1:
        raise _broken(call, f"reads {len(inputs)} tensors, but {layer.kind} takes one")
    if isinstance(layer, Dense):
        return (*first[:-1], layer.units)
    if isinstance(layer, Flatten):
        return (prod(first),)
    if isinstance(layer, Reshape):
        if prod(layer.target_shape) != prod(first):
            raise _broken(call, f"cannot reshape {first} to {layer.target_shape}")
        return layer.target_shape
    if isinstance(layer, (Conv2D, Pooling2D, GlobalPooling2D, ZeroPadding2D)):
        if len(first) != 3:
            raise _broken(call, f"reads the shape {first}, but {layer.kind} needs rows, columns and channels")
        return _spatial(call, layer, first)
    if isinstance(layer, Rescaling):
        for numbers in (layer.scale, layer.offset):
            if len(numbers) not in (1, first[-1]):
                raise _broken(call, f"has {len(numbers)} numbers for {first[-1]} channels")
    return first


def _merged(call: str, layer: Add | Concatenate, inputs: Sequence[Shape]) -> Shape:
    first = inputs[0]
    if isinstance(layer, Add):
        if any(shape != first for shape in inputs):
            raise _broken(call, f"adds tensors of different shapes {_some(inputs)}")
        return first
    axis = layer.axis
    for shape in inputs:
        if (
            len(shape) != len(first)
            or axis >= len(shape)
            or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]
        ):
            raise _broken(call, f"joins tensors of unfitting shapes {_some(inputs)} along axis {axis}")
    return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])


def _spatial(call: str, layer: Any, shape: Shape) -> Shape:
    if isinstance(layer, GlobalPooling2D):
        return (1, 1, shape[2]) if layer.keepdims else (shape[2],)
    if isinstance(layer, ZeroPadding2D):
        return shape[0] + sum(layer.padding[0]), shape[1] + sum(layer.padding[1]), shape[2]
    if isinstance(layer, Conv2D) and (shape[2] % layer.groups or layer.filters % layer.groups):
        raise _broken(call, f"has {layer.groups} groups for {shape[2]} channels and {layer.filters} filters")
    if isinstance(layer, Conv2D) and max(layer.strides) > 1 and max(layer.dilation) > 1:
        raise _broken(call, f"has the strides {layer.strides} together with the dilation {layer.dilation}")
    extent = window_extent(layer)
    padding = window_padding(layer, shape)
    rows, columns = ((shape[axis] + sum(padding[axis]) - extent[axis]) // layer.strides[axis] + 1 for axis in (0, 1))
    return rows, columns, layer.filters if isinstance(layer, Conv2D) else shape[2]
