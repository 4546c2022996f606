"""Models in files: of Keras 2, whatever they were compiled with, and what is none, each with the way out."""

from __future__ import annotations

import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import modhub
from modhub.engine.read.examine import examine
from modhub.engine.read.file_kinds import check_model_file
from modhub.engine.read.files import load_model
from modhub.errors import UnsupportedModel
from tests.small_origins import quadrants

SAMPLES = Path(__file__).with_name("keras_2_samples.zip")
NAMES = [name for name in zipfile.ZipFile(SAMPLES).namelist() if not name.endswith(".npz")]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    with zipfile.ZipFile(SAMPLES) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_keras_2_answers_as_it_did_there(name: str, samples: Path) -> None:
    """All were compiled with a loss and a metric of somebody's own; ``make_keras_2_samples`` wrote them."""
    model = load_model(samples / name)
    with np.load((samples / name).with_suffix(".npz")) as expected:
        np.testing.assert_allclose(model.predict(expected["x"]), expected["y"], atol=1e-5)
    assert examine(model).classes == 3


def test_a_network_of_keras_2_is_decomposed(samples: Path) -> None:
    model, data = load_model(samples / "plain.keras"), quadrants()
    x, y = data.x[data.y < 3], data.y[data.y < 3]
    features = keras.Model(model.inputs, model.layers[-2].output).predict(x.astype("float32"), verbose=0)
    solution = np.linalg.lstsq(np.c_[features, np.ones(len(x))], 6 * np.eye(3)[y] - 3, rcond=1e-4)[0]
    model.layers[-1].set_weights([solution[:-1], solution[-1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = modhub.decompose(model, x, y, classes=data.classes[:3], name="me/old")
    expected = model.predict(x.astype("float32")).argmax(axis=1)
    assert (modhub.compose(made).predict(x).indices == expected).mean() > 0.95


def changed(samples: Path, change: Any) -> UnsupportedModel:
    """The refusal of ``of_operators.h5`` with another configuration."""
    path = samples / "of_operators.h5"
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UnsupportedModel) as caught:
        load_model(path)
    assert str(path) in caught.value.message
    assert "was written by Keras 2." in caught.value.message
    assert "with the Keras that wrote it" in str(caught.value.hint)
    return caught.value


def the(layers: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(layer for layer in layers if layer["class_name"] == kind)


def test_what_a_file_of_keras_2_names_is_looked_up_and_never_called(samples: Path) -> None:
    def reads_a_file(layers: Any) -> None:
        the(layers, "TFOpLambda")["config"]["function"] = "io.read_file"

    def is_a_lambda(layers: Any) -> None:
        the(layers, "Conv2D")["class_name"] = "Lambda"

    def is_of_its_own(layers: Any) -> None:
        the(layers, "Conv2D")["class_name"] = "os>system"

    def activates_with_code(layers: Any) -> None:
        the(layers, "Conv2D")["config"]["activation"] = {"class_name": "function", "config": "os.system"}

    def goes_in_a_circle(layers: Any) -> None:
        the(layers, "Conv2D")["inbound_nodes"][0][0][0] = layers[-1]["config"]["name"]

    def is_no_number(layers: Any) -> None:
        the(layers, "Conv2D")["config"]["filters"] = "many"

    for change, words in (
        (reads_a_file, "calls TensorFlow's 'io.read_file', which cannot be read: it is none that is known here"),
        (is_a_lambda, "is a 'Lambda', which is not read"),
        (is_of_its_own, "is a 'os>system', which is not read"),
        (activates_with_code, "a function of its own"),
        (goes_in_a_circle, "read each other in a circle"),
        (is_no_number, "its configuration cannot be read"),
    ):
        with zipfile.ZipFile(SAMPLES) as archive:
            archive.extract("of_operators.h5", samples)
        assert words in changed(samples, change).message


def test_other_weights_than_its_layers_have(samples: Path) -> None:
    path = samples / "plain.keras"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    stored = io.BytesIO(members["model.weights.h5"])
    with h5py.File(stored, "r+") as file:
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 1, 7), np.float32)
    members["model.weights.h5"] = stored.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UnsupportedModel, match="has weights"):
        load_model(path)


# What a model was compiled with


@keras.saving.register_keras_serializable(package="mine")
class Loss(keras.losses.Loss):
    def call(self, truth: Any, answer: Any) -> Any:
        raise AssertionError("it was called")

    @classmethod
    def from_config(cls, config: Any) -> Any:
        raise AssertionError("it was made")


@keras.saving.register_keras_serializable(package="mine")
class Optimizer(keras.optimizers.SGD):
    @classmethod
    def from_config(cls, config: Any) -> Any:
        raise AssertionError("it was made")


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
@pytest.mark.parametrize("where", ["outermost", "inside"])
def test_what_a_model_was_compiled_with_is_never_made(name: str, where: str, tmp_path: Path) -> None:
    base = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, activation="relu")])
    model = keras.Sequential([keras.Input((4, 4, 1)), base, keras.layers.Flatten(), keras.layers.Dense(2)])
    (model if where == "outermost" else base).compile(Optimizer(), Loss(), metrics=["accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / name)
    x = np.ones((2, 4, 4, 1), np.float32)
    np.testing.assert_allclose(load_model(tmp_path / name).predict(x), model.predict(x), atol=1e-6)


# What is no model


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("net.pt", "is a file of PyTorch", "copy the weights"),
        ("net.pth", "is a file of PyTorch", "copy the weights"),
        ("net.safetensors", "holds weights alone", "copy the weights"),
        ("net.onnx", "is an ONNX graph", "the Keras model that it was made from"),
        ("net.tflite", "is a TensorFlow Lite graph", "the Keras model that it was made from"),
        ("net.pb", "is a graph of TensorFlow", "the Keras model that it was made from"),
        ("net.weights.h5", "holds weights alone", "model.load_weights(path)"),
    ],
)
def test_files_of_other_kinds_say_the_way_out(name: str, message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UnsupportedModel) as caught:
        check_model_file(tmp_path / name)
    assert (caught.value.kind, message in caught.value.message, hint in str(caught.value.hint)) == (
        "not-a-model-file",
        True,
        True,
    )


def test_a_saved_model_and_weights_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"x")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save_weights(tmp_path / "net.weights.h5")
    shutil.copy(tmp_path / "net.weights.h5", tmp_path / "net.h5")
    for name, message, hint in (
        ("saved", "is a SavedModel", "tf_keras.models.load_model(path)"),
        ("net.h5", "holds weights alone", "model.load_weights(path)"),
    ):
        with pytest.raises(UnsupportedModel, match=message) as caught:
            load_model(tmp_path / name)
        assert hint in str(caught.value.hint)
