"""Finding the classifier's head: the last dense layer and what squashes it.

Supported heads: Dense(N) with softmax as its activation, as a layer of its own, or none (logits); Dense(1) with a
sigmoid or none, which is the logit pair (0, z); logits times a number (a temperature); and 1x1 convolutions that are
such a dense layer in another shape, behind global pooling or, because a mean of sums is the sum of the means, in front
of it. Everything else is refused by name, because the margins of a module are differences of class logits
(docs/algorithm.md, Modularising concerns).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.read.builder import array
from modhub.engine.read.graph import LayerCall, TensorArgument
from modhub.engine.read.layer_rules import RULES
from modhub.errors import UnsupportedModel

_HINT = "modhub needs a last Dense layer with softmax, logits, or one sigmoid."
Style = Literal["softmax", "logits", "sigmoid"]
#: What must be done to the tensor that the head reads before it is a vector.
Pooled = Literal["flatten", "average"]

_layers = keras.layers
_CONVOLUTIONS = (_layers.Conv2D, _layers.Conv1D)
#: Layers that only put the logits into another shape, or do nothing.
_SHAPES = (_layers.Flatten, _layers.Reshape)
_NOTHING = tuple(kind for kind, rule in RULES.items() if rule is RULES[_layers.Dropout])


@dataclass(frozen=True, eq=False)
class DenseHead:
    """``features`` is the id of the call that the head reads, which ``pooled`` makes a vector where it is none.

    kernel (features, N), bias (N,); float32. ``name`` is the layer's.
    """

    features: str
    style: Style
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    name: str
    pooled: Pooled | None = None

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Kernel (features, classes) and bias (classes,); one output becomes the logit pair (0, z)."""
        kernel, bias = self.kernel, self.bias
        if kernel.shape[1] == 1:
            kernel = np.concatenate([np.zeros_like(kernel), kernel], axis=1)
            bias = np.concatenate([np.zeros_like(bias), bias])
        return {"kernel": kernel, "bias": bias}


def find_head(calls: Sequence[LayerCall], output: str) -> DenseHead:
    """The head of a network whose last tensor is ``output``. Raises UnsupportedModel naming what stands there."""
    by_id = {call.id: call for call in calls}
    if output not in by_id:
        raise _refuse("the model has no layers")
    call, squash, pooled, factor = by_id[output], None, False, np.ones(1)
    while type(call.layer) not in (_layers.Dense, *_CONVOLUTIONS):
        is_pooling, scale = _is_average(call), _scale_of(call)
        own = "linear" if is_pooling or scale is not None or _only_reshapes(call) else _squash_of(call)
        if own is None or (own != "linear" and squash) or (is_pooling and pooled):
            raise _refuse(_named_refusal(call), call)
        squash, pooled = own if own != "linear" else squash, pooled or is_pooling
        factor = factor if scale is None else factor * scale
        if call.inputs[0] not in by_id:
            raise _refuse("the model ends without a Dense layer", call)
        call = by_id[call.inputs[0]]
    own = "linear" if call.without_activation else _name_of(call.layer.activation)
    if own != "linear" and (squash or pooled or (factor != 1).any()):
        other = squash or ("pooling" if pooled else "a factor")
        raise _refuse(f"the head {call.name!r} squashes twice, by {own!r} and by {other!r}", call)
    readers = [other for other in calls if call.id in other.inputs]
    if len(readers) > 1:
        raise _refuse(f"the logits of the head {call.name!r} are read by {len(readers)} layers", call)
    return _checked(call, own if own != "linear" else squash, factor, pooled=pooled)


def _is_average(call: LayerCall) -> bool:
    return type(call.layer) in (_layers.GlobalAveragePooling2D, _layers.GlobalAveragePooling1D)


def _scale_of(call: LayerCall) -> NDArray[np.float64] | None:
    """The number, or one a class, that an operation behind the dense layer multiplies the logits with; else None."""
    if call.type not in ("TrueDivide", "Divide", "Multiply") or isinstance(call.layer, _layers.Layer):
        return None
    first, second = call.arguments["x1"], call.arguments["x2"]
    if call.type == "Multiply" and not isinstance(first, TensorArgument):
        first, second = second, first
    if not isinstance(first, TensorArgument) or isinstance(second, TensorArgument):
        return None
    numbers = array(second).astype(np.float64).ravel()
    return numbers if call.type == "Multiply" else 1 / numbers


def _only_reshapes(call: LayerCall) -> bool:
    return type(call.layer) in (*_SHAPES, *_NOTHING) or call.type in ("Squeeze", "Reshape")


def _squash_of(call: LayerCall) -> str | None:
    """The activation that a layer or operation behind the dense layer applies; None when it is no activation at all."""
    if type(call.layer) is _layers.Softmax or call.type == "Softmax":
        return "softmax"
    if call.type == "Sigmoid":
        return "sigmoid"
    if type(call.layer) is _layers.Activation and not call.without_activation:
        return _name_of(call.layer.activation)
    return None


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__) if function is not None else "linear"


def _named_refusal(call: LayerCall) -> str:
    return f"the model ends in {call.name!r} ({call.type}), not in a dense classifier"


def _checked(call: LayerCall, squash: str | None, factor: NDArray[np.float64], *, pooled: bool) -> DenseHead:
    layer: Any = call.layer
    kernel, shape = array(layer.kernel), None
    if type(layer) in _CONVOLUTIONS:
        kernel, shape = _as_dense(call, kernel, pooled=pooled)
    elif pooled:
        raise _refuse(f"the head {call.name!r} is a Dense layer on a map, in front of pooling", call)
    units = kernel.shape[1]
    bias = array(layer.bias) if layer.use_bias else np.zeros(units, np.float32)
    if squash == "sigmoid" and units != 1:
        raise _refuse(f"the head {call.name!r} has {units} sigmoids: multi-label classifiers are not supported", call)
    if squash not in (None, "softmax", "sigmoid"):
        raise _refuse(f"the head {call.name!r} ends in the activation {squash!r}", call)
    if units == 1 and squash == "softmax":
        raise _refuse(f"the head {call.name!r} has one output with a softmax, which is always 1", call)
    style: Style = "logits" if squash is None else "softmax" if squash == "softmax" else "sigmoid"
    if factor.size not in (1, units):
        raise _refuse(f"the logits of the head {call.name!r} are multiplied with {factor.size} numbers", call)
    kernel, bias = ((numbers * factor).astype(np.float32) for numbers in (kernel, bias))
    return DenseHead(call.inputs[0], style, kernel, bias, call.name, shape)


def _as_dense(call: LayerCall, kernel: NDArray[np.float32], *, pooled: bool) -> tuple[NDArray[np.float32], Pooled]:
    """The kernel (features, N) of a 1x1 convolution, and what makes a vector of what it reads."""
    layer: Any = call.layer
    window = kernel.shape[:-2]
    if set(window) != {1} or layer.groups != 1 or (pooled and set(layer.strides) != {1}):
        raise _refuse(
            f"the head ends in the convolution {call.name!r} of {'x'.join(map(str, window))}, which is no dense layer",
            call,
        )
    return kernel.reshape(kernel.shape[-2:]), "average" if pooled else "flatten"


def _refuse(reason: str, call: LayerCall | None = None) -> UnsupportedModel:
    return UnsupportedModel(f"{reason}.", kind="unsupported-head", hint=_HINT, layer=call.name if call else None)
