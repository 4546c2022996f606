"""Networks as tutorials, papers and people write them: most are read, the others say everything that is in the way."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from modhub.engine.read.check import check_reading
from modhub.engine.read.files import load_model
from modhub.engine.read.reader import read_model
from modhub.errors import UnsupportedModel
from tests.engine import code_of_blocks, code_of_habits, code_of_networks
from tests.engine.code_beyond import BEYOND
from tests.engine.code_of_tutorials import CODE
from tests.engine.test_reader import origin_of
from tests.engine.variants_to_read import VARIANTS

#: Each adds to the networks that are tried.
ADDED = (code_of_networks, code_of_blocks, code_of_habits)


@pytest.mark.parametrize("name", CODE)
def test_it_is_read_and_answers_as_it_did(name):
    model = CODE[name]()
    images = (
        np.random.default_rng(0).integers(0, 256, (2, *read_model(model).architecture.input_shape)).astype(np.uint8)
    )
    check_reading(model, origin_of(model, images), images)


@pytest.mark.parametrize("name", BEYOND)
def test_what_is_not_read_names_all_that_is_in_the_way_and_a_way_out(name):
    make, obstacles, way_out = BEYOND[name]
    with pytest.raises(UnsupportedModel) as caught:
        read_model(make())
    text = str(caught.value)
    assert all(obstacle in text for obstacle in obstacles)
    assert way_out in text[text.index("Hint: ") :]
    assert len(text) < 1000


def test_most_of_what_people_write_is_read():
    """So many of the variants that are tried: those here, and those of a few lines in ``variants_to_read``."""
    read, tried = len(VARIANTS) + len(CODE), len(VARIANTS) + len(CODE) + len(BEYOND)
    print(f"{read} of {tried} variants are read")
    assert not set(VARIANTS) & set(CODE)
    assert tried >= 150
    assert read / tried >= 130 / 150


def file_with_activation(activation: dict[str, Any], folder: Path) -> Path:
    """A .keras file in which someone put another activation."""
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, activation="relu"), keras.layers.Flatten()]
    keras.Sequential([*layers, keras.layers.Dense(3)]).save(folder / "given.keras")
    with zipfile.ZipFile(folder / "given.keras") as given, zipfile.ZipFile(folder / "net.keras", "w") as changed:
        for name in given.namelist():
            data = given.read(name)
            if name == "config.json":
                config = json.loads(data)
                config["config"]["layers"][1]["config"]["activation"] = activation
                data = json.dumps(config).encode()
            changed.writestr(name, data)
    return folder / "net.keras"


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


@pytest.mark.parametrize(
    ("module", "name"), [("keras.utils", "get_file"), ("os", "system"), ("builtins", "print"), ("keras", "Model")]
)
def test_a_function_that_a_file_names_is_never_called(module, name, tmp_path):
    with pytest.raises(UnsupportedModel, match=r"cannot load|own code"):
        load_model(file_with_activation(function(module, name), tmp_path))


def test_an_operation_of_keras_may_be_named_by_a_file(tmp_path):
    assert read_model(load_model(file_with_activation(function("keras.ops", "silu"), tmp_path))).architecture
