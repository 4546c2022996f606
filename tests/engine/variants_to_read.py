"""Real Keras models as people write them, beyond the kinds that are stored as they are: each of a few lines.

All of them are read by rewriting some layers or operations into others that compute the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tests.engine.networks_to_read import SHAPE, L, chain, classifier, conv, randomised

VARIANTS: dict[str, Callable[[], Any]] = {}

#: Activations by name that are no rectifiers.
FUNCTIONS = [
    "silu", "swish", "gelu", "tanh", "sigmoid", "elu", "selu", "celu", "softplus", "softsign", "mish", "exponential",
    "log_sigmoid", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "tanh_shrink", "squareplus", "leaky_relu",
]  # fmt: skip
#: Operations on one tensor, by their names in keras.ops.
OPERATIONS = [
    "relu", "relu6", "leaky_relu", "silu", "gelu_exact", "tanh", "sigmoid", "elu", "selu", "softplus", "softsign",
    "exp", "log_sigmoid", "hard_sigmoid", "hard_silu", "hard_tanh", "tanh_shrink", "abs", "square", "negative",
    "stop_gradient",
]  # fmt: skip


def variant(make: Callable[[], Any]) -> Callable[[], Any]:
    VARIANTS[make.__name__] = make
    return make


for _name in FUNCTIONS:
    VARIANTS[f"conv_{_name}"] = lambda name=_name: chain(conv(activation=name))
    VARIANTS[f"layer_{_name}"] = lambda name=_name: chain(conv(), L.Dense(4, activation=None), L.Activation(name))
for _name in OPERATIONS:
    VARIANTS[f"ops_{_name}"] = lambda name=_name: classifier(lambda image: _applied(name, conv(activation=None)(image)))


def _applied(name: str, tensor: Any) -> Any:
    return ops.gelu(tensor, approximate=False) if name == "gelu_exact" else getattr(ops, name)(tensor)


VARIANTS |= {
    "relu_with_a_slope": lambda: chain(conv(activation=None), L.ReLU(negative_slope=0.3)),
    "relu_with_a_slope_and_maximum": lambda: chain(conv(activation=None), L.ReLU(negative_slope=0.25, max_value=1.5)),
    "leaky_relu_layer": lambda: chain(conv(activation=None), L.LeakyReLU(negative_slope=0.1)),
    "prelu_shared": lambda: chain(conv(activation=None), L.PReLU(shared_axes=[1, 2])),
    "prelu_of_units": lambda: chain(conv(), L.Flatten(), L.Dense(5), L.PReLU()),
    "elu_layer": lambda: chain(conv(activation=None), L.ELU(alpha=0.4)),
    "activation_function_called": lambda: classifier(lambda x: keras.activations.relu(conv(activation=None)(x))),
    "activation_function_with_maximum": lambda: classifier(
        lambda x: keras.activations.relu(conv(activation=None)(x), max_value=2.0)
    ),
    "depthwise": lambda: chain(L.DepthwiseConv2D(3, activation="relu"), conv()),
    "depthwise_many": lambda: chain(L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False), conv()),
    "depthwise_strided": lambda: chain(conv(), L.DepthwiseConv2D((3, 2), strides=2, padding="same")),
    "depthwise_dilated": lambda: chain(conv(), L.DepthwiseConv2D(2, dilation_rate=2, activation="silu")),
    "separable": lambda: chain(L.SeparableConv2D(4, 3, padding="same", activation="relu")),
    "separable_many": lambda: chain(L.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, activation="tanh"), conv()),
    "layer_normalization": lambda: chain(conv(), L.LayerNormalization()),
    "layer_normalization_bare": lambda: chain(conv(), L.LayerNormalization(center=False, scale=False)),
    "group_normalization": lambda: chain(conv(4), L.GroupNormalization(2)),
    "instance_normalization": lambda: chain(conv(4), L.GroupNormalization(-1)),
    "multiply": lambda: classifier(lambda x: L.Multiply()([conv()(x), conv(activation="sigmoid")(x)])),
    "subtract": lambda: classifier(lambda x: L.Subtract()([conv()(x), conv()(x)])),
    "average": lambda: classifier(lambda x: L.Average()([conv()(x), conv()(x), conv()(x)])),
    "maximum": lambda: classifier(lambda x: L.Maximum()([conv()(x), conv()(x)])),
    "minimum": lambda: classifier(lambda x: L.Minimum()([conv()(x), conv()(x)])),
    "add_repeated": lambda: classifier(lambda x: L.Add()([conv()(x), L.Conv2D(1, 1)(x)])),
    "cropping": lambda: chain(conv(), L.Cropping2D(((1, 0), (2, 1)))),
    "upsampling": lambda: chain(conv(), L.UpSampling2D((2, 1))),
    "permute": lambda: chain(conv(), L.Permute((3, 1, 2)), conv()),
    "identity_layer": lambda: chain(conv(), L.Identity()),
    "resizing_to_the_same": lambda: chain(L.Resizing(8, 8), conv()),
    "scale_inside": lambda: classifier(lambda x: conv()(x / 127.5 - 1.0)),
    "scale_from_the_left": lambda: classifier(lambda x: conv()(1.0 - 0.5 * x)),
    "scale_by_channel": lambda: classifier(
        lambda x: conv()((x - np.array([1, 2, 3], "float32")) / np.array([2, 3, 4], "float32"))
    ),
    "scale_of_many_channels": lambda: classifier(
        lambda x: conv(80)(x) * np.linspace(-1, 2, 80).astype("float32") + np.linspace(0, 1, 80).astype("float32")
    ),
    "sum_by_operator": lambda: classifier(lambda x: conv()(x) + conv()(x)),
    "product_by_operator": lambda: classifier(lambda x: conv()(x) * conv(activation="sigmoid")(x)),
    "difference_by_operator": lambda: classifier(lambda x: conv()(x) - conv()(x)),
    "square_by_operator": lambda: classifier(lambda x: conv()(x) ** 2),
    "concatenate_operation": lambda: classifier(lambda x: ops.concatenate([conv()(x), x], axis=-1)),
    "reshape_operation": lambda: classifier(lambda x: ops.reshape(conv()(x), (-1, 256))),
    "transpose_operation": lambda: classifier(lambda x: conv()(ops.transpose(conv()(x), (0, 2, 3, 1)))),
    "mean_operation": lambda: classifier(lambda x: ops.mean(conv()(x), axis=(1, 2))),
    "max_operation": lambda: classifier(lambda x: ops.squeeze(ops.max(conv()(x), axis=(1, 2), keepdims=True), (1, 2))),
    "pool_operations": lambda: classifier(lambda x: ops.average_pool(ops.max_pool(conv()(x), 2), 2, padding="same")),
    "pad_operation": lambda: classifier(lambda x: conv(padding="valid")(ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]))),
    "clip_operation": lambda: classifier(lambda x: ops.clip(conv(activation=None)(x), 0, 6)),
    "maximum_with_zero": lambda: classifier(lambda x: ops.maximum(conv(activation=None)(x), 0)),
    "channels_turned_around": lambda: classifier(lambda x: conv()(x[..., ::-1])),
    "channels_flipped": lambda: classifier(lambda x: conv()(ops.flip(x, axis=-1))),
    "expanded": lambda: classifier(lambda x: L.Flatten()(ops.expand_dims(ops.mean(conv()(x), axis=(1, 2)), 1))),
    "preprocess_caffe": lambda: classifier(lambda x: conv()(keras.applications.resnet50.preprocess_input(x))),
    "preprocess_tf": lambda: classifier(lambda x: conv()(keras.applications.mobilenet.preprocess_input(x))),
    "preprocess_torch": lambda: classifier(lambda x: conv()(keras.applications.densenet.preprocess_input(x))),
    "lambda_layer": lambda: chain(L.Lambda(lambda x: x / 127.5 - 1.0), conv()),
    "flat_lenet": lambda: chain(
        L.Conv2D(6, 3, activation="tanh"), L.AveragePooling2D(2), L.Flatten(), L.Dense(10, activation="tanh")
    ),
    "more_augmentation": lambda: chain(
        L.RandomFlip(), L.RandomShear(0.2), L.RandomErasing(), L.AlphaDropout(0.2), L.GaussianNoise(0.1), conv()
    ),
}


@variant
def squeeze_and_excite() -> Any:
    def body(image: Any) -> Any:
        x = conv(8)(image)
        gate = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
        gate = L.Conv2D(8, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="swish")(gate))
        return L.multiply([x, gate])

    return classifier(body)


@variant
def inverted_residual() -> Any:
    def body(image: Any) -> Any:
        x = L.Conv2D(12, 1, use_bias=False)(image)
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
        x = L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
        return L.Add()([image, L.BatchNormalization()(L.Conv2D(3, 1, use_bias=False)(x))])

    return classifier(body)


@variant
def convnext_block() -> Any:
    def body(image: Any) -> Any:
        x = L.Conv2D(8, 2, strides=2)(image)
        y = L.LayerNormalization(epsilon=1e-6)(L.Conv2D(8, 3, padding="same", groups=8)(x))
        return x + 0.5 * L.Dense(8)(L.Dense(16, activation="gelu")(y))

    return classifier(body)


@variant
def head_of_one_by_one_convolutions() -> Any:
    image = keras.Input(SHAPE)
    x = L.GlobalAveragePooling2D(keepdims=True)(conv(6)(image))
    x = L.Reshape((3,))(L.Conv2D(3, 1)(L.Dropout(0.2)(x)))
    return randomised(keras.Model(image, L.Activation("softmax")(x)))


@variant
def head_before_pooling() -> Any:
    image = keras.Input(SHAPE)
    return randomised(keras.Model(image, L.Softmax()(L.GlobalAveragePooling2D()(L.Conv2D(3, 1)(conv(6)(image))))))


@variant
def head_by_operation() -> Any:
    image = keras.Input(SHAPE)
    return randomised(keras.Model(image, ops.softmax(L.Dense(3)(L.Flatten()(conv()(image))))))


@variant
def head_of_one_logit() -> Any:
    return chain(conv(), head=L.Dense(1, name="score"))


class OwnLayer(L.Layer):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inside = L.Conv2D(3, 3, padding="same")

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(3,), name="gain")
        self.inside.build(shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return inputs + ops.relu(self.inside(inputs)) * self.gain


class OwnConv2D(L.Conv2D):
    def call(self, inputs: Any) -> Any:
        return super().call(inputs) * 2.0


class OwnModel(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.first, self.block, self.last = conv(), OwnLayer(), L.Dense(3)

    def call(self, images: Any, training: bool = False) -> Any:
        return self.last(L.Flatten()(self.first(self.block(images, training=training))))


@variant
def layer_of_ones_own() -> Any:
    return chain(OwnLayer(), OwnLayer(), conv())


@variant
def layer_derived_from_keras() -> Any:
    return chain(OwnConv2D(4, 3, activation="relu"))


@variant
def model_of_ones_own() -> Any:
    model = OwnModel(name="mine")
    model(np.zeros((1, *SHAPE), "float32"))
    return randomised(model)


@variant
def model_of_ones_own_inside() -> Any:
    return chain(OwnInside(), conv())


class OwnInside(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.layer = conv(5)

    def call(self, images: Any) -> Any:
        return self.layer(images) / 2.0
