"""Models from files: what is no model, or has code of its own, is refused before keras loads, or as keras says."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from modhub.engine.read.file_kinds import check_model_file
from modhub.engine.read.files import load_model, save_model
from modhub.errors import NotFound, StorageError, UnsupportedModel
from tests.cli import origin


@keras.saving.register_keras_serializable(package="mine")
class Swish(keras.layers.Layer):
    def call(self, x):
        return x * keras.ops.sigmoid(x)


def saved(folder: Path, *layers: keras.Layer) -> Path:
    path = folder / "net.keras"
    keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(2)]).save(path)
    return path


def refused(path: Path) -> UnsupportedModel:
    with pytest.raises(UnsupportedModel) as caught:
        load_model(path)
    assert caught.value.hint
    return caught.value


def test_both_file_formats_are_read(tmp_path: Path) -> None:
    model = origin.network()
    x = origin.images(5, 0)[0].astype("float32")
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        np.testing.assert_allclose(
            load_model(tmp_path / name).predict_on_batch(x), model.predict_on_batch(x), atol=1e-6
        )


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"")
    with pytest.raises(NotFound, match="there is no model at") as caught:
        check_model_file(tmp_path / "nett.keras")
    assert caught.value.hint == f"did you mean {tmp_path / 'net.keras'}?"


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path).message


def test_another_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_text("weights")
    assert "no Keras model" in refused(tmp_path / "net.keras").message


def test_a_name_that_keras_would_misread(tmp_path: Path) -> None:
    origin.network().save(tmp_path / "net.h5")
    (tmp_path / "net.h5").rename(tmp_path / "net.keras")
    assert "does not end in .h5" in refused(tmp_path / "net.keras").message


def test_a_truncated_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "cut short" in refused(path).message


def test_a_file_with_damaged_weights(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"nothing")
    error = refused(path)
    assert error.kind == "unreadable-model"
    assert "keras cannot load" in error.message


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    origin.network().save_weights(tmp_path / "net.weights.h5")
    error = refused(tmp_path / "net.weights.h5")
    assert error.kind == "not-a-model-file"
    assert "model.save" in str(error.hint)


def test_a_lambda_of_a_function_of_kerass_own_is_not_run_either(tmp_path: Path) -> None:
    """HDF5 files name functions, of which Keras gives its own; reading the layer would call them."""
    path = tmp_path / "net.h5"
    keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Lambda(keras.activations.relu, name="named"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    ).save(path)
    error = refused(path)
    assert error.data["layers"] == ["named"]
    assert "layers of its own code: named." in error.message


def test_a_layer_of_ones_own_in_hdf5_is_named(tmp_path: Path) -> None:
    """Although its class is registered in this process, where reading would call it."""
    path = tmp_path / "net.h5"
    layers = [Swish(name="mine"), keras.layers.Flatten(), keras.layers.Dense(2)]
    keras.Sequential([keras.Input((4, 4, 1)), *layers]).save(path)
    assert refused(path).data["layers"] == ["mine"]


def test_a_lambda_is_named_and_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path, keras.layers.Lambda(lambda x: x * 2))
    error = refused(path)
    assert error.data["layers"] == ["Lambda"]
    assert "Lambda" in error.message


def test_a_custom_layer_is_named(tmp_path: Path) -> None:
    error = refused(saved(tmp_path, Swish()))
    assert error.kind == "unsupported-layer"
    assert error.data["layers"] == ["Swish"]


def test_a_layer_inside_a_layer_is_found(tmp_path: Path) -> None:
    error = refused(saved(tmp_path, keras.layers.TimeDistributed(Swish())))
    assert error.data["layers"] == ["Swish"]


def test_a_configuration_that_is_no_json_is_kerass_to_explain(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", b"[" * 100_000)
        archive.writestr("metadata.json", json.dumps({}))
    assert refused(path).kind == "unreadable-model"


def test_saving_replaces_a_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_text("old")
    save_model(origin.network(), tmp_path / "net.keras")
    assert load_model(tmp_path / "net.keras").output_shape == (None, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "net.keras").mkdir()
    (tmp_path / "net.keras" / "x").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_model(origin.network(), tmp_path / "net.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]
