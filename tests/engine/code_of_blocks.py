"""Blocks of papers, with layers of a person's own and operators on tensors."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tests.engine.code_of_tutorials import code


class StochasticDepth(layers.Layer):
    """As in Keras' examples: a path that is dropped in training only."""

    def __init__(self, drop_prob: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drop_prob = drop_prob
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, x: Any, training: bool | None = None) -> Any:
        if training:
            keep_prob = 1 - self.drop_prob
            shape = (ops.shape(x)[0], *(1,) * (len(x.shape) - 1))
            random = keep_prob + keras.random.uniform(shape, 0, 1, seed=self.seed_generator)
            return (x / keep_prob) * ops.floor(random)
        return x


class LayerScale(layers.Layer):
    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight(
            shape=(self.projection_dim,), initializer=keras.initializers.Constant(self.init_values), trainable=True
        )

    def call(self, x: Any) -> Any:
        return x * self.gamma


@code
def stochastic_depth_and_layer_scale() -> Any:
    inputs = keras.Input((8, 8, 4))
    y = layers.LayerNormalization(epsilon=1e-6)(layers.DepthwiseConv2D(3, padding="same")(inputs))
    y = layers.Dense(4)(layers.Activation("gelu")(layers.Dense(8)(y)))
    x = layers.Add()([inputs, StochasticDepth(0.1)(LayerScale(1e-2, 4)(y))])
    return keras.Model(inputs, layers.Dense(3)(layers.LayerNormalization()(layers.GlobalAveragePooling2D()(x))))


class ReZero(layers.Layer):
    """A residual with one learnt number."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = layers.Conv2D(4, 3, padding="same", activation="relu")
        self.scale = self.add_weight(shape=(), initializer="zeros", name="scale")

    def build(self, input_shape: Any) -> None:
        self.inside.build(input_shape)

    def call(self, x: Any) -> Any:
        return x + self.inside(x) * self.scale


@code
def residuals_with_a_learnt_number() -> Any:
    return keras.Sequential([keras.Input((8, 8, 4)), ReZero(), ReZero(), layers.Flatten(), layers.Dense(3)])


@code
def residual_with_a_factor() -> Any:
    """As in Inception-ResNet."""
    inputs = keras.Input((8, 8, 4))
    up = layers.Conv2D(4, 1)(layers.Conv2D(2, 3, padding="same", activation="relu")(inputs))
    x = layers.Activation("relu")(inputs + 0.17 * up)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@code
def highway() -> Any:
    inputs = keras.Input((8, 8, 4))
    gate = layers.Conv2D(4, 3, padding="same", activation="sigmoid")(inputs)
    other = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = gate * other + (1.0 - gate) * inputs
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@code
def maxout() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.maximum([layers.Conv2D(4, 3)(inputs), layers.Conv2D(4, 3)(inputs)])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@code
def gated_convolution() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="tanh")(inputs) * layers.Conv2D(4, 3, activation="sigmoid")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@code
def gated_linear_unit_by_split() -> Any:
    inputs = keras.Input((8, 8, 3))
    a, b = ops.split(layers.Conv2D(8, 3)(inputs), 2, axis=-1)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(a * ops.sigmoid(b))))


@code
def two_poolings_joined() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    x = layers.Dense(8, activation="relu")(layers.Dropout(0.25)(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.BatchNormalization()(x)))


@code
def sum_of_positions() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = ops.sum(layers.Conv2D(4, 3, activation="relu")(inputs), axis=(1, 2))
    return keras.Model(inputs, layers.Dense(3)(x))


@code
def pyramid_pooling() -> Any:
    """Poolings of several sizes, brought back to one size and joined."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    levels = [
        layers.UpSampling2D(size)(layers.Conv2D(2, 1, activation="relu")(layers.AveragePooling2D(size)(x)))
        for size in (2, 4, 8)
    ]
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Concatenate()([x, *levels]))))


@code
def atrous_pyramid() -> Any:
    """DeepLab's pyramid, with the pooled image brought back bilinearly."""
    inputs = keras.Input((8, 8, 4))
    pooled = layers.AveragePooling2D((8, 8))(inputs)
    pooled = layers.Conv2D(2, 1, activation="relu")(pooled)
    pooled = layers.UpSampling2D((8, 8), interpolation="bilinear")(pooled)
    rates = [layers.Conv2D(2, 3, dilation_rate=rate, padding="same", activation="relu")(inputs) for rate in (1, 2, 3)]
    x = layers.Conv2D(4, 1, activation="relu")(layers.Concatenate()([pooled, *rates]))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@code
def group_normalisation_and_weight_standardisation_off() -> Any:
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.GroupNormalization(groups=2)(layers.Conv2D(4, 3, use_bias=False)(inputs)))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


@code
def ghost_module() -> Any:
    inputs = keras.Input((8, 8, 3))
    primary = layers.ReLU()(layers.Conv2D(4, 1)(inputs))
    cheap = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(primary))
    x = layers.Concatenate()([primary, cheap])[..., :6]
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
