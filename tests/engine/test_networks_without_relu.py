"""Networks of the newer kinds, without any ReLU: from Keras to a registry, a composite and an exported file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import modhub
from modhub.errors import IntegrityError
from modhub.package.decomposition import Decomposition
from modhub.spec.manifest import read_manifest, write_manifest
from tests.small_origins import SHAPE, quadrants

L = keras.layers
SAMPLE = Path(__file__).parents[1] / "spec" / "samples" / "release-format-2.json"


@cache
def network() -> Any:
    """A small network of most of the newer kinds; the head is fitted by least squares."""
    keras.utils.set_random_seed(3)
    image = keras.Input(SHAPE)
    x = L.Conv2D(8, 3, padding="same", activation="swish")(image / 255.0)
    x = L.LayerNormalization()(L.DepthwiseConv2D(3)(x))
    gate = L.Conv2D(8, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.GroupNormalization(2)(L.Multiply()([x, gate]))
    x = L.Cropping2D(((0, 1), (1, 0)))(L.UpSampling2D((1, 2))(L.Maximum()([x, L.Conv2D(8, 1, activation="tanh")(x)])))
    features = keras.Model(image, L.Flatten()(L.AveragePooling2D(2)(x)))
    data = quadrants()
    found = features.predict(data.x.astype("float32"), verbose=0)
    head = L.Dense(4)
    model = keras.Model(image, head(features.output))
    middle = found.mean(axis=0)
    kernel = np.linalg.lstsq(found - middle, 4.0 * np.eye(4)[data.y] - 1, rcond=1e-3)[0]
    head.set_weights([kernel, -middle @ kernel])
    return model


@cache
def decomposition() -> Decomposition:
    data = quadrants()
    return modhub.decompose(network(), data.x, data.y, classes=data.classes, name="shapes/smooth")


def channelled(images: Any) -> Any:
    """Each class's logit less the mean of the others."""
    logits = network().predict(images.astype("float32"), verbose=0).astype(np.float64)
    return logits - (logits.sum(axis=1, keepdims=True) - logits) / 3


@pytest.mark.parametrize("mode", ["isolated", "fused"])
def test_modules_answer_as_their_network_on_every_image(tmp_path, mode):
    modhub.publish(decomposition(), version="1.0.0", registry=str(tmp_path / "registry"))
    where = {"registry": str(tmp_path / "registry"), "cache": tmp_path / "cache"}
    unseen = quadrants(10, seed=9).x
    found = modhub.compose("shapes/smooth", mode=mode, **where).predict(unseen)
    expected = channelled(unseen)
    np.testing.assert_allclose(found.margins, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())
    two = modhub.compose(["shapes/smooth:top-left", "shapes/smooth:bottom-right"], mode=mode, **where).predict(unseen)
    np.testing.assert_allclose(two.margins, found.margins[:, [0, 3]], rtol=1e-4, atol=1e-4)


def test_it_is_said_that_nothing_was_left_away():
    assert "no ReLU: each is the whole network with a head of its own" in str(decomposition().report())
    assert {row.jaccard for row in decomposition().report().classes} == {1.0}


def test_an_exported_file_answers_the_same(tmp_path):
    composite = modhub.compose(decomposition())
    composite.to_keras().save(tmp_path / "smooth.keras")
    images = quadrants(3, seed=4).x
    loaded = keras.models.load_model(tmp_path / "smooth.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), composite.predict(images).margins, atol=1e-4)


def test_such_a_release_has_format_2_and_old_ones_keep_theirs():
    assert decomposition().package.manifest.format == 2
    sample = read_manifest(SAMPLE.read_bytes(), what="the sample")
    assert (sample.format, sample.content.sites) == (2, ())
    assert write_manifest(sample) == SAMPLE.read_bytes()
    kinds = {layer.kind for layer in sample.content.origin.architecture.layers.values()}
    newer = {"elementwise", "layer_normalization", "group_normalization", "multiply", "maximum", "cropping2d"}
    assert newer | {"upsampling2d"} <= kinds


def test_a_release_that_uses_more_than_its_format_has_is_refused():
    body = json.loads(SAMPLE.read_bytes())
    del body["checksum"]
    from modhub.spec.schema import with_checksum

    with pytest.raises(IntegrityError, match="needs format 2, but it says 1"):
        read_manifest(with_checksum(body | {"format": 1}), what="x")
