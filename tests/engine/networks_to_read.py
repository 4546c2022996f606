"""Real Keras models for the reader: every supported layer and every way of writing a graph down.

Each function of ``READABLE`` gives a whole classifier. Weights are random everywhere, moving statistics included, so
that a weight in the wrong place changes the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

L = keras.layers
SHAPE = (8, 8, 3)

READABLE: dict[str, Callable[[], Any]] = {}


def readable(make: Callable[[], Any]) -> Callable[[], Any]:
    READABLE[make.__name__] = make
    return make


def classifier(body: Callable[[Any], Any], *, shape: tuple[int, ...] = SHAPE, head: Any = None) -> Any:
    """``body`` between an image and a dense softmax head (or ``head``), random weights throughout."""
    image = keras.Input(shape)
    tensor = body(image)
    if len(tensor.shape) > 2:
        tensor = L.Flatten()(tensor)
    return randomised(keras.Model(image, (head or L.Dense(3, activation="softmax", name="classes"))(tensor)))


def randomised(model: Any, seed: int = 0) -> Any:
    """The model with every weight drawn again; variances stay positive."""
    random = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, (keras.Model, L.Normalization)):
            continue
        for variable in layer.weights:
            spread = 0.7 / np.sqrt(max(1, np.prod(variable.shape[:-1]))) if len(variable.shape) > 1 else 0.4
            values = random.normal(0, spread, size=variable.shape)
            variable.assign(np.abs(values) + 0.3 if "variance" in variable.name else values)
    return model


def chain(*layers: Any, shape: tuple[int, ...] = SHAPE, head: Any = None) -> Any:
    def body(tensor: Any) -> Any:
        for layer in layers:
            tensor = layer(tensor)
        return tensor

    return classifier(body, shape=shape, head=head)


def conv(filters: int = 4, **options: Any) -> Any:
    return L.Conv2D(filters, 3, **({"padding": "same", "activation": "relu"} | options))


# Convolutions and dense layers


@readable
def conv_valid() -> Any:
    return chain(conv(padding="valid"))


@readable
def conv_same_strides() -> Any:
    return chain(L.Conv2D(4, (3, 2), strides=(2, 3), padding="same", activation="relu"))


@readable
def conv_valid_strides() -> Any:
    return chain(conv(padding="valid", strides=2))


@readable
def conv_dilation() -> Any:
    return chain(conv(padding="valid", dilation_rate=(2, 3)), conv(dilation_rate=2))


@readable
def conv_groups() -> Any:
    return chain(conv(6), conv(4, groups=2))


@readable
def conv_without_bias() -> Any:
    return chain(conv(use_bias=False), conv())


@readable
def conv_one_by_one() -> Any:
    return chain(L.Conv2D(5, 1, activation="relu"))


@readable
def dense_on_a_map() -> Any:
    return chain(L.Dense(5, activation="relu"), conv())


@readable
def dense_without_bias() -> Any:
    return chain(L.Flatten(), L.Dense(7, use_bias=False, activation="relu"), L.Dense(5, activation="relu6"))


# Normalisation and activation


@readable
def batch_normalization() -> Any:
    return chain(conv(activation=None), L.BatchNormalization(epsilon=0.01), L.ReLU())


@readable
def batch_normalization_bare() -> Any:
    return chain(conv(activation=None), L.BatchNormalization(center=False, scale=False), L.ReLU())


@readable
def batch_normalization_without_scale() -> Any:
    return chain(conv(activation=None), L.BatchNormalization(scale=False), L.ReLU())


@readable
def batch_normalization_without_center() -> Any:
    return chain(conv(activation=None), L.BatchNormalization(center=False, axis=3), L.ReLU())


@readable
def batch_normalization_of_units() -> Any:
    return chain(L.Flatten(), L.Dense(6), L.BatchNormalization(), L.ReLU())


@readable
def batch_normalization_called_for_inference() -> Any:
    return classifier(lambda image: conv()(L.BatchNormalization()(image, training=False)))


@readable
def relu_layer_with_maximum() -> Any:
    return chain(conv(activation=None), L.ReLU(max_value=0.5))


@readable
def relu_as_activation_layer() -> Any:
    return chain(conv(activation=None), L.Activation("relu"), L.Dense(4), L.Activation("linear"), L.Activation("relu6"))


# Pooling


@readable
def max_pooling_overlapping() -> Any:
    return chain(conv(), L.MaxPooling2D(3, strides=2, padding="same"))


@readable
def max_pooling_valid() -> Any:
    return chain(conv(), L.MaxPooling2D((2, 3)))


@readable
def average_pooling_same() -> Any:
    return chain(conv(), L.AveragePooling2D(3, strides=2, padding="same"))


@readable
def average_pooling_valid() -> Any:
    return chain(conv(), L.AveragePooling2D(3))


@readable
def global_average_pooling() -> Any:
    return chain(conv(), L.GlobalAveragePooling2D())


@readable
def global_max_pooling_keepdims() -> Any:
    return chain(conv(), L.GlobalMaxPooling2D(keepdims=True))


# Shapes, merges, preprocessing


@readable
def zero_padding() -> Any:
    return chain(L.ZeroPadding2D(((1, 2), (0, 3))), conv(padding="valid"), L.ZeroPadding2D(1))


@readable
def reshape_with_unknown_extent() -> Any:
    return chain(conv(), L.Reshape((4, -1, 8)), conv(), L.Reshape((-1,)))


@readable
def reshape_to_rows() -> Any:
    return chain(conv(), L.Reshape((64, 4)), L.Dense(3, activation="relu"))


@readable
def add_three() -> Any:
    def body(image: Any) -> Any:
        x = conv(3)(image)
        return L.ReLU()(L.Add()([x, image, conv(3)(x)]))

    return classifier(body)


@readable
def add_twice_the_same() -> Any:
    def body(image: Any) -> Any:
        x = conv()(image)
        return L.Add()([x, x])

    return classifier(body)


@readable
def concatenate_channels() -> Any:
    def body(image: Any) -> Any:
        x = conv(4)(image)
        return conv()(L.Concatenate()([image, x, image]))

    return classifier(body)


@readable
def concatenate_rows() -> Any:
    def body(image: Any) -> Any:
        return conv()(L.Concatenate(axis=1)([conv(3)(image), image]))

    return classifier(body)


@readable
def concatenate_columns_by_negative_axis() -> Any:
    def body(image: Any) -> Any:
        return conv()(L.Concatenate(axis=-2)([image, conv(3)(image)]))

    return classifier(body)


@readable
def concatenate_units() -> Any:
    def body(image: Any) -> Any:
        x = L.Flatten()(image)
        return L.Concatenate(axis=1)([L.Dense(3, activation="relu")(x), L.Dense(4)(x)])

    return classifier(body)


@readable
def dropout_and_augmentation() -> Any:
    return chain(
        L.RandomFlip(), L.RandomContrast(0.5), L.GaussianNoise(0.5), conv(), L.SpatialDropout2D(0.5), L.Dropout(0.5)
    )


@readable
def rescaling() -> Any:
    return chain(L.Rescaling(1 / 127.5, offset=-1), conv())


@readable
def rescaling_by_channel() -> Any:
    return chain(L.Rescaling([0.5, 1.0, 2.0], offset=np.array([1.0, 0.0, -1.0])), conv())


@readable
def normalization_adapted() -> Any:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).integers(0, 9, size=(20, *SHAPE)).astype("float32"))
    return chain(layer, conv())


@readable
def normalization_of_one_number() -> Any:
    return chain(L.Normalization(axis=None, mean=3.0, variance=4.0), conv())


@readable
def normalization_given() -> Any:
    return chain(L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 9.0]), conv())


# Heads


@readable
def head_logits() -> Any:
    return chain(conv(), head=L.Dense(4))


@readable
def head_without_bias() -> Any:
    return chain(conv(), head=L.Dense(4, use_bias=False, activation="softmax"))


@readable
def head_softmax_layer() -> Any:
    return chain(conv(), L.Flatten(), head=keras.Sequential([L.Dense(4), L.Softmax()]))


@readable
def head_softmax_activation() -> Any:
    return chain(conv(), L.Flatten(), head=keras.Sequential([L.Dense(4), L.Activation("softmax")]))


@readable
def head_sigmoid() -> Any:
    return chain(conv(), head=L.Dense(1, activation="sigmoid"))


@readable
def head_sigmoid_layer() -> Any:
    return chain(conv(), L.Flatten(), head=keras.Sequential([L.Dense(1), L.Activation("sigmoid")]))


@readable
def a_hidden_layer_called_head() -> Any:
    return chain(L.Flatten(), L.Dense(3, activation="relu", name="head"), head=L.Dense(3, name="classes"))


@readable
def head_also_used_before() -> Any:
    head = L.Dense(4, name="head")
    return chain(L.Flatten(), L.Dense(4), head, L.ReLU(), head=head)


# Graphs


@readable
def sequential() -> Any:
    layers = [keras.Input(SHAPE), conv(), L.MaxPooling2D(), L.Flatten(), L.Dense(5, activation="relu"), L.Dense(3)]
    return randomised(keras.Sequential(layers))


@readable
def sequential_built_late() -> Any:
    model = keras.Sequential([conv(), L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")])
    model.build((None, *SHAPE))
    return randomised(model)


@readable
def sequential_in_sequential() -> Any:
    inner = keras.Sequential([conv(), L.MaxPooling2D()], name="inner")
    return randomised(keras.Sequential([keras.Input(SHAPE), inner, L.Flatten(), L.Dense(3)]))


@readable
def inputs_and_outputs_in_lists() -> Any:
    image = keras.Input(SHAPE)
    return randomised(keras.Model([image], [L.Dense(3)(L.Flatten()(conv()(image)))]))


@readable
def outputs_in_a_dictionary() -> Any:
    image = keras.Input(SHAPE)
    return randomised(keras.Model(image, {"classes": L.Dense(3)(L.Flatten()(conv()(image)))}))


def _block(name: str | None = None) -> Any:
    """A residual block as a model; 3 channels in and out."""
    image = keras.Input(SHAPE)
    x = L.BatchNormalization()(conv(3, activation=None)(image))
    return keras.Model(image, L.ReLU()(L.Add()([x, image])), name=name)


@readable
def functional_in_functional() -> Any:
    return chain(_block("block"), conv())


@readable
def functional_called_twice() -> Any:
    block = _block("block")
    return chain(block, block)


@readable
def functional_called_twice_side_by_side() -> Any:
    block = _block("block")
    return classifier(lambda image: L.Concatenate()([block(image), block(conv(3)(image))]))


@readable
def functional_in_functional_in_functional() -> Any:
    inner, image = _block("inner"), keras.Input(SHAPE)
    middle = keras.Model(image, inner(conv(3)(inner(image))), name="middle")
    return chain(middle, middle, conv(3))


@readable
def sequential_in_functional() -> Any:
    block = keras.Sequential([conv(3), L.BatchNormalization(), L.ReLU()], name="block")
    return chain(block, block)


@readable
def functional_in_sequential() -> Any:
    return randomised(keras.Sequential([keras.Input(SHAPE), _block(), L.Flatten(), L.Dense(3)]))


@readable
def a_nested_model_called_head() -> Any:
    units = keras.Input((6,))
    nested = keras.Model(units, L.Dense(6, activation="relu", name="head")(units), name="head")
    return chain(L.Flatten(), L.Dense(6, activation="relu"), nested)


@readable
def layer_called_twice_in_a_row() -> Any:
    shared = conv(3)
    return chain(shared, shared)


@readable
def layer_called_on_two_branches() -> Any:
    shared = conv(3)
    return classifier(lambda image: L.Add()([shared(image), shared(conv(3)(image))]))


@readable
def layer_called_in_two_models() -> Any:
    """Three calls of one layer: one in the outer model, two in an inner one."""
    shared, inside = conv(3, name="shared"), keras.Input(SHAPE)
    inner = keras.Model(inside, shared(L.MaxPooling2D(1)(shared(inside))), name="inner")
    return classifier(lambda image: inner(shared(image)))


@readable
def layer_with_calls_elsewhere() -> Any:
    """The layer's second and fourth call belong to models that are thrown away."""
    shared, other = conv(3, name="shared"), keras.Input(SHAPE)

    def body(image: Any) -> Any:
        x = shared(image)
        keras.Model(other, shared(other))
        x = shared(conv(3)(x))
        shared(other)
        return x

    return classifier(body)


