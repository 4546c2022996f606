"""Small residual networks: what is shown to them, what is held out, and that they learn, the same for the same seed."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from examples.paper.residual_training import (
    _split,
    augmented,
    mean_recall,
    probabilities,
    small_resnet,
    train_small_resnet,
)
from modhub.data.images import ImageData
from modhub.engine.read.reader import read_model
from tests import small_origins


def two_quadrants(seed: int) -> ImageData:
    data = small_origins.quadrants(seed=seed)
    return ImageData(data.x, data.y, data.classes, "quadrants").restrict(data.classes[:2])


def test_augmented_images_are_crops_of_the_image_or_its_mirror() -> None:
    """Each image is a ramp, so that a crop shows where it was taken: inside, values step by one row and one column."""
    ramp = (np.arange(16)[:, None] * 16 + np.arange(16))[..., None].astype(np.uint8)
    seen = augmented(np.stack([ramp] * 200), np.random.default_rng(0))
    padded = np.pad(ramp, ((2, 2), (2, 2), (0, 0)), mode="reflect").astype(np.float32)
    crops = {padded[top : top + 16, left : left + 16].tobytes() for top in range(5) for left in range(5)}
    mirrors = {np.frombuffer(crop, np.float32).reshape(16, 16, 1)[:, ::-1].tobytes() for crop in crops}
    kinds = [(image.tobytes() in crops, image.tobytes() in mirrors) for image in seen]
    assert all(straight or mirrored for straight, mirrored in kinds)
    assert 70 < sum(straight for straight, _ in kinds) < 130
    assert len({image.tobytes() for image in seen}) > 30


def test_a_fifth_of_each_class_is_held_out() -> None:
    labels = np.repeat([0, 1], [50, 10])
    fit, held = _split(labels, np.random.default_rng(0))
    assert sorted([*fit, *held]) == list(range(60))
    assert np.bincount(labels[held]).tolist() == [10, 2]


def test_mean_recall_weighs_classes_alike() -> None:
    shares = np.array([[0.9, 0.1]] * 4 + [[0.9, 0.1]])
    assert mean_recall(shares, np.array([0, 0, 0, 0, 1])) == 0.5


def test_it_learns_and_the_weights_are_those_of_the_best_epoch() -> None:
    data, test = two_quadrants(0), two_quadrants(9)
    model, fitted = train_small_resnet(data, epochs=6, seed=0)
    assert 1 <= fitted.epoch <= 6
    _, held = _split(data.y, np.random.default_rng(0))
    assert mean_recall(probabilities(model, data.x[held]), data.y[held]) == fitted.held_out
    assert min(fitted.share, mean_recall(probabilities(model, test.x), test.y)) > 0.8


def test_the_network_can_be_read_and_depends_on_its_seed_alone() -> None:
    keras.utils.set_random_seed(1)
    one = small_resnet((16, 16, 3), 2, seed=3)
    keras.utils.set_random_seed(2)
    other = small_resnet((16, 16, 3), 2, seed=3)
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert any(
        not np.array_equal(first, second)
        for first, second in zip(one.get_weights(), small_resnet((16, 16, 3), 2, seed=4).get_weights(), strict=True)
    )
    reading = read_model(one)
    architecture, weights = reading.architecture, reading.weights
    assert architecture.input_shape == (16, 16, 3)
    assert weights["head/kernel"].shape == (64, 2)
    assert one.count_params() == pytest.approx(78_000, rel=0.05)
