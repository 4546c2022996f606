"""The kinds of layer that an architecture may hold: those that compute, and the table of all of them.

Nothing here is code from a registry: a layer is one of these kinds with bounded numbers.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from modhub.limits import MAX_EXTENT
from modhub.spec.layer_record import LayerRecord, Misfit, Pair, Reads, Shape, image_shape
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
from modhub.spec.schema import FLOAT32_TINY, Divisor32, Extent, Float32, Length

Padding = Literal["valid", "same"]
Activation = Literal["linear", "relu", "relu6"]


class Conv2D(LayerRecord):
    """Weights: kernel (kernel height, kernel width, input channels / groups, filters), bias (filters,)."""

    reads: ClassVar[Reads] = "window"

    kind: Literal["conv2d"] = "conv2d"
    filters: Extent
    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "valid"
    dilation: Pair = (1, 1)
    groups: Extent = 1
    use_bias: bool = True
    activation: Activation = "linear"

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"kernel": (*self.kernel_size, input_shape[-1] // self.groups, self.filters)}
        return shapes | ({"bias": (self.filters,)} if self.use_bias else {})

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        shape = image_shape(inputs[0], self.kind)
        if shape[2] % self.groups or self.filters % self.groups:
            raise Misfit(f"has {self.groups} groups for {shape[2]} channels and {self.filters} filters")
        if max(self.strides) > 1 and max(self.dilation) > 1:
            raise Misfit(f"has the strides {self.strides} together with the dilation {self.dilation}")
        return (*windows_of(self, shape), self.filters)


class Dense(LayerRecord):
    """Weights: kernel (input features, units), bias (units,). Works on the last axis."""

    reads: ClassVar[Reads] = "contraction"

    kind: Literal["dense"] = "dense"
    units: Length
    use_bias: bool = True
    activation: Activation = "linear"

    @property
    def format(self) -> int:
        return 1 if self.units <= MAX_EXTENT else 2

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"kernel": (input_shape[-1], self.units)}
        return shapes | ({"bias": (self.units,)} if self.use_bias else {})

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        return (*inputs[0][:-1], self.units)


class BatchNormalization(LayerRecord):
    """Weights: gamma (when scale), beta (when center), moving_mean, moving_variance, each (channels,)."""

    reads: ClassVar[Reads] = "elementwise"

    kind: Literal["batch_normalization"] = "batch_normalization"
    epsilon: Annotated[float, Field(ge=FLOAT32_TINY, le=1)] = 1e-3
    center: bool = True
    scale: bool = True

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        names = ["gamma"] * self.scale + ["beta"] * self.center + ["moving_mean", "moving_variance"]
        return dict.fromkeys(names, (input_shape[-1],))


class ReLU(LayerRecord):
    """``max(x, 0)``, and not more than ``max_value``."""

    reads: ClassVar[Reads] = "elementwise"

    kind: Literal["relu"] = "relu"
    max_value: Divisor32 | None = None


class Pooling2D(LayerRecord):
    """The largest value, or the mean of those inside the image, of each window of a channel."""

    reads: ClassVar[Reads] = "window"

    kind: Literal["max_pooling2d", "average_pooling2d"]
    pool_size: Pair
    strides: Pair
    padding: Padding = "valid"

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        shape = image_shape(inputs[0], self.kind)
        return (*windows_of(self, shape), shape[2])


class GlobalPooling2D(LayerRecord):
    """The largest value, or the mean, of each channel."""

    reads: ClassVar[Reads] = "reduction"

    kind: Literal["global_max_pooling2d", "global_average_pooling2d"]
    keepdims: bool = False

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        shape = image_shape(inputs[0], self.kind)
        return (1, 1, shape[2]) if self.keepdims else (shape[2],)


class Identity(LayerRecord):
    """Dropout and every other layer that passes its input through at inference."""

    reads: ClassVar[Reads] = "elementwise"

    kind: Literal["identity"] = "identity"


class Rescaling(LayerRecord):
    """``x * scale + offset``, each one number or one number a channel."""

    reads: ClassVar[Reads] = "elementwise"

    kind: Literal["rescaling"] = "rescaling"
    scale: tuple[Float32, ...]
    offset: tuple[Float32, ...]

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        for numbers in (self.scale, self.offset):
            if len(numbers) not in (1, inputs[0][-1]):
                raise Misfit(f"has {len(numbers)} numbers for {inputs[0][-1]} channels")
        return inputs[0]


class Normalization(LayerRecord):
    """``(x - mean) / max(sqrt(variance), 1e-7)``. Weights: mean and variance, one number or one a channel."""

    reads: ClassVar[Reads] = "elementwise"

    kind: Literal["normalization"] = "normalization"

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"mean": (input_shape[-1],), "variance": (input_shape[-1],)}


#: What ``Elementwise`` may compute, by the names that Keras has for them.
ElementFunction = Literal[
    "silu", "gelu", "tanh", "sigmoid", "elu", "selu", "celu", "softplus", "softsign", "mish", "exponential",
    "log_sigmoid", "hard_sigmoid", "hard_silu", "hard_tanh", "tanh_shrink", "squareplus",
]  # fmt: skip


class Elementwise(LayerRecord):
    """A function of each element that is no ReLU, so that no node is ever inactive. ``gelu`` is the exact one.

    ``alpha`` is ELU's; other functions have none.
    """

    reads: ClassVar[Reads] = "elementwise"
    since: ClassVar[int] = 2

    kind: Literal["elementwise"] = "elementwise"
    function: ElementFunction
    alpha: Annotated[float, Field(ge=FLOAT32_TINY, le=1e6)] | None = None

    @model_validator(mode="after")
    def _only_elu_has_alpha(self) -> Self:
        if self.alpha is not None and self.function != "elu":
            raise ValueError(f"{self.function} has no alpha")
        return self


class LayerNormalization(LayerRecord):
    """Each position's channels less their mean, divided by their deviation. Weights: gamma, beta, each (channels,)."""

    since: ClassVar[int] = 2

    kind: Literal["layer_normalization"] = "layer_normalization"
    epsilon: Annotated[float, Field(ge=FLOAT32_TINY, le=1)] = 1e-3
    center: bool = True
    scale: bool = True

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(["gamma"] * self.scale + ["beta"] * self.center, (input_shape[-1],))


