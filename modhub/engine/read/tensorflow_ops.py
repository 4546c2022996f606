"""Operations of TensorFlow that a Keras 2 graph names, as Keras 3 operations: a table, and nothing else is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from modhub.engine.library import keras, ops
from modhub.errors import UnsupportedModel, shown

Operation = Callable[..., Any]

_ELLIPSIS: Final = "__ellipsis__"


def called_by_table(function: str, layer: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """The tensor that TensorFlow's ``function`` gives, called by the ``layer`` of a graph. Raises UnsupportedModel."""
    operation = _OPERATIONS.get(function)
    given = {name: value for name, value in options.items() if value is not None and name not in ("name", "dtype")}
    if operation is not None:
        try:
            return operation(*arguments, **given)
        # Whatever arguments a file has, Keras says what it cannot do with them.
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    else:
        reason = "it is none that is known here"
    raise UnsupportedModel(
        f"layer {shown(layer)} calls TensorFlow's {shown(function)}, which cannot be read: {reason[:200]}.",
        kind="unsupported-layer",
        hint="open it with the Keras that wrote it, build that step of standard layers, and save it again.",
        layer=layer,
    )


def _bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    if data_format not in (None, "NHWC", "N...C"):
        raise ValueError("its channels come first")
    return value + np.asarray(bias, np.float32)


def _concat(values: Any, axis: int) -> Any:
    return ops.concatenate(values, axis=axis)


def _getitem(value: Any, slice_spec: Any) -> Any:
    parts = slice_spec if isinstance(slice_spec, list) else [slice_spec]
    return value[tuple(map(_index, parts))]


def _index(part: Any) -> Any:
    if isinstance(part, Mapping):
        if part.get("class_name") == _ELLIPSIS:
            return Ellipsis
        return slice(part.get("start"), part.get("stop"), part.get("step"))
    return part


def _reduced(operation: Operation) -> Operation:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return operation(input_tensor, axis=axis, keepdims=keepdims)

    return reduce


def _renamed(operation: Operation, **names: str) -> Operation:
    """``operation`` with other names for its arguments."""

    def call(*arguments: Any, **options: Any) -> Any:
        return operation(*arguments, **{names.get(name, name): value for name, value in options.items()})

    return call


def _binary(operation: Operation) -> Operation:
    return _renamed(operation, x="x1", y="x2")


def _unary(operation: Operation) -> Operation:
    return _renamed(operation, features="x", input="x", logits="x")


def _cast(x: Any) -> Any:
    """To another type of numbers: networks compute in float32 here."""
    return x


def _leaky_relu(features: Any, alpha: float = 0.2) -> Any:
    return keras.layers.LeakyReLU(negative_slope=alpha)(features)


_OPERATIONS: Final[Mapping[str, Operation]] = {
    **dict.fromkeys(("__operators__.add", "math.add"), _binary(ops.add)),
    **dict.fromkeys(("__operators__.sub", "math.subtract", "subtract"), _binary(ops.subtract)),
    **dict.fromkeys(("__operators__.mul", "math.multiply", "multiply"), _binary(ops.multiply)),
    **dict.fromkeys(("math.truediv", "math.divide", "realdiv", "truediv", "compat.v1.div"), _binary(ops.divide)),
    **dict.fromkeys(("math.maximum", "maximum"), _binary(ops.maximum)),
    **dict.fromkeys(("math.minimum", "minimum"), _binary(ops.minimum)),
    **dict.fromkeys(("math.pow", "pow"), _binary(ops.power)),
    **dict.fromkeys(("math.square", "square"), ops.square),
    **dict.fromkeys(("math.negative", "negative"), ops.negative),
    **dict.fromkeys(("math.abs", "abs"), ops.abs),
    **dict.fromkeys(("math.reduce_mean", "reduce_mean"), _reduced(ops.mean)),
    **dict.fromkeys(("math.reduce_max", "reduce_max"), _reduced(ops.max)),
    **dict.fromkeys(("nn.silu", "nn.swish"), _unary(ops.silu)),
    **dict.fromkeys(("math.sigmoid", "nn.sigmoid", "sigmoid"), _unary(ops.sigmoid)),
    **dict.fromkeys(("math.tanh", "nn.tanh", "tanh"), _unary(ops.tanh)),
    **dict.fromkeys(("math.softplus", "nn.softplus"), _unary(ops.softplus)),
    **dict.fromkeys(("cast", "identity", "stop_gradient"), _cast),
    "nn.relu": _unary(ops.relu),
    "nn.relu6": _unary(ops.relu6),
    "nn.elu": _unary(ops.elu),
    "nn.selu": _unary(ops.selu),
    "nn.softmax": _unary(ops.softmax),
    "nn.gelu": _unary(ops.gelu),
    "nn.leaky_relu": _leaky_relu,
    "nn.bias_add": _bias_add,
    "concat": _concat,
    "reshape": _renamed(ops.reshape, tensor="x", shape="newshape"),
    "transpose": _renamed(ops.transpose, a="x", perm="axes"),
    "__operators__.getitem": _getitem,
}
