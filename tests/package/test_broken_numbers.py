"""Numbers that no network can compute with are refused where they come in; what overflows all the same is named."""

from __future__ import annotations

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from pydantic import ValidationError

import modhub
from modhub.cli import printing
from modhub.cli.failures import report
from modhub.composition.votes import check_margins
from modhub.data.arrays import channel_values, rescale_factor
from modhub.engine.read.check import check_weights_finite
from modhub.errors import IntegrityError, ModhubError, UnsupportedModel, UsageError
from modhub.ops.explain import explain
from modhub.package.codec import decode_weights, wanted_weights
from modhub.package.module import Head
from modhub.package.weights_blob import encode_weights
from modhub.spec.architecture import Architecture, Call
from modhub.spec.input_contract import ImageContract
from modhub.spec.layers import BatchNormalization, Normalization, Rescaling
from modhub.spec.rearrangements import Flatten
from tests.composition.made_by_hand import CONTRACT, module
from tests.small_origins import quadrant_modules, quadrants

ARCHITECTURE = Architecture(
    input_shape=(2, 2, 3),
    layers={"scaled": Normalization(), "even/a": BatchNormalization(), "flat": Flatten()},
    calls=(
        Call(id="1", layer="scaled", inputs=("input",)),
        Call(id="2", layer="even/a", inputs=("1",)),
        Call(id="3", layer="flat", inputs=("2",)),
    ),
    features="3",
    head="logits",
)
WANTED = wanted_weights(ARCHITECTURE, 2)
WEIGHTS = {name: np.ones(shape, np.float32) for name, (_, shape) in WANTED.items()}


def strict(text: str) -> object:
    def refuse(name: str) -> object:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "change",
    [
        {"rescale": 1e308},
        {"rescale": -1e39},
        {"mean": (1e39,)},
        {"std": (1e-320,)},
        {"std": (1e39,)},
        {"std": (-1.0,)},
        {"value_range": (0, 1e39)},
    ],
)
def test_preprocessing_beyond_float32_is_no_contract(change):
    with pytest.raises(ValidationError):
        ImageContract.model_validate(CONTRACT.model_dump() | change)


@pytest.mark.parametrize(
    "make", [lambda: Rescaling(scale=(1e308,), offset=(0,)), lambda: BatchNormalization(epsilon=1e-300)]
)
def test_layers_beyond_float32_are_none(make):
    with pytest.raises(ValidationError):
        make()


@pytest.mark.parametrize("value", [0, 1e308, 1e-320, float("nan"), float("inf"), None, "1/255", True])
def test_a_rescale_that_says_nothing_is_refused(value):
    with pytest.raises(UsageError, match="rescale is"):
        rescale_factor(value)


@pytest.mark.parametrize(
    ("value", "what"), [(1e39, "mean"), (1e39, "std"), (1e-40, "std"), (0, "std"), ([1, -1], "std")]
)
def test_mean_and_std_beyond_float32_are_refused(value, what):
    with pytest.raises(UsageError, match=f"{what} is"):
        channel_values(value, what)


def test_a_variance_below_zero_is_refused_when_it_is_read_and_before_it_is_decomposed():
    assert decode_weights(encode_weights(WEIGHTS), WANTED)
    for name in ("scaled/variance", "even/a/moving_variance"):
        bad = WEIGHTS | {name: WEIGHTS[name] - np.float32(1e3)}
        with pytest.raises(IntegrityError, match="holds a variance below zero") as caught:
            decode_weights(encode_weights(bad), WANTED)
        assert (caught.value.kind, caught.value.data["weight"]) == ("bad-weights", name)
        with pytest.raises(UnsupportedModel, match=f"{name} holds a variance below zero"):
            check_weights_finite(bad)


def overflowing(factor):
    """A composite of which one module's trunk leads beyond float32."""
    one, two, *_ = quadrant_modules().modules
    last = two.origin.weights["hidden/kernel"]
    weights = dict(two.origin.weights) | {"hidden/kernel": last * np.float32(factor)}
    origin = replace(two.origin, weights=weights, model="broken", fingerprint="sha256:" + "0" * 64)
    head = Head(two.head.kernel * np.float32(factor), two.head.bias)
    return modhub.compose([one, replace(two, origin=origin, head=head)])


@pytest.mark.parametrize("mode", ["isolated", "fused"])
@pytest.mark.parametrize("ask", [lambda c: c.predict(quadrants().x[:8]), lambda c: explain(c, quadrants().x[0])])
def test_margins_beyond_float32_name_the_module(ask, mode):
    composite = overflowing(1e30)
    with pytest.raises(UnsupportedModel, match=r"/broken:[a-z-]+ answers NaN or infinity") as caught:
        ask(composite.in_mode(mode))
    assert caught.value.kind == "not-finite"
    assert caught.value.data["module"] == composite.modules[1].ref
    ask(overflowing(1.0).in_mode(mode))


def test_the_first_image_of_the_first_module_is_named():
    modules = [module("a/b:cat"), module("a/b:dog")]
    margins = np.zeros((5, 2), np.float32)
    check_margins(margins, modules)
    margins[3:, 1] = np.nan
    with pytest.raises(UnsupportedModel, match="a/b:dog answers NaN or infinity, first for image 3"):
        check_margins(margins, modules)


def test_a_model_that_answers_nan_is_not_decomposed():
    data = quadrants()
    image = keras.Input(data.x.shape[1:])
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3, activation="relu")(keras.layers.Rescaling(1e30)(image)))
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.Rescaling(1e30)(x)))
    with pytest.raises(UnsupportedModel, match="answers NaN or infinity"):
        modhub.decompose(model, data.x, data.y, classes=data.classes, name="me/net")


def test_json_is_strict_whatever_is_in_it(capsys):
    values = {
        "nan": float("nan"),
        "list": [1.5, (float("inf"), -float("inf"))],
        "inner": {"share": float("nan"), "n": 3},
    }
    printing.document(values)
    assert strict(capsys.readouterr().out) == {
        "nan": None,
        "list": [1.5, [None, None]],
        "inner": {"share": None, "n": 3},
    }
    report(ModhubError("no.", worst=float("nan"), path=[float("inf")]), as_json=True, debug=False)
    assert strict(capsys.readouterr().err)["worst"] is None
