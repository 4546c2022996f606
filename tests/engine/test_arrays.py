"""Networks of arrays: read, they compute what the model and the slow literal code compute, decomposed likewise."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import modhub
from modhub.engine.decompose.pipeline import decompose_origin
from modhub.engine.read.check import check_reading, logits_of
from modhub.engine.read.reader import read_model
from modhub.engine.run.isolated import OriginRunner
from modhub.engine.run.network import preprocess
from modhub.errors import InvalidData, UnsupportedModel, UsageError
from modhub.package.module import Origin
from modhub.spec.contract import contract_of
from modhub.spec.input_contract import ArrayContract
from modhub.spec.manifest import DecomposeOptions
from tests.decomposition.test_against_oracle import assert_equal_modules
from tests.engine.networks_of_arrays import NETWORKS, SIGNAL, L, chain, with_numbers
from tests.oracle.decomposition import margin
from tests.oracle.forward import features, is_exact, logits
from tests.oracle.networks import Network
from tests.oracle.origins import Examples, observation_of, oracle_modules, origin_of, slugs_of

# Networks without training need not separate their classes, and the fit of a threshold says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*do not rise with its class")


def arrays(model: keras.Model, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (count, *model.input_shape[1:])).astype(np.float32)


def read(model: keras.Model, x: np.ndarray) -> Origin:
    reading = read_model(model)
    classes = tuple(f"class {k}" for k in range(len(reading.weights["head/bias"])))
    contract = contract_of(x, rescale=1.0, mean=None, std=None)
    return Origin("test", "net", classes, reading.architecture, reading.weights, contract, "sha256:" + "0" * 64)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_read_answers_as_the_model_and_as_the_literal_code(name):
    model = with_numbers(NETWORKS[name]())
    x = arrays(model, 4)
    origin = read(model, x)
    assert isinstance(origin.contract, ArrayContract)
    assert origin.architecture.input_shape == origin.contract.shape == model.input_shape[1:]
    found = logits_of(origin, origin.contract, x, 4)
    expected = np.log(np.asarray(model(x)))
    found_apart, expected = (each - each.mean(1, keepdims=True) for each in (found, expected))
    np.testing.assert_allclose(found_apart, expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 1e-3, "these arrays do not distinguish the model's weights"
    check_reading(model, origin, x)
    head = origin.weights["head/kernel"], origin.weights["head/bias"]
    literal = [logits(*head, features(origin.architecture, origin.weights, each)) for each in x[:2]]
    np.testing.assert_allclose(found[:2], literal, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["text", "printed"])
@pytest.mark.parametrize("name", ["mlp", "flattens", "no_hidden_layer", "signals", "dense_on_steps"])
def test_masks_and_margins_are_the_oracles(name, rule):
    model = with_numbers(NETWORKS[name](), seed=3, whole=True)
    x, y = arrays(model, 12, seed=1), np.arange(12) % 3
    reading = read_model(model)
    network = Network(reading.architecture, reading.weights, (), ())
    examples = Examples(x, y)
    options = DecomposeOptions(backtrack="input", rule=rule, delta=1.0, samples_per_class=3, batch_size=4)
    observation = observation_of(network, examples, seed=0, samples_per_class=3)
    assert all(is_exact(values) for inputs in observation.inputs for values in inputs)
    slow = oracle_modules(network, observation, options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fast = decompose_origin(origin_of(network), slugs_of(network), x, y, options).modules
    assert_equal_modules(fast, slow)
    if name not in ("no_hidden_layer",):
        assert any(not mask.all() for module in fast for mask in module.keep.values())
    margins = OriginRunner(fast[0].origin, fast).margins(x[:3], 2)
    expected = [[margin(network.architecture, network.weights, oracle, each) for oracle in slow] for each in x[:3]]
    np.testing.assert_allclose(margins, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: chain((7,), L.Embedding(50, 4), L.Conv1D(4, 3), L.Flatten()),
            "the layer 'embedding' (Embedding) reads tokens: they are names for something, and modhub takes numbers.",
        ),
        (lambda: chain((None, 4), L.Conv1D(4, 3), L.GlobalMaxPooling1D()), "takes inputs of shape (None, 4); modhub"),
        (lambda: chain((4, 4, 4, 1), L.Flatten()), "takes inputs of shape (4, 4, 4, 1); modhub takes"),
        (lambda: chain(SIGNAL, L.LSTM(4)), "(LSTM) is not supported."),
        (
            lambda: keras.Sequential([keras.Input(SIGNAL), L.Conv1D(4, 3), L.Dense(3, activation="softmax")]),
            "the head reads a map of shape (10, 4), not a vector.",
        ),
    ],
)
def test_what_cannot_be_read_is_named(model, message):
    keras.backend.clear_session()
    with pytest.raises(UnsupportedModel) as caught:
        read_model(model())
    assert message in str(caught.value)


def decomposed(model: keras.Model, x: np.ndarray, **options):
    """The network's own answers are the labels, so that it is right on its data."""
    network_input = preprocess(x, contract_of(x, rescale=options.get("rescale", 1.0), mean=None, std=None))
    if options.get("color") == "bgr":
        network_input = np.asarray(network_input)[..., ::-1]
    y = np.asarray(model(network_input)).argmax(1)
    options = {"samples_per_class": 20, "backtrack": "none", "name": "me/net", **options}
    return modhub.decompose(model, x, y, classes=["a", "b", "c"], **options), y


