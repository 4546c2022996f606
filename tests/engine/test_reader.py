"""Reading Keras models: what is read computes what the model computes; what cannot be read is named."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from modhub.engine.read.check import check_reading, check_weights_finite, logits_of
from modhub.engine.read.reader import read_model
from modhub.errors import UnsupportedModel
from modhub.package.module import Origin
from modhub.spec import architecture as arch
from modhub.spec.contract import contract_of
from tests.engine.networks_to_read import READABLE, SHAPE, L, chain, classifier, conv, randomised
from tests.engine.variants_to_read import VARIANTS

IMAGES = np.random.default_rng(0).integers(0, 9, size=(6, *SHAPE)).astype(np.uint8)


def origin_of(model, images=IMAGES):
    reading = read_model(model)
    architecture, weights = reading.architecture, reading.weights
    classes = tuple(f"class {k}" for k in range(len(weights["head/bias"])))
    contract = contract_of(images, rescale=1.0, mean=None, std=None)
    return Origin("test", "net", classes, architecture, weights, contract, "sha256:" + "0" * 64)


def answers(origin, images=IMAGES):
    """What the rebuilt network says, squashed as the head does."""
    logits = logits_of(origin, origin.contract, images, 4).astype(np.float64)
    if origin.architecture.head == "logits":
        # One logit z is stored as the pair (0, z).
        return logits if logits[:, 0].any() else logits[:, 1:]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    return probabilities[:, 1:] if origin.architecture.head == "sigmoid" else probabilities


# What is read computes the same


ALL = READABLE | VARIANTS


@pytest.mark.parametrize("name", ALL)
def test_what_is_read_answers_as_the_model_does(name):
    model = ALL[name]()
    origin = origin_of(model)
    expected = keras.tree.flatten(model.predict_on_batch(IMAGES.astype("float32")))[0].astype(np.float64)
    exact = all(layer.compute_dtype in ("float32", "float64") for layer in model._flatten_layers())
    tolerance = 1e-5 if exact else 2e-2
    np.testing.assert_allclose(answers(origin), expected, rtol=tolerance, atol=tolerance * max(1, abs(expected).max()))
    assert np.ptp(expected, axis=0).max() > 1e-3, "these images do not distinguish the model's weights"
    check_reading(model, origin, IMAGES)
    assert all(value.dtype == np.float32 for value in origin.weights.values())


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("sequential_in_functional", ["block:0/conv2d:0", "block:1/conv2d:0"]),
        ("functional_called_twice", ["block:0/conv2d:0", "block:1/conv2d:0"]),
        ("layer_called_twice_in_a_row", ["conv2d:0", "conv2d:1"]),
        ("layer_called_in_two_models", ["shared:0", "inner:0/shared:0", "inner:0/shared:1"]),
        ("layer_with_calls_elsewhere", ["shared:0", "shared:1"]),
    ],
)
def test_every_call_of_a_layer_has_a_path_and_all_share_one_layer(name, ids):
    keras.backend.clear_session()
    reading = read_model(READABLE[name]())
    architecture, weights = reading.architecture, reading.weights
    calls = {call.id: call.layer for call in architecture.calls}
    assert set(ids) <= set(calls)
    layers = {calls[path] for path in ids}
    assert len(layers) == 1
    assert f"{layers.pop()}/kernel" in weights


def test_only_what_leads_to_the_features_is_read():
    architecture = read_model(READABLE["branches_that_lead_nowhere"]()).architecture
    assert [layer.kind for layer in architecture.layers.values()] == ["conv2d", "flatten"]


def test_the_table_of_kinds_is_covered():
    kinds = {layer.kind for make in READABLE.values() for layer in read_model(make()).architecture.layers.values()}
    assert kinds == {
        "conv2d", "dense", "batch_normalization", "relu", "max_pooling2d", "average_pooling2d", "global_max_pooling2d",
        "global_average_pooling2d", "add", "concatenate", "flatten", "reshape", "identity", "rescaling",
        "normalization", "zero_padding2d",
    }  # fmt: skip


def test_what_is_read_is_data_that_survives_json():
    architecture = read_model(READABLE["functional_in_functional_in_functional"]()).architecture
    assert arch.Architecture.model_validate_json(architecture.model_dump_json()) == architecture


def test_a_model_keeps_its_answers_through_keras_own_files(tmp_path):
    model = READABLE["functional_called_twice"]()
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(answers(origin_of(loaded)), answers(origin_of(model)), rtol=1e-6)


# Refusals: models that are no image classifiers


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = L.Dense(3)

    def call(self, images):
        return self.dense(images)


class Numeric(L.Layer):
    """A layer that leaves Keras' operations: there is no graph to follow."""

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def call(self, inputs):
        return keras.ops.convert_to_tensor(np.sin(keras.ops.convert_to_numpy(inputs)))


