"""Keras classifiers of three classes on arrays that are no images: rows, flat images, maps, signals."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

L = keras.layers
SIGNAL = (12, 4)


def chain(shape: tuple[int, ...], *layers: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layers, L.Dense(3, activation="softmax")])


def tabular() -> keras.Model:
    """A table's columns, normalised by the network itself."""
    norm = L.Normalization(mean=[1.0, 2.0, 0.0, 3.0, 1.0], variance=[4.0, 1.0, 4.0, 1.0, 4.0])
    return chain((5,), norm, L.Dense(8), L.BatchNormalization(), L.ReLU(), L.Dropout(0.2), L.Dense(8, "relu"))


def graph_of_signals() -> keras.Model:
    """Merges, normalisations and joins around convolutions of a signal, an operation among them."""
    signal = keras.Input(SIGNAL)
    x = L.Add()([L.Conv1D(4, 3, padding="same")(signal), signal])
    x = L.GroupNormalization(2)(x)
    x = L.LayerNormalization(axis=2)(x)
    x = L.Concatenate()([x, signal])
    x = L.Conv1D(4, 3, activation="relu")(x) * 2.0 + 1.0
    x = L.Flatten()(L.Permute((2, 1))(x))
    return keras.Model(signal, L.Dense(3, activation="softmax")(x))


def head_of_a_convolution(*, alone: bool = False) -> keras.Model:
    """The classes' scores of every step, and their mean."""
    signal = keras.Input(SIGNAL)
    x = signal if alone else L.Conv1D(4, 3, activation="relu")(signal)
    return keras.Model(signal, L.Softmax()(L.GlobalAveragePooling1D()(L.Conv1D(3, 1)(x))))


def every_layer_of_signals() -> keras.Model:
    return chain(
        (24, 3),
        L.Conv1D(8, 5, padding="causal", dilation_rate=2, activation="relu"),
        L.MaxPooling1D(2),
        L.BatchNormalization(axis=2),
        L.SpatialDropout1D(0.1),
        L.Conv1D(8, 3, strides=2, padding="same", groups=2),
        L.LeakyReLU(),
        L.SeparableConv1D(6, 3, padding="same", activation="tanh"),
        L.UpSampling1D(2),
        L.ZeroPadding1D(2),
        L.Cropping1D((1, 2)),
        L.DepthwiseConv1D(3, depth_multiplier=2, activation="relu"),
        L.AveragePooling1D(2, padding="same"),
        L.GlobalMaxPooling1D(),
    )


class OwnConvolution(L.Conv1D):
    """A person's own class, whose call is read as what it does."""


class OwnDepthwise(L.DepthwiseConv1D):
    """Another."""


def operations_of_signals() -> keras.Model:
    signal = keras.Input(SIGNAL)
    x = ops.relu(ops.conv(signal, np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 4, 5), strides=2, padding="same"))
    x = ops.average_pool(ops.max_pool(x, 2, 1), 2, padding="same")
    x = ops.concatenate([ops.mean(x, axis=1), ops.squeeze(ops.max(x, axis=1, keepdims=True), axis=1)], axis=1)
    return keras.Model(signal, L.Dense(3, activation="softmax")(x))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "mlp": lambda: chain((10,), L.Dense(8, "relu"), L.Dense(8, "relu")),
    "flattens": lambda: chain((4, 5), L.Flatten(), L.Dense(8, "relu")),
    "no_hidden_layer": lambda: chain((6,)),
    "only_flattens": lambda: chain((3, 2), L.Flatten()),
    "tabular": tabular,
    "flat_image": lambda: chain((36,), L.Reshape((6, 6, 1)), L.Conv2D(4, 3, activation="relu"), L.Flatten()),
    "map_as_image": lambda: chain((6, 6), L.Reshape((6, 6, 1)), L.Conv2D(4, 3, activation="relu"), L.Flatten()),
    "signals": lambda: chain(SIGNAL, L.Conv1D(6, 3, activation="relu"), L.MaxPooling1D(2), L.Flatten()),
    "dense_on_steps": lambda: chain(SIGNAL, L.Conv1D(6, 3, activation="relu"), L.Dense(5, "relu"), L.Flatten()),
    "keeps_an_axis": lambda: chain(SIGNAL, L.Conv1D(6, 3), L.GlobalAveragePooling1D(keepdims=True), L.Flatten()),
    "every_layer_of_signals": every_layer_of_signals,
    "graph_of_signals": graph_of_signals,
    "own_layers": lambda: chain(
        SIGNAL, OwnConvolution(6, 3, strides=2, activation="relu"), OwnDepthwise(2), L.Flatten()
    ),
    "operations_of_signals": operations_of_signals,
    "head_of_a_convolution": head_of_a_convolution,
    "head_on_the_signal": lambda: head_of_a_convolution(alone=True),
}


def with_numbers(model: keras.Model, seed: int = 0, *, whole: bool = False) -> keras.Model:
    """The model with seeded weights; ``whole`` ones are small integers, so that sums in float32 are exact."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        is_variance = "variance" in variable.path
        if whole:
            values = random.choice([-2.0, -1.0, 0.0, 1.0, 2.0], variable.shape, p=[0.12, 0.23, 0.3, 0.23, 0.12])
        else:
            values = random.normal(scale=0.5, size=variable.shape)
        if str(variable.dtype) == "float32":
            variable.assign(1 + abs(values) if is_variance else values)
    return model