class GroupNormalization(LayerRecord):
    """As layer normalisation, over all positions and the channels of each of ``groups``."""

    since: ClassVar[int] = 2

    kind: Literal["group_normalization"] = "group_normalization"
    groups: Extent
    epsilon: Annotated[float, Field(ge=FLOAT32_TINY, le=1)] = 1e-3
    center: bool = True
    scale: bool = True

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(["gamma"] * self.scale + ["beta"] * self.center, (input_shape[-1],))

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        if inputs[0][-1] % self.groups:
            raise Misfit(f"has {self.groups} groups for {inputs[0][-1]} channels")
        return inputs[0]


Layer = Annotated[
    Conv2D
    | Dense
    | BatchNormalization
    | ReLU
    | Pooling2D
    | GlobalPooling2D
    | Add
    | Merge
    | Concatenate
    | Flatten
    | Reshape
    | Permute
    | Identity
    | Rescaling
    | Normalization
    | ZeroPadding2D
    | Cropping2D
    | UpSampling2D
    | Elementwise
    | LayerNormalization
    | GroupNormalization,
    Field(discriminator="kind"),
]


def is_relu(layer: LayerRecord) -> bool:
    """Whether the layer's output is a ReLU's, as a layer or as the activation argument of another."""
    return isinstance(layer, ReLU) or (isinstance(layer, Conv2D | Dense) and layer.activation != "linear")


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


def windows_of(layer: Conv2D | Pooling2D, shape: Shape) -> tuple[int, int]:
    """How many windows, in rows and columns, fit into ``shape`` (H, W, C)."""
    extent, padding = window_extent(layer), window_padding(layer, shape)
    rows, columns = ((shape[axis] + sum(padding[axis]) - extent[axis]) // layer.strides[axis] + 1 for axis in (0, 1))
    return rows, columns