class OverriddenCall(keras.Model):
    def call(self, images, training=None, mask=None):
        return super().call(images) * 2


def two_inputs():
    one, other = keras.Input(SHAPE), keras.Input(SHAPE)
    return keras.Model([one, other], L.Dense(3)(L.Flatten()(L.Add()([conv()(one), conv()(other)]))), name="twins")


def two_outputs():
    image = keras.Input(SHAPE)
    x = L.Flatten()(conv()(image))
    return keras.Model(image, [L.Dense(3)(x), L.Dense(2)(x)], name="forked")


def inner_with_two_outputs():
    image, inside = keras.Input(SHAPE), keras.Input(SHAPE)
    inner = keras.Model(inside, [conv(2)(inside), conv(2)(inside)], name="inner")
    return keras.Model(image, L.Dense(3)(L.Flatten()(L.Add()(inner(image)))))


def any_size():
    image = keras.Input((None, None, 3))
    return keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(conv()(image))), name="any")


def unbuilt():
    return keras.Sequential([conv(), L.Flatten(), L.Dense(3)], name="late")


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: "net.keras", "not-a-model", "expected a keras.Model, got str. Hint: load it first: keras.models"),
        (lambda: L.Dense(3), "not-a-model", "expected a keras.Model, got Dense."),
        (lambda: Subclassed(name="mine"), "no-graph", "the model 'mine' is a Subclassed that has not been called yet"),
        (
            lambda: chain(Numeric(name="mine"), conv()),
            "no-graph",
            "the layer 'mine' is a Numeric, whose call is no graph",
        ),
        (unbuilt, "no-graph", "the model 'late' has not been built. Hint: give it an Input layer."),
        (two_inputs, "not-a-classifier", "the model 'twins' has 2 inputs and 1 outputs; modhub takes one image"),
        (two_outputs, "not-a-classifier", "the model 'forked' has 1 inputs and 2 outputs"),
        (inner_with_two_outputs, "not-a-classifier", "the model 'inner' has 1 inputs and 2 outputs"),
        (any_size, "not-an-image-model", "the model 'any' takes inputs of shape (None, None, 3); modhub takes images"),
        (
            lambda: chain(L.Flatten(), L.Dense(3, activation="relu"), shape=(4, 4, 4, 1)),
            "not-an-image-model",
            "inputs of shape (4, 4, 4, 1); modhub takes images and arrays of a fixed size. Hint: give the Input layer",
        ),
        (
            lambda: chain(L.Dense(3, activation="relu"), L.Flatten(), shape=(7, 2, 2, 2)),
            "not-an-image-model",
            "takes inputs of shape (7, 2, 2, 2); modhub takes images and arrays of a fixed size.",
        ),
    ],
)
def test_what_is_no_image_classifier_is_named(make, kind, message):
    with pytest.raises(UnsupportedModel) as caught:
        read_model(make())
    assert caught.value.kind == kind
    assert message in str(caught.value)


# Refusals: heads


