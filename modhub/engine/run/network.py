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

import numpy as np

from modhub.engine.library import keras
from modhub.engine.run.layers import made_layer
from modhub.errors import IntegrityError
from modhub.package.module import Weights
from modhub.spec import architecture as arch
from modhub.spec import layer_record
from modhub.spec import layers as kinds
from modhub.spec.architecture import INPUT, Architecture
from modhub.spec.input_contract import ImageContract, InputContract
from modhub.spec.packaged_layers import PackagedLayer

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
        """The features (N, F) of preprocessed images (N, H, W, C), or arrays.

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
            output = run(inputs if self.architecture.layer_of(call).takes_many else inputs[0])
            live[call.id] = visit(call.id, output) if visit else output
            for source in set(call.inputs):
                if self._last_reader[source] == position and source != self.architecture.features:
                    del live[source]
        return live


def preprocess(images: Any, contract: InputContract) -> Any:
    """Raw images (N, H, W, C), or arrays, as the network takes them: float32 ``(x * rescale - mean) / std``.

    What a network trained on BGR takes has its channels turned around before that.
    """
    x = keras.ops.cast(images, "float32")
    if is_bgr(contract):
        x = keras.ops.flip(x, axis=-1)
    if contract.rescale != 1.0:
        x = x * np.float32(contract.rescale)
    if contract.mean is not None:
        x = keras.ops.subtract(x, np.asarray(contract.mean, np.float32))
    if contract.std is not None:
        x = keras.ops.divide(x, np.asarray(contract.std, np.float32))
    return x


def is_bgr(contract: InputContract) -> bool:
    """Whether the network was trained on BGR, so that images, which are RGB, are turned around for it."""
    return isinstance(contract, ImageContract) and contract.colour == "bgr"


def _built_layer(
    label: str, name: str, spec: Any, shapes: Sequence[layer_record.Shape], weights: Weights
) -> keras.Layer:
    """One frozen Keras layer named ``label`` for inputs of ``shapes``, holding the weights stored under ``name``."""
    expected = spec.weight_shapes(shapes[0])
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
    if isinstance(spec, kinds.Normalization):
        # Keras keeps these two as configuration, not as settable weights.
        layer: keras.Layer = keras.layers.Normalization(**values, name=label, dtype="float32")
        values = {}
    else:
        layer, values = made_layer(spec, label, shapes[0], values)
    layer.trainable = False
    batched = [(None, *shape) for shape in shapes]
    is_packaged = isinstance(spec, PackagedLayer)
    with _holding(layer, {} if is_packaged else values):
        layer.build(batched if spec.takes_many else batched[0])
    for key, value in values.items() if is_packaged else ():
        getattr(layer, key).assign(value)
    return layer


@contextmanager
def _holding(layer: keras.Layer, values: Mapping[str, Any]) -> Iterator[None]:
    """A layer that is built meanwhile begins with ``values``, by initializer, not with zeros that are replaced."""
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
