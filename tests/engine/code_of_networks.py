"""Well-known networks, small, as people write them down."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tests.engine.code_of_tutorials import code


@code
def lenet_5() -> Any:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(20, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )


@code
def alexnet_with_batch_normalisation() -> Any:
    model = keras.Sequential([keras.Input((35, 35, 3))])
    model.add(layers.Conv2D(8, (11, 11), strides=(4, 4), activation="relu"))
    model.add(layers.BatchNormalization())
    model.add(layers.MaxPool2D((3, 3), strides=(2, 2)))
    model.add(layers.ZeroPadding2D(2))
    model.add(layers.Conv2D(8, (5, 5), groups=2, activation="relu"))
    model.add(layers.BatchNormalization())
    model.add(layers.Flatten())
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(5, activation="softmax"))
    return model


@code
def vgg_block() -> Any:
    model = keras.Sequential([keras.Input((16, 16, 3))])
    for filters, count in [(4, 2), (8, 2)]:
        for _ in range(count):
            model.add(layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_uniform"))
            model.add(layers.Activation("relu"))
            model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D(2))
        model.add(layers.Dropout(0.3))
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    return model


@code
def fire_modules_of_squeezenet() -> Any:
    def fire(x: Any, squeeze: int, expand: int) -> Any:
        x = layers.Conv2D(squeeze, 1, activation="relu")(x)
        left = layers.Conv2D(expand, 1, activation="relu")(x)
        right = layers.Conv2D(expand, 3, padding="same", activation="relu")(x)
        return layers.concatenate([left, right], axis=3)

    inputs = keras.Input((16, 16, 3))
    x = layers.MaxPooling2D(3, strides=2)(layers.Conv2D(8, 3, strides=2, activation="relu")(inputs))
    x = layers.Dropout(0.5)(fire(fire(x, 2, 4), 2, 4))
    x = layers.Activation("relu")(layers.Conv2D(8, 1)(x))
    x = layers.Conv2D(5, 1)(x)
    return keras.Model(inputs, layers.Activation("softmax")(layers.GlobalAveragePooling2D()(x)))


@code
def inception_module() -> Any:
    inputs = keras.Input((8, 8, 3))
    a = layers.Conv2D(2, 1, padding="same", activation="relu")(inputs)
    b = layers.Conv2D(2, 3, padding="same", activation="relu")(layers.Conv2D(2, 1, activation="relu")(inputs))
    c = layers.Conv2D(2, 5, padding="same", activation="relu")(layers.Conv2D(1, 1, activation="relu")(inputs))
    d = layers.Conv2D(2, 1, activation="relu")(layers.MaxPooling2D(3, strides=1, padding="same")(inputs))
    x = layers.AveragePooling2D(8)(layers.concatenate([a, b, c, d]))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))


@code
def dense_block_and_transition() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    for _ in range(2):
        y = layers.Activation("relu")(layers.BatchNormalization(epsilon=1.001e-5)(x))
        x = layers.Concatenate()([x, layers.Conv2D(3, 3, padding="same", use_bias=False)(y)])
    x = layers.AveragePooling2D(2, strides=2)(layers.Conv2D(5, 1)(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


@code
def preactivated_resnet() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    for strides in (1, 2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        shortcut = layers.Conv2D(4, 1, strides=strides)(y) if strides > 1 else x
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, strides=strides, padding="same")(y)))
        x = layers.Add()([shortcut, layers.Conv2D(4, 3, padding="same")(y)])
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


@code
def resnext_block() -> Any:
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 1, activation="relu")(inputs)
    x = layers.Conv2D(8, 3, padding="same", groups=4, activation="relu")(x)
    x = layers.ReLU()(inputs + layers.Conv2D(4, 1)(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@code
def hard_swish_of_mobilenet_v3() -> Any:
    def hard_sigmoid(x: Any) -> Any:
        return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)

    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.Multiply()([x, hard_sigmoid(x)])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = hard_sigmoid(layers.Conv2D(8, 1)(layers.ReLU()(layers.Conv2D(2, 1)(gate))))
    x = layers.Multiply()([x, gate])
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


@code
def swish_by_hand() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(inputs)
    x = x * keras.activations.sigmoid(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@code
def mish_by_hand() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(inputs)
    x = x * ops.tanh(ops.softplus(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@code
def squeeze_and_excitation_with_dense() -> Any:
    inputs = keras.Input((8, 8, 4))
    se = layers.GlobalAveragePooling2D()(inputs)
    se = layers.Reshape((1, 1, 4))(se)
    se = layers.Dense(2, activation="relu", use_bias=False)(se)
    se = layers.Dense(4, activation="sigmoid", use_bias=False)(se)
    x = layers.multiply([inputs, se])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.ReLU()(x))))


@code
def channel_attention_of_cbam() -> Any:
    inputs = keras.Input((8, 8, 4))
    shared = keras.Sequential([layers.Dense(2, activation="relu"), layers.Dense(4)])
    average = shared(layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(inputs)))
    largest = shared(layers.Reshape((1, 1, 4))(layers.GlobalMaxPooling2D()(inputs)))
    x = layers.multiply([inputs, layers.Activation("sigmoid")(layers.add([average, largest]))])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.ReLU()(x))))


@code
def spatial_attention_of_cbam() -> Any:
    inputs = keras.Input((8, 8, 4))
    average = ops.mean(inputs, axis=-1, keepdims=True)
    largest = ops.max(inputs, axis=-1, keepdims=True)
    gate = layers.Conv2D(1, 7, padding="same", activation="sigmoid", use_bias=False)(
        layers.Concatenate()([average, largest])
    )
    x = layers.Multiply()([inputs, gate])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))


@code
def convmixer() -> Any:
    """Keras' example of the paper "Patches are all you need?"."""

    def activation_block(x: Any) -> Any:
        return layers.BatchNormalization()(layers.Activation("gelu")(x))

    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = activation_block(layers.Conv2D(6, kernel_size=2, strides=2)(x))
    for _ in range(2):
        x0 = x
        x = layers.DepthwiseConv2D(kernel_size=3, padding="same")(x)
        x = layers.Add()([activation_block(x), x0])
        x = activation_block(layers.Conv2D(6, kernel_size=1)(x))
    x = layers.GlobalAvgPool2D()(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))