def logits_read_twice():
    def body(image):
        return L.Flatten()(conv()(image))

    image = keras.Input(SHAPE)
    logits = L.Dense(3, name="logits")(body(image))
    return keras.Model(image, L.Softmax()(L.Add(name="sum")([logits, L.Softmax()(logits)])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: keras.Sequential(
                [keras.Input(SHAPE), conv(), L.Conv2D(3, 3, name="scores"), L.GlobalAveragePooling2D()]
            ),
            "the head ends in the convolution 'scores' of 3x3, which is no dense layer. Hint: modhub",
        ),
        (
            lambda: keras.Sequential([keras.Input(SHAPE), conv(3, name="scores"), L.GlobalAveragePooling2D()]),
            "the head 'scores' squashes twice, by 'relu' and by 'pooling'.",
        ),
        (
            lambda: keras.Sequential([keras.Input(SHAPE), L.ReLU(), L.Conv2D(3, 1, name="scores"), L.Softmax()]),
            "the head reads a map of shape (8, 8, 3), not a vector.",
        ),
        (
            lambda: chain(conv(), head=L.Dense(3, activation="sigmoid", name="labels")),
            "the head 'labels' has 3 sigmoids: multi-label classifiers are not supported.",
        ),
        (
            lambda: chain(conv(), head=L.Dense(1, activation="softmax", name="one")),
            "the head 'one' has one output with a softmax, which is always 1.",
        ),
        (
            lambda: chain(conv(), head=L.ReLU(name="last")),
            "the model ends in 'last' (ReLU), not in a dense classifier.",
        ),
        (
            lambda: chain(conv(), L.MaxPooling2D(8), L.Flatten(), head=L.Activation("softmax", name="squash")),
            "the model ends in 'max_pooling2d",
        ),
        (lambda: keras.Sequential([keras.Input((3,)), L.Softmax()]), "the model ends without a Dense layer."),
        (
            lambda: chain(conv(), head=L.Dense(3, activation="tanh", name="odd")),
            "the head 'odd' ends in the activation 'tanh'.",
        ),
        (
            lambda: chain(conv(), head=L.Dense(3, activation=L.ReLU(name="late"), name="odd")),
            "the model ends in 'odd/late' (ReLU), not in a dense classifier.",
        ),
        (
            lambda: chain(conv(), L.MaxPooling2D(8), L.Dense(3, activation="softmax", name="twice"), head=L.Softmax()),
            "the head 'twice' squashes twice, by 'softmax' and by 'softmax'.",
        ),
        (
            lambda: chain(conv(), L.Flatten(), L.Dense(3, activation="softmax", name="twice"), head=L.Softmax()),
            "the head 'twice' squashes twice, by 'softmax' and by 'softmax'.",
        ),
        (logits_read_twice, "the model ends in 'sum' (Add), not in a dense classifier."),
        (
            lambda: keras.Sequential([keras.Input(SHAPE), conv(), L.Dense(3)]),
            "the head reads a map of shape (8, 8, 4), not a vector. Hint: put Flatten or global average pooling before",
        ),
    ],
)
def test_a_head_that_is_no_dense_classifier_is_named(make, message):
    with pytest.raises(UnsupportedModel) as caught:
        read_model(make())
    assert caught.value.kind == "unsupported-head"
    assert message in str(caught.value)


# Refusals: layers


def by_numpy(tensor):
    return keras.ops.convert_to_tensor(np.sin(keras.ops.convert_to_numpy(tensor)))