def balanced(model: keras.Model, count: int) -> np.ndarray:
    x = arrays(model, count)
    for variable in model.layers[-1].trainable_weights[1:]:
        logs = np.log(np.asarray(model(x)))
        variable.assign(-np.median(logs - logs.mean(1, keepdims=True), axis=0))
    return x


@pytest.mark.filterwarnings("ignore:there are")
def test_maps_and_signals_may_look_like_grey_images():
    model = with_numbers(chain((4, 5), L.Flatten(), L.Dense(8, "relu")))
    x = balanced(model, 120)
    result, y = decomposed(model, x)
    composite = modhub.compose(result)
    assert result.origin.contract.shape == (4, 5)
    answers = composite.predict(x[:5]).margins
    np.testing.assert_array_equal(composite.predict(x[:5, ..., None]).margins, answers)
    evaluation = modhub.evaluate(composite, (x, y, ["a", "b", "c"]))
    assert evaluation.top_1.value > 0.9
    assert modhub.evaluate(model, (x, y, ["a", "b", "c"])).top_1.value == 1.0
    assert str(modhub.explain(composite, x[0]).verdict) == str(modhub.explain(composite, x[:1], index=0).verdict)
    for wrong, hint in ((x[0], "x[None]"), (x[:, :3], "one array of 4x5 an input")):
        with pytest.raises(InvalidData) as caught:
            composite.predict(wrong)
        assert hint in str(caught.value)
    with pytest.raises(UsageError, match="which is for images, and the modules take array of 4x5"):
        composite.predict(x, fit="resize")


@pytest.mark.filterwarnings("ignore:there are")
def test_a_network_trained_on_bgr_is_given_rgb():
    model = with_numbers(chain((6, 6, 3), L.Conv2D(4, 3, activation="relu"), L.Flatten()))
    x = np.random.default_rng(0).integers(0, 256, (90, 6, 6, 3), np.uint8)
    mean = (0.2, 0.4, 0.6)
    raw = x[..., ::-1] / np.float32(255) - np.float32(mean)
    logs = np.log(np.asarray(model(raw)))
    model.layers[-1].bias.assign(-np.median(logs - logs.mean(1, keepdims=True), axis=0))
    y = np.asarray(model(raw)).argmax(1)
    options = {"classes": ["a", "b", "c"], "rescale": 1 / 255, "mean": mean, "samples_per_class": 20}
    result = modhub.decompose(model, x, y, name="me/net", color="bgr", backtrack="none", **options)
    assert result.origin.contract.colour == "bgr"
    assert result.package.manifest.format == 3
    assert result.origin.accuracy[0].top_1 == 1.0
    composite = modhub.compose(result)
    margins = composite.predict(x).margins
    assert (margins.argmax(1) == y).mean() > 0.9
    np.testing.assert_allclose(composite.to_keras().predict_on_batch(x), margins, atol=1e-4)
    assert composite.plan.to_dict()["input"]["colour"] == "rgb"
    assert "6x6x3 rgb (turned to bgr)" in str(composite.plan)
    evaluated = modhub.evaluate(model, (x, y, ["a", "b", "c"]), rescale=1 / 255, mean=mean, color="bgr")
    assert evaluated.top_1.value == 1.0
    rgb = modhub.decompose(model, x[..., ::-1], y, name="me/rgb", backtrack="none", **options)
    both = modhub.compose([result.modules[0], rgb.modules[1]])
    assert len(both.plan.groups()) == 2, "the same images serve both"
    with pytest.raises(UsageError, match="color is 'bgr', and the model takes 6x6x1"):
        modhub.decompose(
            chain((6, 6, 1), L.Flatten()), x[..., :1], y, classes=["a", "b", "c"], name="me/net", color="bgr"
        )