@readable
def inner_model_taken_from_an_outer_one() -> Any:
    """A feature extractor: the first layers of another trained model."""
    image = keras.Input(SHAPE)
    middle = L.ReLU(name="middle")(conv(4, activation=None)(conv()(image)))
    outer = keras.Model(image, L.Dense(9)(L.Flatten()(middle)))
    return chain(keras.Model(outer.input, outer.get_layer("middle").output, name="extractor"), conv())


@readable
def inner_model_between_two_layers_of_an_outer_one() -> Any:
    """The inner model begins at a tensor in the middle of the outer one, and both run."""
    image = keras.Input(SHAPE)
    first, second, third = conv(3, name="first"), conv(3, name="second"), conv(3, name="third")
    start = first(image)
    inner = keras.Model(start, third(second(start)), name="inner")
    return randomised(keras.Model(image, L.Dense(3)(L.Flatten()(L.Add()([inner(second(start)), start])))))


@readable
def branches_that_lead_nowhere() -> Any:
    def body(image: Any) -> Any:
        L.LSTM(3)(L.Reshape((8, 24))(image))
        return conv()(image)

    return classifier(body)


@readable
def loaded_from_its_configuration() -> Any:
    return randomised(keras.Model.from_config(functional_in_functional_in_functional().get_config()))


@readable
def cloned() -> Any:
    return randomised(keras.models.clone_model(layer_called_on_two_branches()))


# Precision


def _in_policy(policy: str) -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return chain(L.Rescaling(0.1), conv(), L.BatchNormalization(), L.Flatten(), L.Dense(8, activation="relu"))
    finally:
        keras.config.set_dtype_policy(before)


@readable
def mixed_bfloat16() -> Any:
    return _in_policy("mixed_bfloat16")


@readable
def mixed_float16() -> Any:
    return _in_policy("mixed_float16")


@readable
def float16() -> Any:
    return _in_policy("float16")


@readable
def float64() -> Any:
    return _in_policy("float64")


@readable
def mixed_with_a_float32_head() -> Any:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return chain(conv(), L.Flatten(), head=L.Dense(3, activation="softmax", dtype="float32"))
    finally:
        keras.config.set_dtype_policy("float32")
