"""The training script: the paper's networks, the best epoch, and a killed run that ends as if it had not been."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import train
from study import Data

from examples.paper.residual_training import mean_recall, probabilities, resnet
from modhub.data.images import ImageData
from modhub.engine.read.reader import read_model
from modhub.errors import InvalidData, UsageError
from tests.small_origins import quadrants
from tests.thinning import long, spread

PAPER = Path(__file__).parents[2] / "examples" / "paper"
SHARED = Path(__file__).parents[3] / "shared" / "models"
PARAMETERS = {
    "cifar10-r20": ((32, 32, 3), 10, 271_690),
    "cifar10-r56": ((32, 32, 3), 10, 853_642),
    "cifar100-r20": ((32, 32, 3), 100, 277_540),
    "cifar100-r32": ((32, 32, 3), 100, 471_524),
    "imagenet200-r20": ((64, 64, 3), 200, 322_440),
}
SETTINGS = train.Settings(8, epochs=3, validation=0.25, batch=16)


def network(name: str) -> Any:
    shape, classes, _ = PARAMETERS[name]
    return resnet(shape, classes, depth=train.depth_of(name.rsplit("-", 1)[1]), seed=0)


def shape_of(model: Any) -> tuple[Any, ...]:
    """An architecture without the names of its layers, and where each call takes its inputs from."""
    architecture = read_model(model).architecture
    places = {"input": -1} | {call.id: place for place, call in enumerate(architecture.calls)}
    layers = {name: layer.model_dump() for name, layer in architecture.layers.items()}
    calls = [(layers[call.layer], sorted(places[one] for one in call.inputs)) for call in architecture.calls]
    return architecture.input_shape, calls, places[architecture.features]


@pytest.mark.parametrize("name", spread(list(PARAMETERS), 3))
def test_the_paper_s_networks_have_as_many_parameters_as_the_shared_ones(name: str) -> None:
    assert network(name).count_params() == PARAMETERS[name][2]


@pytest.mark.parametrize("name", spread(["cifar10-r20", "cifar100-r32", "imagenet200-r20"], 2))
def test_the_architecture_is_that_of_the_shared_file(name: str) -> None:
    file = SHARED / f"{name}.keras"
    if not file.exists():
        pytest.skip("the shared trained networks are not here")
    shared = keras.models.load_model(file, compile=False)
    assert shape_of(network(name)) == shape_of(shared)
    assert shape_of(resnet(*PARAMETERS[name][:2], depth=14, seed=0)) != shape_of(shared)


@pytest.fixture(scope="module")
def data() -> Data:
    """Few images of four classes."""
    parts = {split: quadrants(count, seed=seed) for split, count, seed in (("train", 16, 0), ("test", 6, 9))}
    return Data("quadrants", *(ImageData(part.x, part.y, part.classes, "quadrants") for part in parts.values()))


@pytest.fixture(scope="module")
def whole(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train.train(data, SETTINGS, folder, "quadrants-r8")
    return folder


def test_what_is_written_is_the_best_epoch(data: Data, whole: Path) -> None:
    assert sorted(file.name for file in whole.iterdir()) == ["quadrants-r8.json", "quadrants-r8.keras"]
    written = json.loads((whole / "quadrants-r8.json").read_text())
    assert written["finished"]
    assert written["epochs_done"] == len(written["curve"]) == 3
    assert written["curve"][written["best_epoch"] - 1] == written["validation_recall"] == max(written["curve"])
    assert (written["seed"], written["validation"], written["images"]["test"]) == (0, 0.25, len(data.test))
    model = keras.models.load_model(whole / "quadrants-r8.keras", compile=False)
    shares = probabilities(model, data.test.x)
    assert written["top_1"] == pytest.approx(float((shares.argmax(axis=1) == data.test.y).mean()))
    assert written["training_recall"] > 0.5, mean_recall(shares, data.test.y)


def command(data: Data, folder: Path) -> list[str]:
    """The command that trains what ``whole`` is, with its images in ``folder``."""
    for split, part in (("train", data.train), ("test", data.test)):
        np.savez(folder / f"quadrants_{split}.npz", x=part.x, y=part.y, classes=np.array(part.classes))
    options = ["--out", str(folder / "out"), "--epochs", "3", "--validation", "0.25", "--batch", "16"]
    return [str(PAPER / "train.py"), "quadrants", "r8", "--data", str(folder), *options]


def assert_equal_runs(one: Path, other: Path) -> None:
    models = [keras.models.load_model(folder / "quadrants-r8.keras", compile=False) for folder in (one, other)]
    for first, second in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (one / "quadrants-r8.json").read_text() == (other / "quadrants-r8.json").read_text()


@long
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(data: Data, whole: Path, tmp_path: Path) -> None:
    call = [sys.executable, *command(data, tmp_path)]
    with subprocess.Popen(call, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if line.startswith("epoch "))
        process.kill()
    assert said.startswith("epoch 1 of 3: ")
    kept = [file.name for file in (tmp_path / "out").iterdir() if file.suffix == ".npz"]
    assert len(kept) == 1
    assert len(train.read_checkpoint(tmp_path / "out" / kept[0]).curve) in (1, 2)
    train.train(data, SETTINGS, tmp_path / "out", "quadrants-r8")
    assert_equal_runs(whole, tmp_path / "out")


def test_a_run_whose_minutes_are_spent_goes_on_and_ends_with_the_same_weights(
    data: Data, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then there are the best network so far and a checkpoint."""
    folder = tmp_path / "out"
    written = train.train(data, SETTINGS, folder, "quadrants-r8", minutes=0)
    assert (written["finished"], written["epochs_done"]) == (False, 1)
    assert len(list(folder.glob("quadrants-r8.*.npz"))) == 1
    assert (folder / "quadrants-r8.keras").exists()
    monkeypatch.setattr(sys, "argv", command(data, tmp_path))
    train.main()
    assert_equal_runs(whole, folder)


def test_a_spoilt_checkpoint_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    for content in (b"", b"nonsense", b"PK\x03\x04"):
        file.write_bytes(content)
        with pytest.raises(InvalidData, match=r"a\.npz is no checkpoint of this program: .*delete it") as caught:
            train.read_checkpoint(file)
        assert caught.value.kind == "bad-checkpoint"


def test_settings_that_make_no_sense_are_refused(data: Data, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--validation 1: give a share between 0 and 1"):
        train.train(data, train.Settings(20, validation=1.0), tmp_path, "a")
    with pytest.raises(UsageError, match=r"--epochs 0: give at least 1"):
        train.train(data, train.Settings(20, epochs=0), tmp_path, "a")
    with pytest.raises(UsageError, match=r"a residual network of 21 layers does not exist.*6n \+ 2") as caught:
        train.train(data, train.Settings(21), tmp_path, "a")
    assert caught.value.kind == "bad-depth"
    assert not list(tmp_path.glob("*.keras"))
