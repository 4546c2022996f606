"""Real Keras models of random networks: Sequential, functional, with nested models and layers called twice.

A style says how the same function is written down: which of the network's blocks become nested models, whether a ReLU
is a ``ReLU`` or an ``Activation`` layer, whether softmax is the head's argument or a layer of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st

from modhub.spec.architecture import INPUT, Call
from tests.oracle.networks import Block, Network


@dataclass(frozen=True)
class Style:
    """How to write a network down.

    ``nested`` numbers the blocks that become models of their own; ``nest_twins`` makes models of blocks called twice.
    """

    sequential: bool = False
    activation_layers: bool = False
    separate_softmax: bool = False
    nested: frozenset[int] = field(default_factory=frozenset)
    nest_twins: bool = False
    nest_trunk: bool = False


@st.composite
def styles(draw: Any, network: Network) -> Style:
    return Style(
        sequential=network.is_chain and draw(st.booleans()),
        activation_layers=draw(st.booleans()),
        separate_softmax=draw(st.booleans()),
        nested=frozenset(number for number in range(len(network.blocks)) if draw(st.integers(0, 2)) == 0),
        nest_twins=draw(st.booleans()),
        nest_trunk=draw(st.integers(0, 3)) == 0,
    )


def build(network: Network, style: Style | None = None, *, head: bool = True) -> keras.Model:
    """The network as a Keras model with its weights; without ``head`` its outputs are the penultimate features."""
    style = style or Style()
    writer = _Writer(network, style)
    if style.sequential:
        layers = [writer.layer(call) for call in network.architecture.calls]
        layers += writer.head_layers() if head else []
        model = keras.Sequential([keras.Input(network.architecture.input_shape), *layers])
    else:
        image = keras.Input(network.architecture.input_shape)
        body: Callable[[Any], Any] = writer.trunk
        if style.nest_trunk:
            inner = keras.Input(network.architecture.input_shape)
            body = keras.Model(inner, writer.trunk(inner))
        tensor = body(image)
        for layer in writer.head_layers() if head else []:
            tensor = layer(tensor)
        model = keras.Model(image, tensor)
    writer.fill()
    return model


def outputs_of_calls(network: Network) -> keras.Model:
    """A model whose outputs are those of every call, in order."""
    writer = _Writer(network, Style())
    image = keras.Input(network.architecture.input_shape)
    values = {INPUT: image}
    for call in network.architecture.calls:
        values[call.id] = writer.apply(call, values)
    model = keras.Model(image, [values[call.id] for call in network.architecture.calls])
    writer.fill()
    return model


class _Writer:
    def __init__(self, network: Network, style: Style) -> None:
        self.network, self.style = network, style
        self.layers: dict[str, Any] = {}
        self.models: dict[int, Any] = {}

    def layer(self, call: Call) -> Any:
        """The Keras layer of a call; one layer for all its calls."""
        if call.layer not in self.layers:
            made = _keras_layer(self.network, call.layer, self.style)
            self.layers[call.layer] = made
        return self.layers[call.layer]

    def apply(self, call: Call, values: dict[str, Any]) -> Any:
        inputs = [values[source] for source in call.inputs]
        return self.layer(call)(inputs if self.network.architecture.layers[call.layer].kind in _MERGES else inputs[0])

    def trunk(self, image: Any) -> Any:
        """All calls, nested blocks as models of their own."""
        calls = self.network.architecture.calls
        nested = {block.first: (number, block) for number, block in enumerate(self.network.blocks)}
        nested = {first: entry for first, entry in nested.items() if entry[0] in self.style.nested}
        if self.style.nest_twins:
            for number, (one, other) in enumerate(self.network.twins):
                nested[one.first] = nested[other.first] = (-1 - number, one)
        values, place = {INPUT: image}, 0
        while place < len(calls):
            if place in nested:
                number, block = nested[place]
                length = block.last - block.first
                source, result = self._ends(place, length)
                values[result] = self._model(number, block, values[source])(values[source])
                place += length
            else:
                values[calls[place].id] = self.apply(calls[place], values)
                place += 1
        return values[self.network.architecture.features]

    def _ends(self, place: int, length: int) -> tuple[str, str]:
        blocks = [*self.network.blocks, *(twin for pair in self.network.twins for twin in pair)]
        block = next(block for block in blocks if block.first == place and block.last == place + length)
        return block.source, block.result

    def _model(self, number: int, block: Block, tensor: Any) -> Any:
        if number not in self.models:
            inner = keras.Input(tensor.shape[1:])
            values = {block.source: inner}
            for call in self.network.architecture.calls[block.first : block.last]:
                values[call.id] = self.apply(call, values)
            self.models[number] = keras.Model(inner, values[block.result])
        return self.models[number]

    def head_layers(self) -> list[Any]:
        head = self.network.architecture.head
        if head == "sigmoid":
            return [self._head(keras.layers.Dense(1, activation="sigmoid", name="head"))]
        if head == "logits":
            return [self._head(keras.layers.Dense(self.network.classes, name="head"))]
        if self.style.separate_softmax:
            softmax = keras.layers.Activation("softmax") if self.style.activation_layers else keras.layers.Softmax()
            return [self._head(keras.layers.Dense(self.network.classes, name="head")), softmax]
        return [self._head(keras.layers.Dense(self.network.classes, activation="softmax", name="head"))]

    def _head(self, layer: Any) -> Any:
        self.layers["head"] = layer
        return layer

    def fill(self) -> None:
        """Give every layer its numbers; layers are built only after they were called."""
        for name, layer in self.layers.items():
            for variable in [] if isinstance(layer, keras.layers.Normalization) else layer.weights:
                if (key := f"{name}/{variable.name}") in self.network.weights:
                    numbers = self.network.weights[key]
                    variable.assign(numbers[..., -variable.shape[-1] :] if name == "head" else numbers)


_MERGES = ("add", "concatenate", "multiply", "subtract", "average", "maximum")


def _keras_layer(network: Network, name: str, style: Style) -> Any:
    layer, layers = network.architecture.layers[name], keras.layers
    match layer.kind:
        case "conv2d":
            return layers.Conv2D(
                layer.filters,
                layer.kernel_size,
                strides=layer.strides,
                padding=layer.padding,
                dilation_rate=layer.dilation,
                groups=layer.groups,
                use_bias=layer.use_bias,
                activation=layer.activation,
                name=name,
            )
        case "dense":
            return layers.Dense(layer.units, use_bias=layer.use_bias, activation=layer.activation, name=name)
        case "batch_normalization":
            return layers.BatchNormalization(epsilon=layer.epsilon, center=layer.center, scale=layer.scale, name=name)
        case "relu":
            if style.activation_layers and layer.max_value in (None, 6.0):
                return layers.Activation("relu" if layer.max_value is None else "relu6", name=name)
            return layers.ReLU(max_value=layer.max_value, name=name)
        case "max_pooling2d" | "average_pooling2d":
            make = layers.MaxPooling2D if layer.kind == "max_pooling2d" else layers.AveragePooling2D
            return make(layer.pool_size, strides=layer.strides, padding=layer.padding, name=name)
        case "global_max_pooling2d" | "global_average_pooling2d":
            make = layers.GlobalMaxPooling2D if layer.kind == "global_max_pooling2d" else layers.GlobalAveragePooling2D
            return make(keepdims=layer.keepdims, name=name)
        case "concatenate":
            return layers.Concatenate(axis=layer.axis + 1, name=name)
        case "reshape":
            return layers.Reshape(layer.target_shape, name=name)
        case "rescaling":
            scale, offset = (
                numbers[0] if len(numbers) == 1 else list(numbers) for numbers in (layer.scale, layer.offset)
            )
            return layers.Rescaling(scale, offset, name=name)
        case "normalization":
            mean, variance = (np.asarray(network.weights[f"{name}/{part}"]) for part in ("mean", "variance"))
            return layers.Normalization(axis=-1, mean=mean, variance=variance, name=name)
        case "zero_padding2d":
            return layers.ZeroPadding2D(layer.padding, name=name)
        case "identity":
            return layers.Dropout(0.5, name=name)
        case "add":
            return layers.Add(name=name)
        case "flatten":
            return layers.Flatten(name=name)
        case "multiply" | "subtract" | "average" | "maximum":
            return getattr(layers, layer.kind.title())(name=name)
        case "permute":
            return layers.Permute(tuple(axis + 1 for axis in layer.dims), name=name)
        case "cropping2d":
            return layers.Cropping2D(layer.cropping, name=name)
        case "upsampling2d":
            return layers.UpSampling2D(layer.size, name=name)
        case "elementwise":
            return layers.Activation(layer.function, name=name)
        case "layer_normalization":
            return layers.LayerNormalization(epsilon=layer.epsilon, center=layer.center, scale=layer.scale, name=name)
        case "group_normalization":
            return layers.GroupNormalization(
                layer.groups, epsilon=layer.epsilon, center=layer.center, scale=layer.scale, name=name
            )
    raise AssertionError(f"no Keras layer for {layer.kind!r}")
