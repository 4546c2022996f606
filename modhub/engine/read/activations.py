"""Activations: the rectifiers, whose nodes carry masks, and all other functions, whose do not.

A leaky rectifier is two exact ones: ``relu(x) - a relu(-x)``. So its two sides are sites like any other ReLU's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.read.builder import Builder, array, refuse
from modhub.engine.read.graph import LayerCall
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import Activation, BatchNormalization, ElementFunction, Elementwise, Identity, ReLU, Rescaling
from modhub.spec.rearrangements import Add

#: Keras' names of functions that have another name here, or are not functions of Keras' own.
_SAME: Final = {"swish": "silu", "hard_swish": "hard_silu"}
_FUNCTIONS: Final = frozenset(get_args(ElementFunction))
_INSIDE: Final = frozenset(get_args(Activation))
#: Per-channel numbers up to this many stand in the record; more are weights.
_MOST_NUMBERS: Final = 64
#: A power of two, so that 1 less it and it again are exactly 1 in float32.
_EPSILON: Final = 2.0**-10


def activation_name(call: LayerCall) -> str:
    """The name of the layer's activation function; ``linear`` for none. Raises UnsupportedModel for a person's own."""
    function = getattr(call.layer, "activation", None)
    if function is None or call.without_activation:
        return "linear"
    name = getattr(function, "__name__", type(function).__name__)
    if function is getattr(keras.activations, name, None):
        return _SAME.get(name, name)
    raise refuse(
        call,
        f"has the activation {name!r} of {getattr(function, '__module__', '?')}, not activation={name!r}",
        kind="unsupported-activation",
        hint="use one of keras.activations, or a function made of keras.ops.",
    )


def with_activation(
    build: Builder,
    call: LayerCall,
    record: Callable[[Activation], LayerRecord],
    weights: Any,
    *,
    source: str | None = None,
) -> None:
    """A layer that has an activation: inside its record where that can be, else behind it."""
    name = activation_name(call)
    inputs = [source] if source is not None else call.inputs
    if name in _INSIDE:
        build.emit(call.id, call.name, record(name), inputs, weights)  # type: ignore[arg-type]
        return
    linear = build.emit(f"{call.id}/linear", call.name, record("linear"), inputs, weights)
    activate(build, call, name, linear)


def activate(build: Builder, call: LayerCall, name: str, source: str) -> None:
    """The function ``name`` of ``source`` as the last record of ``call``."""
    if name == "linear":
        build.last(call, "activation", Identity(), [source])
    elif name in ("relu", "relu6"):
        build.last(call, "activation", ReLU(max_value=6.0 if name == "relu6" else None), [source])
    elif name == "leaky_relu":
        leaky(build, call, source, 0.2)
    elif name in _FUNCTIONS:
        build.last(call, "activation", Elementwise(function=name), [source])
    else:
        raise refuse(
            call,
            f"has the activation {name!r}",
            kind="unsupported-activation",
            hint=f"use one of relu, relu6, leaky_relu, {', '.join(sorted(_FUNCTIONS))}.",
        )


def leaky(build: Builder, call: LayerCall, source: str, slope: Any, max_value: float | None = None) -> None:
    """``x`` where it is positive, ``slope * x`` elsewhere; ``slope`` one number or one a channel."""
    slopes = np.atleast_1d(np.asarray(slope, np.float32))
    if not slopes.any():
        build.last(call, "activation", ReLU(max_value=max_value), [source])
        return
    positive = build.part(call, "positive", ReLU(max_value=max_value), [source])
    mirrored = build.part(call, "mirrored", Rescaling(scale=(-1.0,), offset=(0.0,)), [source])
    negative = build.part(call, "negative", ReLU(), [mirrored])
    scaled = scale_and_shift(build, call, negative, -slopes, np.zeros(1, np.float32), part="scaled")
    build.last(call, "sum", Add(), [positive, scaled])
    build.note(call, "relu(x) - a relu(-x), two sites")


def scale_and_shift(
    build: Builder,
    call: LayerCall,
    source: str,
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    *,
    part: str | None = None,
) -> str:
    """``source * scale + offset``, each one number or one a channel, as the last record of ``call`` or a ``part``."""
    channels = build.shapes[source][-1]
    weights: dict[str, NDArray[np.float32]] = {}
    record: LayerRecord
    if max(scale.size, offset.size) <= _MOST_NUMBERS:
        record = Rescaling(scale=tuple(map(float, scale)), offset=tuple(map(float, offset)))
    else:
        record = BatchNormalization(epsilon=_EPSILON, center=True, scale=True)
        weights = {
            "gamma": np.broadcast_to(scale, (channels,)).copy(),
            "beta": np.broadcast_to(offset, (channels,)).copy(),
            "moving_mean": np.zeros(channels, np.float32),
            "moving_variance": np.full(channels, 1 - _EPSILON, np.float32),
        }
    name = part or "scale"
    if part is not None:
        return build.part(call, name, record, [source], weights)
    return build.emit(call.id, f"{call.name}/{name}", record, [source], weights)


def relu_layer(build: Builder, call: LayerCall) -> None:
    """keras.layers.ReLU, and Keras' operation of that name."""
    layer: Any = call.layer
    slope, threshold = float(layer.negative_slope or 0), float(layer.threshold or 0)
    most = None if layer.max_value is None else float(layer.max_value)
    if threshold:
        raise refuse(
            call,
            f"has the threshold {threshold}",
            kind="unsupported-activation",
            hint="subtract the threshold before it and add it behind.",
        )
    if slope:
        leaky(build, call, call.inputs[0], slope, most)
    else:
        build.put(call, ReLU(max_value=most))


def parametric_relu(build: Builder, call: LayerCall) -> None:
    """keras.layers.PReLU, whose slopes are weights."""
    slopes = array(call.layer.alpha)
    if any(extent != 1 for extent in slopes.shape[:-1]):
        raise refuse(
            call,
            f"has a slope for each of {slopes.shape[:-1]} positions",
            kind="unsupported-activation",
            hint="give it shared_axes=[1, 2], one slope a channel.",
        )
    leaky(build, call, call.inputs[0], slopes.ravel())
