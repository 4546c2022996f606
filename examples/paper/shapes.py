"""Drawn images of four classes, and small networks that know them; one of these was fitted to wrong labels."""

from __future__ import annotations

from typing import Any

import numpy as np

import modhub

CLASSES = ("row", "column", "block", "cross")


def images(each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw uint8 images (N, 12, 12, 1) of bright rows, columns, a block or a cross on noise, and labels (N,)."""
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), each)
    x = random.integers(0, 130, (len(y), 12, 12, 1))
    x[y == 0, 2::4] += 110
    x[y == 1, :, 2::4] += 110
    x[y == 2, 3:9, 3:9] += 110
    x[y == 3, 5:7] += 110
    x[y == 3, :, 5:7] += 110
    return np.minimum(x, 255).astype(np.uint8), y


def network(seed: int, y: np.ndarray, x: np.ndarray) -> Any:
    """A network with random convolutions and a head that is fitted to these labels by least squares."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(seed)
    body = [layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()]
    trunk = keras.Sequential([keras.Input((12, 12, 1)), *body])
    features = np.c_[trunk.predict(x / np.float32(255), verbose=0), np.ones(len(x))]
    target = 8 * np.eye(4)[y] - 4
    fitted = np.linalg.solve(features.T @ features + 0.1 * np.eye(features.shape[1]), features.T @ target)
    model = keras.Sequential([*trunk.layers, layers.Dense(4, activation="softmax")])
    model.build((None, 12, 12, 1))
    model.layers[-1].set_weights([fitted[:-1].astype("float32"), fitted[-1].astype("float32")])
    return model


def decompositions() -> dict[str, modhub.Decomposition]:
    """By release: team/shapes, whose first network was fitted to wrong labels of blocks, and other/shapes."""
    x, y = images(150, 1)
    random = np.random.default_rng(2)
    wrong = np.where((y == 2) & (random.random(len(y)) < 0.65), random.choice([0, 1, 3], len(y)), y)
    made = {}
    releases = {"team/shapes@1.0.0": (3, wrong), "team/shapes@1.1.0": (3, y), "other/shapes@1.0.0": (4, y)}
    for release, (seed, labels) in releases.items():
        made[release] = modhub.decompose(
            network(seed, labels, x),
            x,
            labels,
            classes=CLASSES,
            name=release.partition("@")[0],
            rescale=1 / 255,
            validation=images(40, 5),
        )
    return made