def channels_first():
    return chain(L.ZeroPadding2D(1, data_format="channels_first", name="first"), conv())


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: chain(conv(), L.Reshape((8, 32)), L.LSTM(4, name="rnn")), "layer", "'rnn' (LSTM) is not supported"),
        (lambda: chain(L.TimeDistributed(L.Dense(3, activation="relu"), name="td")), "layer", "'td' (TimeDistributed)"),
        (lambda: chain(conv(), L.Conv2DTranspose(3, 2, name="up")), "layer", "'up' (Conv2DTranspose) is not supported"),
        (
            lambda: chain(conv(), L.UpSampling2D(interpolation="bilinear", name="up")),
            "layer",
            "'up' (UpSampling2D) interpolates 'bilinear'. Hint: use interpolation='nearest'.",
        ),
        (lambda: chain(L.Resizing(4, 4, name="half"), conv()), "layer", "makes images of (8, 8) ones of (4, 4)"),
        (channels_first, "layer", "'first' (ZeroPadding2D) keeps its channels first"),
        (
            lambda: chain(conv(), L.PReLU(name="p")),
            "activation",
            "'p' (PReLU) has a slope for each of (8, 8) positions",
        ),
        (lambda: chain(conv(), L.ReLU(threshold=0.5, name="r")), "activation", "'r' (ReLU) has the threshold 0.5"),
        (
            lambda: chain(conv(name="c", activation=by_numpy)),
            "activation",
            "'c' (Conv2D) has the activation 'by_numpy' of tests.engine.test_reader, not activation='by_numpy'",
        ),
        (
            lambda: chain(conv(name="c", activation="softmax")),
            "activation",
            "'c' (Conv2D) has the activation 'softmax'",
        ),
        (
            lambda: classifier(lambda image: conv()(L.Concatenate(axis=0, name="stack")([image, image]))),
            "layer",
            "'stack' (Concatenate) joins images of one batch",
        ),
        (
            lambda: chain(conv(), L.BatchNormalization(axis=1, name="rows")),
            "layer",
            "'rows' (BatchNormalization) normalises axis 1",
        ),
        (
            lambda: chain(conv(), L.LayerNormalization(axis=[1, 2], name="rows")),
            "layer",
            "'rows' (LayerNormalization) normalises the axes [1, 2]",
        ),
        (
            lambda: chain(L.Normalization(axis=1, mean=np.arange(8.0), variance=np.ones(8), name="rows"), conv()),
            "layer",
            "'rows' (Normalization) normalises the axes (1,), not the channels",
        ),
        (
            lambda: chain(L.Normalization(mean=1.0, variance=2.0, invert=True, name="back"), conv()),
            "layer",
            "'back' (Normalization) is inverted",
        ),
        (
            lambda: chain(L.Rescaling(np.ones((8, 8, 3)), name="each"), conv()),
            "layer",
            "'each' (Rescaling) has numbers of shape (8, 8, 3)",
        ),
        (
            lambda: chain(conv(), L.Reshape((2, 4, 8, 4), name="deep")),
            "layer",
            "'deep' (Reshape) is beyond what modhub stores",
        ),
        (
            lambda: chain(L.Conv2D(70_000, 1, activation="relu", name="wide"), L.GlobalAveragePooling2D()),
            "layer",
            "'wide' (Conv2D) is beyond what modhub stores (filters 70000",
        ),
        (
            lambda: classifier(lambda image: L.Flatten()(keras.ops.unstack(image, axis=-1)[0])),
            "layer",
            "'unstack' (Unstack) gives 3 tensors",
        ),
        (lambda: classifier(lambda image: conv()(keras.ops.sin(image))), "layer", "(Sin) is not supported"),
        (lambda: classifier(lambda image: conv()(image[:, ::2])), "layer", "(GetItem) takes a part of a tensor"),
        (
            lambda: classifier(lambda image: keras.ops.gelu(conv()(image), approximate=True)),
            "activation",
            "(Gelu) is the approximation of GELU by tanh. Hint: use approximate=False",
        ),
        (lambda: classifier(lambda image: conv()(1 / image)), "layer", "(TrueDivide) divides by a tensor"),
    ],
)
def test_a_layer_that_cannot_be_read_is_named_with_its_type_and_a_way_out(make, kind, message):
    keras.backend.clear_session()
    with pytest.raises(UnsupportedModel) as caught:
        read_model(make())
    assert caught.value.kind == f"unsupported-{kind}"
    assert message in str(caught.value)
    assert "Hint: " in str(caught.value)
    assert caught.value.data["layer"] in str(caught.value)


def test_all_obstacles_are_named_at_once():
    with pytest.raises(UnsupportedModel) as caught:
        read_model(
            chain(
                conv(name="odd", activation="softmax"),
                L.ReLU(threshold=1.0, name="late"),
                L.Conv2DTranspose(3, 2, name="up"),
                conv(name="fine"),
            )
        )
    text = str(caught.value)
    assert text.startswith("3 layers are in the way: (1) the layer 'odd' (Conv2D) has the activation 'softmax'.")
    assert "(2) the layer 'late' (ReLU) has the threshold 1.0." in text
    assert "(3) the layer 'up' (Conv2DTranspose) is not supported." in text
    assert len(text) < 1000
    assert len(caught.value.data["obstacles"]) == 3


