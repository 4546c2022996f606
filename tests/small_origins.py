"""Two small origins on 8x8 grey images, and their decompositions, made once a session and without training.

Convolutions have seeded random weights; the head is the least-squares fit to the features, so that both answer their
own data well. ``quadrants`` says which quarter of the image is bright, ``bars`` which way a line runs; both know a
class called ``top left``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import modhub
from modhub.package.decomposition import Decomposition, with_digests
from modhub.package.module import Module, PackedMasks

SHAPE = (8, 8, 1)


@dataclass(frozen=True, eq=False)
class Data:
    """Raw images uint8 (N, 8, 8, 1), labels (N,), class names."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    classes: tuple[str, ...]


@cache
def quadrants(each: int = 30, seed: int = 0) -> Data:
    """Images with one bright quarter each."""
    places = [(0, 0), (0, 4), (4, 0), (4, 4)]

    def draw(image: Any, label: int, random: np.random.Generator) -> None:
        row, column = places[label]
        image[row : row + 4, column : column + 4] += random.integers(90, 160, size=(4, 4))

    return _drawn(("top left", "top right", "bottom left", "bottom right"), each, seed, draw)


@cache
def bars(each: int = 30, seed: int = 1) -> Data:
    """Images with a horizontal line, a vertical one, or a bright corner."""

    def draw(image: Any, label: int, random: np.random.Generator) -> None:
        at = random.integers(1, 7)
        if label == 2:
            image[:3, :3] += 130
        else:
            image[(at, slice(None)) if label == 0 else (slice(None), at)] += 130

    return _drawn(("horizontal", "vertical", "top left"), each, seed, draw)


def _drawn(classes: tuple[str, ...], each: int, seed: int, draw: Callable[..., None]) -> Data:
    random = np.random.default_rng(seed)
    y = random.permutation(np.repeat(np.arange(len(classes)), each))
    images = random.integers(0, 60, size=(len(y), 8, 8))
    for image, label in zip(images, y, strict=True):
        draw(image, int(label), random)
    return Data(images.astype(np.uint8)[..., None], y.astype(np.int64), classes)


def residual_features(image: Any) -> Any:
    """Convolution, pooling, a residual block with batch normalisation, and a hidden dense layer."""
    layers = keras.layers
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="stem")(image)
    x = layers.MaxPooling2D(2, name="pool")(x)
    y = layers.Conv2D(5, 3, padding="same", use_bias=False, name="conv")(x)
    y = layers.BatchNormalization(name="norm")(y)
    x = layers.ReLU(name="relu")(layers.Add(name="add")([x, y]))
    return layers.Dense(24, activation="relu", name="hidden")(layers.Flatten(name="flatten")(x))


def plain_features(image: Any) -> Any:
    """One strided convolution and a hidden dense layer."""
    layers = keras.layers
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    return layers.Dense(20, activation="relu", name="hidden")(layers.Flatten(name="flatten")(x))


def fitted_model(data: Data, features: Callable[[Any], Any], *, rescale: float = 1 / 255, seed: int = 0) -> Any:
    """A classifier with random features and a fitted softmax head, trained on ``x * rescale``."""
    keras.utils.set_random_seed(seed)
    image = keras.Input(data.x.shape[1:], name="image")
    trunk = keras.Model(image, features(image))
    head = keras.layers.Dense(len(data.classes), activation="softmax", name="classes")
    model = keras.Model(image, head(trunk.output))
    h = trunk.predict(data.x * np.float32(rescale), verbose=0)
    targets = 6 * np.eye(len(data.classes))[data.y] - 3
    solution = np.linalg.lstsq(np.c_[h, np.ones(len(h))], targets, rcond=1e-4)[0]
    head.set_weights([solution[:-1].astype(np.float32), solution[-1].astype(np.float32)])
    return model


@cache
def quadrants_model() -> Any:
    return fitted_model(quadrants(), residual_features)


@cache
def bars_model() -> Any:
    return fitted_model(bars(), plain_features, seed=3)


def decomposed(model: Any, data: Data, name: str, **options: Any) -> Decomposition:
    """``modhub.decompose`` on scaled images without its warnings about small classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return modhub.decompose(
            model, data.x, data.y, classes=data.classes, name=name, **({"rescale": 1 / 255, "batch_size": 32} | options)
        )


@cache
def quadrant_modules() -> Decomposition:
    """Decomposed so that backtracking takes away nodes that matter."""
    return decomposed(quadrants_model(), quadrants(), "shapes/quadrants", delta="q30", backtrack="input")


@cache
def bar_modules() -> Decomposition:
    return decomposed(bars_model(), bars(), "lines/bars", validation=(bars(seed=5).x, bars(seed=5).y))


def with_random_masks(module: Module, seed: int, share: float = 0.7) -> Module:
    """The module keeping a random ``share`` of its nodes, with its own digest."""
    random = np.random.default_rng(seed)
    keep = PackedMasks.of({site: mask & (random.random(mask.shape) < share) for site, mask in module.keep.items()})
    return with_digests([replace(module, keep=keep)])[0]
