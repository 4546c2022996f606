"""How operations on tensors are read: ``x / 127.5 - 1``, ``x + y``, ``keras.ops.relu(x)``, ``x[..., ::-1]`` and kin.

Keras records them as operations of their own beside layers. They are known by the names of their classes, which are
private to Keras but have been the same since its version 3.0; a name that is not here is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.read.activations import activate, leaky, relu_layer, scale_and_shift
from modhub.engine.read.builder import Builder, array, refuse
from modhub.engine.read.graph import LayerCall, TensorArgument
from modhub.engine.read.layer_rules import ReadingRule, add_tensors, merge, whole_shape
from modhub.engine.read.part_rules import PART_RULES
from modhub.engine.read.weight_rules import WEIGHT_RULES, extents
from modhub.spec.layers import (
    Elementwise,
    Identity,
    Pooling2D,
    ReLU,
)
from modhub.spec.rearrangements import Concatenate, Flatten, Merge, Permute, Reshape, ZeroPadding2D


def _constant(build: Builder, call: LayerCall, value: Any) -> NDArray[np.float32]:
    """A number, or one a channel, that an operation was called with: float32 (1,) or (channels,)."""
    numbers = array(value)
    channels = build.shape(call)[-1]
    if numbers.size not in (1, channels) or (numbers.size > 1 and numbers.shape[-1] != channels):
        raise refuse(
            call,
            f"has a constant of shape {numbers.shape} for tensors of {build.shape(call)}",
            hint="use one number, or one a channel.",
        )
    return np.atleast_1d(numbers.ravel())


def _operands(call: LayerCall) -> tuple[Any, Any]:
    return call.arguments["x1"], call.arguments["x2"]


def _both_tensors(call: LayerCall) -> bool:
    return all(isinstance(operand, TensorArgument) for operand in _operands(call))


def _affine(scale: Callable[[Any], Any], offset: Callable[[Any], Any], tensors: ReadingRule | None) -> ReadingRule:
    """A rule for an operation on two tensors, or on one and a constant c, then ``x * scale(c) + offset(c)``."""

    def rule(build: Builder, call: LayerCall) -> None:
        if _both_tensors(call):
            if tensors is None:
                raise refuse(call, "divides one tensor by another", hint="multiply by a layer's output instead.")
            tensors(build, call)
            return
        first, second = _operands(call)
        if not isinstance(first, TensorArgument):
            first, second = second, first
        value = _constant(build, call, second).astype(np.float64)
        one = np.ones(1)
        scale_and_shift(
            build,
            call,
            call.inputs[0],
            np.asarray(scale(value) * one, np.float32),
            np.asarray(offset(value) * one, np.float32),
        )

    return rule


def _subtract(build: Builder, call: LayerCall) -> None:
    mirrored = not isinstance(call.arguments["x1"], TensorArgument)
    sign = -1 if mirrored else 1
    _affine(lambda c: np.float64(sign), lambda c: -sign * c, _subtract_tensors)(build, call)


def _subtract_tensors(build: Builder, call: LayerCall) -> None:
    first, second = _operands(call)
    sources = [call.inputs[first.number], call.inputs[second.number]]
    build.emit(call.id, call.name, Merge(kind="subtract"), sources)


def _divide(build: Builder, call: LayerCall) -> None:
    if not isinstance(call.arguments["x1"], TensorArgument):
        raise refuse(call, "divides by a tensor", hint="multiply by a layer's output instead.")
    _affine(lambda c: 1 / c, lambda c: np.float64(0), None)(build, call)


def _negative(build: Builder, call: LayerCall) -> None:
    scale_and_shift(build, call, call.inputs[0], np.full(1, -1, np.float32), np.zeros(1, np.float32))


def _square(build: Builder, call: LayerCall) -> None:
    build.emit(call.id, call.name, Merge(kind="multiply"), [call.inputs[0]] * 2)


def _power(build: Builder, call: LayerCall) -> None:
    base, exponent = _operands(call)
    if not isinstance(base, TensorArgument) or isinstance(exponent, TensorArgument) or array(exponent).tolist() != 2:
        raise refuse(call, "raises to another power than 2", hint="use a function of keras.activations.")
    _square(build, call)


def _limit(build: Builder, call: LayerCall) -> None:
    """``maximum(x, 0)`` is a ReLU; of two tensors it is a merge."""
    if _both_tensors(call):
        merge("maximum")(build, call)
        return
    constant = next(operand for operand in _operands(call) if not isinstance(operand, TensorArgument))
    if array(constant).any():
        raise refuse(call, f"is a maximum with {array(constant).ravel()[0]:g}", hint="use 0, which is a ReLU.")
    build.put(call, ReLU())


def _clip(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    least = float(array(layer.x_min)) if layer.x_min is not None else None
    if least != 0:
        raise refuse(call, f"clips at {least}", hint="clip from 0, which is a ReLU with a largest value.")
    build.put(call, ReLU(max_value=float(array(layer.x_max))))


def _function(name: str) -> ReadingRule:
    return lambda build, call: activate(build, call, name, call.inputs[0])


def _gelu(build: Builder, call: LayerCall) -> None:
    if call.layer.approximate:
        raise refuse(
            call,
            "is the approximation of GELU by tanh",
            kind="unsupported-activation",
            hint="use approximate=False; the answers differ by less than 0.001.",
        )
    activate(build, call, "gelu", call.inputs[0])


def _elu(build: Builder, call: LayerCall) -> None:
    build.put(call, Elementwise(function="elu", alpha=float(call.layer.alpha)))


def _of_default(name: str, attribute: str, usual: float) -> ReadingRule:
    def rule(build: Builder, call: LayerCall) -> None:
        value = float(getattr(call.layer, attribute))
        if value != usual:
            raise refuse(call, f"has {attribute}={value:g}", kind="unsupported-activation", hint=f"use {usual:g}.")
        activate(build, call, name, call.inputs[0])

    return rule


def _concatenate(build: Builder, call: LayerCall) -> None:
    axis = call.layer.axis % (len(build.shape(call)) + 1)
    if axis == 0:
        raise refuse(call, "joins images of one batch", hint="join channels: axis=-1.")
    build.put(call, Concatenate(axis=axis - 1))


def _reshape(build: Builder, call: LayerCall) -> None:
    target = tuple(int(extent) for extent in call.layer.newshape)
    _reshaped(build, call, whole_shape(target[1:], build.shape(call)))


def _reshaped(build: Builder, call: LayerCall, target: tuple[int, ...]) -> None:
    build.put(call, Flatten() if len(target) == 1 else Reshape(target_shape=target))


def _to_known_shape(build: Builder, call: LayerCall) -> None:
    """Squeezing and expanding: the shape that Keras says it has then."""
    if call.shape is None or not call.shape or None in call.shape:
        raise refuse(call, "gives a shape that is not known", hint="use Reshape or Flatten.")
    _reshaped(build, call, tuple(extent for extent in call.shape if extent is not None))


def _transpose(build: Builder, call: LayerCall) -> None:
    axes = call.layer.axes
    if axes is None or axes[0] != 0:
        raise refuse(call, f"puts axes in the order {axes}", hint="leave the batch in front: axes=(0, ...).")
    build.put(call, Permute(dims=tuple(axis - 1 for axis in axes[1:])))


def _pooling(kind: Any) -> ReadingRule:
    def rule(build: Builder, call: LayerCall) -> None:
        layer: Any = call.layer
        if layer.data_format not in (None, "channels_last"):
            raise refuse(call, "keeps its channels first", hint="use data_format='channels_last'.")
        size = extents(build, call, layer.pool_size)
        strides = size if layer.strides is None else extents(build, call, layer.strides)
        build.put(call, Pooling2D(kind=kind, pool_size=size, strides=strides, padding=layer.padding))

    return rule


def _pad(build: Builder, call: LayerCall) -> None:
    layer: Any = call.layer
    widths = array(layer.pad_width).astype(int).tolist()
    value = call.arguments.get("constant_values")
    filled = 0.0 if value is None else float(array(value))
    if layer.mode != "constant" or filled or len(widths) != 4 or any(widths[0]) or any(widths[3]):
        raise refuse(call, "pads with more than zeros around the image", hint="use ZeroPadding2D.")
    build.put(call, ZeroPadding2D(padding=(tuple(widths[1]), tuple(widths[2]))))


def _stack(build: Builder, call: LayerCall) -> None:
    shape = build.shape(call)
    if call.layer.axis not in (-1, len(shape) + 1) or len(shape) > 2:
        raise refuse(call, f"stacks tensors of {shape} along axis {call.layer.axis}", hint="use axis=-1.")
    parts = [
        build.part(call, f"part_{number}", Reshape(target_shape=(*shape, 1)), [source])
        for number, source in enumerate(call.inputs)
    ]
    build.last(call, "stack", Concatenate(axis=len(shape)), parts)


def _identity(build: Builder, call: LayerCall) -> None:
    build.put(call, Identity())


RULES: Final[Mapping[str, ReadingRule]] = {
    "Add": _affine(lambda c: np.float64(1), lambda c: c, add_tensors),
    "Subtract": _subtract,
    "Multiply": _affine(lambda c: c, lambda c: np.float64(0), merge("multiply")),
    "Divide": _divide,
    "TrueDivide": _divide,
    "Negative": _negative,
    "Square": _square,
    "Power": _power,
    "Absolute": lambda build, call: leaky(build, call, call.inputs[0], -1.0),
    "Maximum": _limit,
    "Clip": _clip,
    "ReLU": relu_layer,
    "Relu": lambda build, call: build.put(call, ReLU()),
    "Relu6": lambda build, call: build.put(call, ReLU(max_value=6.0)),
    "LeakyRelu": lambda build, call: leaky(build, call, call.inputs[0], float(call.layer.negative_slope)),
    "Silu": _function("silu"),
    "Gelu": _gelu,
    "Tanh": _function("tanh"),
    "Sigmoid": _function("sigmoid"),
    "Elu": _elu,
    "Selu": _function("selu"),
    "Celu": _of_default("celu", "alpha", 1.0),
    "Softplus": _function("softplus"),
    "Softsign": _function("softsign"),
    "Exp": _function("exponential"),
    "LogSigmoid": _function("log_sigmoid"),
    "HardSigmoid": _function("hard_sigmoid"),
    "HardSilu": _function("hard_silu"),
    "HardTanh": _function("hard_tanh"),
    "TanhShrink": _function("tanh_shrink"),
    "Squareplus": _of_default("squareplus", "b", 4.0),
    **WEIGHT_RULES,
    **PART_RULES,
    "Concatenate": _concatenate,
    "Reshape": _reshape,
    "Squeeze": _to_known_shape,
    "ExpandDims": _to_known_shape,
    "Transpose": _transpose,
    "MaxPool": _pooling("max_pooling2d"),
    "AveragePool": _pooling("average_pooling2d"),
    "Pad": _pad,
    "Stack": _stack,
    "Cast": _identity,
    "StopGradient": _identity,
}


def is_kerass_own(operation: Any) -> bool:
    """Whether an operation is one of Keras', of whose names the rules may be sure."""
    return isinstance(operation, keras.Operation) and type(operation).__module__.startswith("keras.src.")
