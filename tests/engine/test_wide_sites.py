"""Sites of more than 65,536 units, as a dense layer or a flattened map has them."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest

import modhub
from modhub.errors import IntegrityError
from modhub.spec.layers import Dense
from modhub.spec.manifest import read_manifest, write_manifest
from tests.small_origins import SHAPE, quadrants

UNITS = 70_000
DATA = quadrants(each=8)


def dense(image: Any) -> Any:
    return keras.layers.Dense(UNITS, activation="relu", name="wide")(keras.layers.Flatten()(image))


def flattened(image: Any) -> Any:
    maps = keras.layers.Conv2D(70, 3, padding="same")(keras.layers.UpSampling2D(4)(image))
    return keras.layers.ReLU(name="wide")(keras.layers.Reshape((70 * 1024,))(maps))


def network(features: Any) -> Any:
    """Its head is the smallest that answers the data, found among as many numbers as there are images."""
    keras.utils.set_random_seed(0)
    image = keras.Input(SHAPE)
    trunk = keras.Model(image, features(image))
    head = keras.layers.Dense(4, activation="softmax")
    model = keras.Model(image, head(trunk.output))
    seen = trunk.predict(DATA.x / np.float32(255), verbose=0)
    answers = np.linalg.solve(seen @ seen.T + 1e-2 * np.eye(len(seen)), 6 * np.eye(4)[DATA.y] - 3)
    head.set_weights([(seen.T @ answers).astype(np.float32), np.zeros(4, np.float32)])
    return model


@pytest.mark.parametrize("features", [dense, flattened])
def test_a_wide_site_is_masked_published_and_composed(features: Any, tmp_path: Any) -> None:
    model = network(features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = modhub.decompose(
            model, DATA.x, DATA.y, classes=DATA.classes, name="a/wide", rescale=1 / 255, batch_size=16
        )
    (site,) = made.sites
    assert site.shape[0] > 65_536
    trunk = keras.Model(model.inputs, model.get_layer("wide").output)
    active = trunk.predict(DATA.x / np.float32(255), verbose=0) > 0
    for module in made.modules:
        kept = dict(module.keep.items())[site.id]
        # A node that is active for an image of the class stays; one that none of any class activates goes.
        assert kept[active[DATA.y == module.index].any(axis=0)].all()
        assert not kept[~active.any(axis=0)].any()
    modhub.publish(made, version="1.0.0", registry=str(tmp_path / "registry"))
    back = modhub.compose([f"a/wide:{module.slug}" for module in made.modules], registry=str(tmp_path / "registry"))
    np.testing.assert_array_equal(back.predict(DATA.x).margins, modhub.compose(made).predict(DATA.x).margins)
    assert (back.predict(DATA.x).indices == DATA.y).mean() > 0.9
    # A reader from before is told to upgrade, and not that the file is broken.
    manifest = made.package.manifest
    assert manifest.format == 2
    with pytest.raises(IntegrityError, match="needs format 2"):
        read_manifest(write_manifest(manifest.model_copy(update={"format": 1})), what="it")


def test_a_layer_as_wide_as_any_before_needs_no_newer_format() -> None:
    assert [Dense(units=units).format for units in (65_536, 65_537)] == [1, 2]
    with pytest.raises(ValueError, match="less than or equal to 268435456"):
        Dense(units=2**28 + 1)