def test_what_was_rewritten_is_said():
    reading = read_model(chain(L.DepthwiseConv2D(3, name="deep"), L.LeakyReLU(name="leak")))
    assert reading.lowered == (
        "deep (DepthwiseConv2D): a convolution of as many groups as channels",
        "leak (LeakyReLU): relu(x) - a relu(-x), two sites",
    )


def with_training(value):
    return classifier(lambda image: conv()(L.BatchNormalization(name="norm")(image, training=value)))


def nested_with_training():
    inside = keras.Input(SHAPE)
    inner = keras.Model(inside, L.Dropout(0.5)(inside), name="inner")
    return classifier(lambda image: conv()(inner(image, training=True)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_training(True), "the layer 'norm' (BatchNormalization) is called with training=True."),
        (lambda: with_training(np.bool_(True)), "the layer 'norm' (BatchNormalization) is called with training="),
        (nested_with_training, "the layer 'inner' (Functional) is called with training=True. Hint: rebuild the model"),
    ],
)
def test_a_call_with_more_than_tensors_is_refused(make, message):
    with pytest.raises(UnsupportedModel) as caught:
        read_model(make())
    assert message in str(caught.value)


def test_weights_with_nan_are_named():
    model = chain(conv(name="sick"))
    kernel, bias = model.get_layer("sick").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    model.get_layer("sick").set_weights([kernel, bias])
    with pytest.raises(UnsupportedModel, match=r"the weight sick/kernel holds NaN or infinity. Hint: the training div"):
        check_weights_finite(read_model(model).weights)


def test_a_name_beyond_the_limits_is_refused():
    with pytest.raises(UnsupportedModel, match=r"beyond what modhub stores .*at most 500 characters"):
        read_model(chain(conv(name="n" * 600)))


# The last defence: comparing answers


def test_a_graph_that_says_less_than_it_does_is_caught_by_its_answers():
    image = keras.Input(SHAPE)
    model = randomised(OverriddenCall(image, L.Dense(3, name="logits")(L.Flatten()(conv()(image)))))
    with pytest.raises(UnsupportedModel) as caught:
        check_reading(model, origin_of(model), IMAGES)
    assert caught.value.kind == "unsupported-graph"
    assert "answers differently (by " in str(caught.value)
    assert "its graph does something that its layers do not say" in str(caught.value)


@pytest.mark.parametrize("name", ["conv_valid", "mixed_bfloat16", "head_sigmoid"])
def test_one_wrong_weight_is_caught_by_its_answers(name):
    model = READABLE[name]()
    origin = origin_of(model)
    wrong = dict(origin.weights)
    key = next(key for key in wrong if key.startswith("conv") and key.endswith("kernel"))
    wrong[key] = wrong[key][..., ::-1]
    broken = Origin(**{**vars(origin), "weights": wrong})
    with pytest.raises(UnsupportedModel, match="answers differently"):
        check_reading(model, broken, IMAGES)


def test_answers_of_another_shape_are_caught():
    model = READABLE["conv_valid"]()
    other = origin_of(READABLE["head_logits"]())
    with pytest.raises(UnsupportedModel, match="answers differently"):
        check_reading(model, other, IMAGES)


def test_a_wrong_weight_is_caught_behind_a_saturated_softmax():
    model = READABLE["conv_valid"]()
    head = model.layers[-1]
    head.set_weights([weights * 60 for weights in head.get_weights()])
    answers_now = model.predict(IMAGES.astype("float32"), verbose=0)
    assert np.sort(answers_now, axis=1)[:, -1].min() > 1 - 1e-6
    origin = origin_of(model)
    check_reading(model, origin, IMAGES)
    wrong = {
        name: value * np.float32(1.02) if name == "head/kernel" else value for name, value in origin.weights.items()
    }
    with pytest.raises(UnsupportedModel, match="answers differently"):
        check_reading(model, Origin(**{**vars(origin), "weights": wrong}), IMAGES)
