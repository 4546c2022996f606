"""Finding the classifier's head: the last dense layer and what squashes it.

Supported heads: Dense(N) with softmax as its activation, as a layer of its own, or none (logits); Dense(1) with a
sigmoid, which is the logit pair (0, z). Everything else is refused by name, because the margins of a module are
differences of class logits (docs/algorithm.md, Modularising concerns).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from modhub.engine.read.graph import LayerCall
from modhub.errors import UnsupportedModel

_HINT = "modhub needs a last Dense layer with softmax, logits, or one sigmoid."


@dataclass(frozen=True, eq=False)
class DenseHead:
    """``features`` is the id of the call that the dense layer reads. kernel (features, N), bias (N,); float32."""

    features: str
    style: Literal["softmax", "logits", "sigmoid"]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def find_head(calls: list[LayerCall], output: str) -> DenseHead:
    """The head of a network whose last tensor is ``output``. Raises UnsupportedModel naming what stands there."""
    by_id = {call.id: call for call in calls}
    if output not in by_id:
        raise _refuse("the model has no layers")
    call, squash = by_id[output], None
    while not isinstance(call.layer, keras.layers.Dense):
        own = _squash_of(call)
        if own is None or (own != "linear" and squash):
            raise _refuse(_named_refusal(call), call)
        squash = own if own != "linear" else squash
        if call.inputs[0] not in by_id:
            raise _refuse("the model ends without a Dense layer", call)
        call = by_id[call.inputs[0]]
    layer: Any = call.layer
    if type(layer) is not keras.layers.Dense:
        raise _refuse(f"the head {call.name!r} is a {type(layer).__name__}, not a Dense layer itself", call)
    own = _name_of(layer.activation)
    if own != "linear" and squash:
        raise _refuse(f"the head {call.name!r} squashes twice, by {own!r} and by {squash!r}", call)
    readers = [other for other in calls if call.id in other.inputs]
    if len(readers) > 1:
        raise _refuse(f"the logits of the head {call.name!r} are read by {len(readers)} layers", call)
    return _checked(call, own if own != "linear" else squash)


def _squash_of(call: LayerCall) -> str | None:
    """The activation that a layer behind the dense layer applies; None when it is no activation at all."""
    if isinstance(call.layer, keras.layers.Softmax):
        return "softmax"
    if isinstance(call.layer, keras.layers.Activation):
        return _name_of(call.layer.activation)
    return None


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__) if function is not None else "linear"


def _named_refusal(call: LayerCall) -> str:
    name = f"{call.name!r} ({type(call.layer).__name__})"
    if isinstance(call.layer, (keras.layers.Conv2D, keras.layers.GlobalAveragePooling2D)):
        return f"the head ends in {name}: convolutional heads are not supported"
    return f"the model ends in {name}, not in a dense classifier"


def _checked(call: LayerCall, squash: str | None) -> DenseHead:
    layer: Any = call.layer
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel), np.float32)
    units = kernel.shape[1]
    bias = (
        np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float32)
        if layer.use_bias
        else np.zeros(units, np.float32)
    )
    if squash == "sigmoid":
        if units != 1:
            raise _refuse(
                f"the head {call.name!r} has {units} sigmoids: multi-label classifiers are not supported", call
            )
        return DenseHead(call.inputs[0], "sigmoid", kernel, bias)
    if squash not in (None, "softmax"):
        raise _refuse(f"the head {call.name!r} ends in the activation {squash!r}", call)
    if units == 1:
        raise _refuse(
            f"the head {call.name!r} has one output without a sigmoid: that is a regression, not a classifier", call
        )
    return DenseHead(call.inputs[0], "softmax" if squash else "logits", kernel, bias)


def _refuse(reason: str, call: LayerCall | None = None) -> UnsupportedModel:
    return UnsupportedModel(f"{reason}.", kind="unsupported-head", hint=_HINT, layer=call.name if call else None)
