"""Building a network from an Architecture and running it: one interpreter for all uses.

``Network`` holds real Keras layers made from the table of allowed kinds. ``run`` calls them in order and hands every
call's output to a visitor, which may read it (observation) or replace it (masks). Called on symbolic tensors the same
interpreter yields a functional Keras model, so what is exported computes what was run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from modhub.errors import IntegrityError
from modhub.package.module import Weights
from modhub.spec import architecture as arch
from modhub.spec.architecture import INPUT, Architecture
from modhub.spec.manifest import InputContract

Visitor = Callable[[str, Any], Any]


class Network:
    """An origin's trunk: the layers up to the penultimate features, with their weights, frozen.

    Weights are checked against the architecture's shapes before any layer is built. Raises IntegrityError when a
    weight is missing or has another shape. ``prefix`` keeps layer names apart where several networks meet in one model.
    """

    def __init__(self, architecture: Architecture, weights: Weights, *, prefix: str = "") -> None:
        self.architecture, self.weights = architecture, weights
        self.shapes = arch.shapes_of(architecture)
        self._last_reader = {
            source: position for position, call in enumerate(architecture.calls) for source in call.inputs
        }
        self.layers: dict[str, keras.Layer] = {}
        #: What was compiled of this network, so that it is compiled once; it goes with the network.
        self.compiled: dict[Any, Callable[..., Any]] = {}
        for call in architecture.calls:
            if call.layer not in self.layers:
                # Numbered, because a/b and a_b are two layers but one Keras name.
                label = f"{prefix}{len(self.layers)}_" + re.sub(r"[^A-Za-z0-9_]", "_", call.layer)
                shapes = [self.shapes[source] for source in call.inputs]
                self.layers[call.layer] = _built_layer(
                    label, call.layer, architecture.layers[call.layer], shapes, weights
                )

    def run(self, images: Any, visit: Visitor | None = None) -> Any:
        """The features (N, F) of preprocessed images (N, H, W, C).

        ``visit(call id, output)`` sees each output and returns what stands in its place.
        """
        return self.advance({INPUT: images}, visit)[self.architecture.features]

    def advance(
        self, tensors: Mapping[str, Any], visit: Visitor | None = None, *, start: int = 0, stop: int | None = None
    ) -> dict[str, Any]:
        """Run the calls from ``start`` up to ``stop``, given the tensors that are live before them.

        Gives the tensors that are live behind them, so that runs which differ late can share their beginning.
        """
        live = dict(tensors)
        for position, call in enumerate(self.architecture.calls[start:stop], start):
            layer, inputs = self.layers[call.layer], [live[source] for source in call.inputs]
            # Only symbolic tensors need __call__, whose checks take most of the time that tracing takes.
            run = layer if isinstance(inputs[0], keras.KerasTensor) else layer.call
            output = run(inputs if isinstance(layer, _MERGES) else inputs[0])
            live[call.id] = visit(call.id, output) if visit else output
            for source in set(call.inputs):
                if self._last_reader[source] == position and source != self.architecture.features:
                    del live[source]
        return live


def preprocess(images: Any, contract: InputContract) -> Any:
    """Raw images (N, H, W, C) as the network takes them: float32 ``(x * rescale - mean) / std``."""
    x = keras.ops.cast(images, "float32")
    if contract.rescale != 1.0:
        x = x * np.float32(contract.rescale)
    if contract.mean is not None:
        x = keras.ops.subtract(x, np.asarray(contract.mean, np.float32))
    if contract.std is not None:
        x = keras.ops.divide(x, np.asarray(contract.std, np.float32))
    return x


def _built_layer(label: str, name: str, spec: Any, shapes: Sequence[arch.Shape], weights: Weights) -> keras.Layer:
    """One frozen Keras layer named ``label`` for inputs of ``shapes``, holding the weights stored under ``name``."""
    expected = arch.weight_shapes(spec, shapes[0])
    values: dict[str, Any] = {}
    for key, wanted in expected.items():
        value = weights.get(f"{name}/{key}")
        if value is None or tuple(value.shape) != wanted:
            found = "is missing" if value is None else f"has the shape {tuple(value.shape)}"
            raise IntegrityError(
                f"the weight {name}/{key} {found}; the architecture wants {wanted}.",
                kind="bad-weights",
                weight=f"{name}/{key}",
            )
        values[key] = value
    if isinstance(spec, arch.Normalization):
        # Keras keeps these two as configuration, not as settable weights.
        layer: keras.Layer = _layers.Normalization(**values, name=label, dtype="float32")
        values = {}
    else:
        layer = _make(spec, label)
    layer.trainable = False
    batched = [(None, *shape) for shape in shapes]
    with _holding(layer, values):
        layer.build(batched if isinstance(layer, _MERGES) else batched[0])
    return layer


@contextmanager
def _holding(layer: keras.Layer, values: Mapping[str, Any]) -> Iterator[None]:
    """A layer that is built meanwhile begins with ``values``, instead of being filled with zeros before."""
    initializers = {f"{key}_initializer": _given(value) for key, value in values.items()}
    before = {name: getattr(layer, name) for name in initializers}
    for name, initializer in initializers.items():
        # Keras' own way looks for variables in whatever a layer is given.
        object.__setattr__(layer, name, initializer)
    yield
    for name, initializer in before.items():
        object.__setattr__(layer, name, initializer)


def _given(value: Any) -> Callable[..., Any]:
    return lambda shape, dtype=None: keras.ops.convert_to_tensor(value, dtype)


def _make(spec: Any, name: str) -> keras.Layer:
    kind, arguments = _MAKERS[spec.kind]
    return kind(**arguments(spec), name=name, dtype="float32")


def _number_or_list(numbers: tuple[float, ...]) -> Any:
    return numbers[0] if len(numbers) == 1 else list(numbers)


def _none(spec: Any) -> dict[str, Any]:
    return {}


def _pooling(spec: Any) -> dict[str, Any]:
    return {"pool_size": spec.pool_size, "strides": spec.strides, "padding": spec.padding, **_LAST}


def _global_pooling(spec: Any) -> dict[str, Any]:
    return {"keepdims": spec.keepdims, **_LAST}


_LAST = {"data_format": "channels_last"}
_layers = keras.layers
#: Layers that take several tensors.
_MERGES = (_layers.Add, _layers.Concatenate)
_MAKERS: Mapping[str, tuple[type, Callable[[Any], dict[str, Any]]]] = {
    "conv2d": (
        _layers.Conv2D,
        lambda s: {
            "filters": s.filters,
            "kernel_size": s.kernel_size,
            "strides": s.strides,
            "padding": s.padding,
            "dilation_rate": s.dilation,
            "groups": s.groups,
            "use_bias": s.use_bias,
            "activation": s.activation,
            "kernel_initializer": "zeros",
            **_LAST,
        },
    ),
    "dense": (
        _layers.Dense,
        lambda s: {
            "units": s.units,
            "use_bias": s.use_bias,
            "activation": s.activation,
            "kernel_initializer": "zeros",
        },
    ),
    "batch_normalization": (
        _layers.BatchNormalization,
        lambda s: {"epsilon": s.epsilon, "center": s.center, "scale": s.scale},
    ),
    "relu": (_layers.ReLU, lambda s: {"max_value": s.max_value}),
    "max_pooling2d": (_layers.MaxPooling2D, _pooling),
    "average_pooling2d": (_layers.AveragePooling2D, _pooling),
    "global_max_pooling2d": (_layers.GlobalMaxPooling2D, _global_pooling),
    "global_average_pooling2d": (_layers.GlobalAveragePooling2D, _global_pooling),
    "add": (_layers.Add, _none),
    "concatenate": (_layers.Concatenate, lambda s: {"axis": s.axis + 1}),
    "flatten": (_layers.Flatten, lambda s: _LAST),
    "reshape": (_layers.Reshape, lambda s: {"target_shape": s.target_shape}),
    "identity": (_layers.Identity, _none),
    "rescaling": (
        _layers.Rescaling,
        lambda s: {"scale": _number_or_list(s.scale), "offset": _number_or_list(s.offset)},
    ),
    "zero_padding2d": (_layers.ZeroPadding2D, lambda s: {"padding": s.padding, **_LAST}),
}
