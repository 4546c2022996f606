"""Activations, preprocessing and heads in the forms in which people write them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tests.engine.code_of_tutorials import code


@code
def activation_is_a_layer_object() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation=layers.LeakyReLU(negative_slope=0.1)),
            layers.Conv2D(4, 3, activation=layers.ReLU(max_value=6)),
            layers.Flatten(),
            layers.Dense(8, activation=layers.PReLU()),
            layers.Dense(3, activation=layers.Softmax()),
        ]
    )


@code
def activation_is_a_function_of_ops() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation=ops.relu),
            layers.Conv2D(4, 3, activation=ops.silu),
            layers.Flatten(),
            layers.Dense(3, activation=ops.softmax),
        ]
    )


@code
def activation_is_a_function_of_tensorflow() -> Any:
    """``activation=tf.nn.relu``, as most of TensorFlow's tutorials have it."""
    tf = _tensorflow()
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation=tf.nn.relu),
            layers.Conv2D(4, 3, activation=tf.nn.relu6),
            layers.Conv2D(4, 3, activation=tf.nn.swish),
            layers.Conv2D(4, 2, activation=tf.tanh),
            layers.Flatten(),
            layers.Dense(3, activation=tf.nn.softmax),
        ]
    )


def _tensorflow() -> Any:
    import tensorflow

    return tensorflow


@code
def activation_of_a_persons_own() -> Any:
    def scaled_tanh(x: Any) -> Any:
        return 1.7159 * ops.tanh(x * (2 / 3))

    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation=scaled_tanh), layers.Flatten(), layers.Dense(3)]
    )


@code
def activation_is_a_lambda() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation=lambda x: ops.leaky_relu(x, negative_slope=0.01)),
            layers.Activation(lambda x: x * ops.sigmoid(1.5 * x)),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@code
def lambda_for_scaling() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Lambda(lambda x: (x - 127.5) / 127.5),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@code
def normalisation_by_mean_and_deviation() -> Any:
    mean, std = np.array([0.485, 0.456, 0.406], "float32"), np.array([0.229, 0.224, 0.225], "float32")
    inputs = keras.Input((8, 8, 3))
    x = (inputs / 255.0 - mean) / std
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(x))))


@code
def normalisation_that_was_adapted() -> Any:
    normalise = layers.Normalization()
    normalise.adapt(np.random.default_rng(0).normal(3, 2, (20, 8, 8, 3)).astype("float32"))
    return keras.Sequential(
        [keras.Input((8, 8, 3)), normalise, layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)]
    )


@code
def grey_made_colour() -> Any:
    """A network for colours that is given grey images, joined with themselves."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Concatenate()([inputs, inputs, inputs])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(x))))


@code
def cropped_by_slices() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs[:, 1:-1, 2:])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@code
def cropped_in_the_centre() -> Any:
    return keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            layers.CenterCrop(6, 6),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@code
def softmax_with_a_temperature() -> Any:
    inputs = keras.Input((8, 8, 3))
    logits = layers.Dense(3, name="logits")(layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs)))
    return keras.Model(inputs, ops.softmax(logits / 2.0))


@code
def spectral_normalisation() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.SpectralNormalization(layers.Conv2D(4, 3, activation="relu")),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@code
def dense_layers_shared_by_halves() -> Any:
    """One network for the left and the right half, as people compare eyes or ears."""
    inputs = keras.Input((8, 8, 3))
    inside = keras.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()])
    left, right = (
        inside(layers.Cropping2D(((0, 0), (0, 4)))(inputs)),
        inside(layers.Cropping2D(((0, 0), (4, 0)))(inputs)),
    )
    return keras.Model(inputs, layers.Dense(3)(ops.abs(left - right)))
