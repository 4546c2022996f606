"""What people write and modhub does not read, with what they are told about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops


def _after(layer: Any, *shape: int, dense: bool = True) -> Callable[[], Any]:
    def make() -> Any:
        inputs = keras.Input(shape or (8, 8, 3))
        x = layer()(inputs)
        return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)) if dense else x)

    return make


def shuffled_channels() -> Any:
    """ShuffleNet's unit: the channels of two groups are dealt like cards."""
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 1, groups=2, activation="relu")(inputs)
    x = layers.Reshape((8, 8, 2, 2))(x)
    x = layers.Permute((1, 2, 4, 3))(x)
    x = layers.Reshape((8, 8, 4))(x)
    x = layers.add([layers.DepthwiseConv2D(3, padding="same")(x), inputs])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))


def vision_transformer() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 2, strides=2)(inputs))
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([layers.MultiHeadAttention(num_heads=2, key_dim=4)(y, y), x])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def image_and_numbers() -> Any:
    image, numbers = keras.Input((8, 8, 3)), keras.Input((4,))
    x = layers.Concatenate()([layers.Flatten()(layers.Conv2D(4, 3)(image)), numbers])
    return keras.Model([image, numbers], layers.Dense(3)(x))


def two_tasks() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs))
    return keras.Model(inputs, {"kind": layers.Dense(3)(x), "age": layers.Dense(1)(x)})


def many_labels() -> Any:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, layers.Dense(5, activation="sigmoid")(layers.Flatten()(inputs)))


def unit_length_before_the_head() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.UnitNormalization()(x)))


def resized_inside() -> Any:
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(layers.Resizing(8, 8)(inputs)))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def upsampled_bilinearly() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(layers.UpSampling2D(2, interpolation="bilinear")(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


BEYOND: dict[str, tuple[Callable[[], Any], list[str], str]] = {
    "vision_transformer": (
        vision_transformer,
        ["(MultiHeadAttention)"],
        "supported are",
    ),
    "shuffled_channels": (
        shuffled_channels,
        ["2 layers are in the way", "(Reshape) is beyond what modhub stores", "(Permute) is beyond"],
        "supported are",
    ),
    "image_and_numbers": (image_and_numbers, ["has 2 inputs and 1 outputs"], "keras.Model("),
    "two_tasks": (two_tasks, ["has 1 inputs and 2 outputs"], "keras.Model("),
    "many_labels": (many_labels, ["has 5 sigmoids: multi-label"], "softmax"),
    "unit_length_before_the_head": (unit_length_before_the_head, ["(UnitNormalization)"], "supported are"),
    "resized_inside": (resized_inside, ["makes images of (16, 16) ones of (8, 8)"], "resize images before the model"),
    "upsampled_bilinearly": (upsampled_bilinearly, ["interpolates 'bilinear'"], "interpolation='nearest'"),
    "transposed_convolution": (_after(lambda: layers.Conv2DTranspose(3, 2)), ["(Conv2DTranspose)"], "supported are"),
    "recurrent_convolution": (
        _after(lambda: layers.ConvLSTM2D(2, 3), 4, 8, 8, 3),
        ["takes inputs of shape (4, 8, 8, 3)"],
        "Input",
    ),
    "volume": (_after(lambda: layers.Conv3D(2, 3), 8, 8, 8, 1), ["takes inputs of shape (8, 8, 8, 1)"], "Input"),
    "sine_as_activation": (_after(lambda: layers.Lambda(ops.sin)), ["(Sin)"], "supported are"),
}
