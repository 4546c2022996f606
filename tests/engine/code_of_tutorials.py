"""Whole networks as tutorials have them, small: sequential, functional and subclassed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tests.engine.networks_to_read import randomised

CODE: dict[str, Callable[[], Any]] = {}


def code(make: Callable[[], Any]) -> Callable[[], Any]:
    CODE[make.__name__] = lambda: randomised(called(make()))
    return make


def called(model: Any) -> Any:
    """The model after it answered once, as in training: only that builds some activations."""
    if hasattr(model, "input_shape"):
        model(np.zeros((1, *model.input_shape[1:]), "float32"))
    return model


@code
def mnist_convnet() -> Any:
    """Keras' first example."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


@code
def cifar_cnn_with_logits() -> Any:
    """TensorFlow's tutorial on convolutional networks."""
    model = keras.models.Sequential()
    model.add(layers.Conv2D(8, (3, 3), activation="relu", input_shape=(16, 16, 3)))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(8, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(8, activation="relu"))
    model.add(layers.Dense(10))
    return model


@code
def flowers_with_augmentation() -> Any:
    """TensorFlow's tutorial on image classification."""
    augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal", input_shape=(16, 16, 3)),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
        ]
    )
    return keras.Sequential(
        [
            augmentation,
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(5, name="outputs"),
        ]
    )


@code
def image_classification_from_scratch() -> Any:
    """Keras' example: a small Xception with residuals and one logit."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous = x
    for size in [12, 16]:
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous)
        x = layers.add([x, residual])
        previous = x
    x = layers.SeparableConv2D(16, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.25)(x)
    return keras.Model(inputs, layers.Dense(1, activation=None)(x))


def _base(*shape: int) -> Any:
    return keras.applications.MobileNetV2(alpha=0.35, input_shape=shape, include_top=False, weights=None)


def _small_base(*shape: int) -> Any:
    """One inverted residual of MobileNetV2, where it is the code around a base that is tried."""
    inputs = keras.Input(shape)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(8, 3, 2, padding="same", use_bias=False)(inputs)))
    y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(24, 1, use_bias=False)(x)))
    y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
    return keras.Model(inputs, layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(8, 1)(y))]))


@code
def transfer_learning_of_tensorflow() -> Any:
    """The official tutorial: augmentation, preprocess_input, a frozen MobileNetV2, a sigmoid."""
    base_model = _base(32, 32, 3)
    base_model.trainable = False
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    inputs = keras.Input(shape=(32, 32, 3))
    x = augmentation(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


@code
def transfer_learning_of_keras() -> Any:
    """The guide's: a Rescaling layer with an offset in front of a frozen base."""
    base_model = _small_base(32, 32, 3)
    inputs = keras.Input(shape=(32, 32, 3))
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(layers.RandomFlip("horizontal")(inputs))
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(x)))


@code
def sequential_around_a_base() -> Any:
    return keras.Sequential(
        [
            _small_base(32, 32, 3),
            layers.GlobalAveragePooling2D(),
            layers.BatchNormalization(),
            layers.Dropout(0.2, name="top_dropout"),
            layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.l2(0.01)),
            layers.Dense(5, activation="softmax", name="pred"),
        ]
    )


@code
def base_whose_output_is_used_directly() -> Any:
    base = _small_base(32, 32, 3)
    x = layers.Flatten()(base.output)
    return keras.Model(inputs=base.input, outputs=layers.Dense(4, activation="softmax")(x))


@code
def feature_extractor_of_an_inner_layer() -> Any:
    base = _base(32, 32, 3)
    inner = keras.Model(base.input, base.get_layer("block_3_expand_relu").output)
    return keras.Sequential([inner, layers.GlobalMaxPooling2D(), layers.Dense(4)])


@code
def functional_api_guide_toy_resnet() -> Any:
    inputs = keras.Input(shape=(16, 16, 3), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    block_1_output = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(block_1_output)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    block_2_output = layers.add([x, block_1_output])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(block_2_output))
    x = layers.Dropout(0.5)(layers.Dense(16, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="toy_resnet")


@code
def quickstart_for_experts() -> Any:
    """TensorFlow's subclassed model."""

    class MyModel(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = layers.Conv2D(4, 3, activation="relu")
            self.flatten = layers.Flatten()
            self.d1 = layers.Dense(8, activation="relu")
            self.d2 = layers.Dense(10)

        def call(self, x: Any) -> Any:
            return self.d2(self.d1(self.flatten(self.conv1(x))))

    model = MyModel()
    model(np.zeros((1, 10, 10, 1), "float32"))
    return model


class ResnetIdentityBlock(keras.Model):
    """As in TensorFlow's guide on layers: a block that is a model."""

    def __init__(self, kernel_size: int, filters: tuple[int, int, int]) -> None:
        super().__init__(name="")
        filters1, filters2, filters3 = filters
        self.conv2a = layers.Conv2D(filters1, (1, 1))
        self.bn2a = layers.BatchNormalization()
        self.conv2b = layers.Conv2D(filters2, kernel_size, padding="same")
        self.bn2b = layers.BatchNormalization()
        self.conv2c = layers.Conv2D(filters3, (1, 1))
        self.bn2c = layers.BatchNormalization()

    def call(self, input_tensor: Any, training: bool = False) -> Any:
        x = ops.relu(self.bn2a(self.conv2a(input_tensor), training=training))
        x = ops.relu(self.bn2b(self.conv2b(x), training=training))
        x = self.bn2c(self.conv2c(x), training=training)
        x += input_tensor
        return ops.relu(x)


@code
def resnet_identity_blocks() -> Any:
    return keras.Sequential(
        [keras.Input((8, 8, 3)), ResnetIdentityBlock(3, (2, 4, 3)), layers.GlobalAveragePooling2D(), layers.Dense(4)]
    )


@code
def built_by_a_call_to_build() -> Any:
    model = keras.Sequential([layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)])
    model.build((None, 8, 8, 1))
    return model


@code
def last_layers_popped_and_replaced() -> Any:
    model = mnist_convnet()
    model.pop()
    model.add(layers.Dense(4, activation="softmax", name="new_head"))
    return model


@code
def mixed_precision() -> Any:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((8, 8, 3))
        x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(inputs))
        return keras.Model(inputs, layers.Activation("softmax", dtype="float32")(layers.Dense(4)(x)))
    finally:
        keras.mixed_precision.set_global_policy("float32")
