"""What the user set for training, mixed precision or another floatx, changes neither what runs nor what is exported."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

import modhub
from modhub.composition.composite import Composite
from modhub.engine.export.formats import keras_bytes, plan_description, write_format
from modhub.engine.training import small_cnn
from modhub.errors import Incompatible
from modhub.installation.backend import InstalledBackend
from modhub.ops.export import TOLERANCE, export
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants, with_random_masks
from tests.thinning import long

IMAGES = np.concatenate([quadrants().x[:20], bars().x[:20]])
SETTINGS = ["mixed_float16", "bfloat16", "floatx float64"]


def composite(mode: str = "isolated", dtype: str = "float32") -> Composite:
    """Built again, so that what a process set comes into it: two origins and a stage that decides again."""
    one, two, three, _ = [with_random_masks(module, seed) for seed, module in enumerate(quadrant_modules().modules)]
    horizontal, vertical, corner = bar_modules().modules
    made = modhub.compose([one, horizontal, two, three, vertical], mode=mode, dtype=dtype)
    return made.verify_with({("top left", "vertical"): [corner, horizontal]})


def answers() -> dict[str, bytes]:
    found = {
        f"{mode} {dtype}": composite(mode, dtype).predict(IMAGES).margins.tobytes()
        for mode, dtype in (("isolated", "float32"), ("fused", "float32"), ("isolated", "bfloat16"))
    }
    made = composite()
    found["keras file"] = keras_bytes(made.to_keras(), plan_description(made.plan))
    return found


@pytest.fixture(scope="module")
def usual() -> dict[str, bytes]:
    return answers()


@pytest.fixture(params=SETTINGS)
def setting(request: pytest.FixtureRequest) -> Iterator[str]:
    """A process that has set this before modhub does anything."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    if request.param.startswith("floatx "):
        keras.config.set_floatx(request.param.removeprefix("floatx "))
        # What a new process takes from keras.json.
        keras.config.set_dtype_policy(keras.config.floatx())
    else:
        keras.config.set_dtype_policy(request.param)
    try:
        yield request.param
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def test_what_runs_and_what_is_written_is_the_same(usual: dict[str, bytes], setting: str) -> None:
    assert answers() == usual


def test_every_layer_states_float32(setting: str) -> None:
    for model in (composite().to_keras(), small_cnn((8, 8, 1), 3, seed=0)):
        assert {keras.backend.standardize_dtype(each.dtype) for each in (*model.inputs, *model.outputs)} == {"float32"}
        others = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
        assert {layer.compute_dtype for layer in others} == {layer.variable_dtype for layer in others} == {"float32"}


@pytest.mark.parametrize("setting", ["mixed_float16"], indirect=True)
def test_graphs_are_float32_as_well(setting: str, tmp_path) -> None:
    """ONNX by its own check; the SavedModel here, where it may be read without a new interpreter."""
    made = composite()
    assert export(made, tmp_path / "pets.onnx", check=IMAGES).difference <= TOLERANCE
    write_format(made.to_keras(), plan_description(made.plan), "saved-model", tmp_path / "pets")
    served = tf.saved_model.load(str(tmp_path / "pets")).signatures["serving_default"]
    margins = served(images=tf.constant(IMAGES, tf.float32))["margins"]
    assert margins.dtype == tf.float32
    assert np.abs(margins.numpy() - made.predict(IMAGES).margins).max() <= TOLERANCE


class Rounded(InstalledBackend):
    """Exports margins of another type, which are close enough in value."""

    def to_keras(self, plan):
        model = super().to_keras(plan)
        return keras.Model(model.inputs, keras.ops.cast(model.outputs[0], "float64"))


@pytest.mark.parametrize("name", ["bars.keras", pytest.param("bars", marks=long), "bars.onnx"])
def test_the_check_compares_the_type_as_well(name: str, tmp_path) -> None:
    """In a new interpreter by each of its two ways, of which the suite takes one, and in onnxruntime."""
    plain = modhub.compose(list(bar_modules().modules))
    with pytest.raises(Incompatible, match=r"its margins are (float64|double), not float32"):
        export(Composite(plain.plan, Rounded(None, None)), tmp_path / name, check=IMAGES)
    assert not list(tmp_path.iterdir())
