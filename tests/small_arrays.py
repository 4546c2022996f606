"""Two small classifiers of arrays, of rows of a table and of signals, whose heads are least-squares fits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

L = keras.layers


@dataclass(frozen=True, eq=False)
class Arrays:
    """Raw float32 arrays (N, ...), labels (N,), class names."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def both(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return self.x, self.y


@cache
def rows(count: int = 120, seed: int = 0) -> Arrays:
    """Rows of six measures of three kinds of wine, each kind around values of its own."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 3
    middles = np.array([[13.7, 2, 17, 106, 2.8, 1115], [12.3, 1.9, 20, 94, 2.2, 520], [13.1, 3.3, 21, 99, 1.7, 630]])
    spread = np.array([0.4, 0.5, 2.0, 9.0, 0.25, 90.0])
    x = middles[y] + spread * random.normal(size=(count, 6))
    return Arrays(x.astype(np.float32), y, ("barolo", "grignolino", "barbera"))


@cache
def signals(count: int = 120, seed: int = 0) -> Arrays:
    """Signals of 16 steps and two channels: a slow wave, a fast one, or a step."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 3
    steps, start = np.arange(16), random.uniform(0, 6, (count, 1))
    kinds = [np.sin(steps * 0.4 + start), np.sin(steps * 1.6 + start), np.sign(steps - 8 + start / 3)]
    first = np.choose(y[:, None], kinds)
    x = np.stack([first, -first], axis=2) + 0.15 * random.normal(size=(count, 16, 2))
    return Arrays(x.astype(np.float32), y, ("slow", "fast", "step"))


def table_network(seed: int = 0) -> keras.Model:
    """Normalises by itself, as ``Normalization.adapt`` makes it."""
    x = rows().x
    norm = L.Normalization(mean=x.mean(0), variance=x.var(0))
    body = keras.Sequential(
        [keras.Input((6,)), norm, L.Dense(16), L.BatchNormalization(), L.ReLU(), L.Dense(12, activation="relu")]
    )
    return _with_head(body, rows(), seed)


def signal_network(seed: int = 0) -> keras.Model:
    body = keras.Sequential([keras.Input((16, 2)), L.Conv1D(8, 3, activation="relu"), L.MaxPooling1D(2), L.Flatten()])
    return _with_head(body, signals(), seed)


def _with_head(body: keras.Sequential, data: Arrays, seed: int) -> keras.Model:
    random = np.random.default_rng(seed)
    for layer in body.layers:
        if isinstance(layer, L.Dense | L.Conv1D):
            kernel = random.normal(size=layer.kernel.shape) / np.sqrt(np.prod(layer.kernel.shape[:-1]))
            layer.set_weights([kernel.astype("float32"), 0.1 * random.normal(size=layer.bias.shape).astype("float32")])
    features: Any = np.asarray(body.predict_on_batch(data.x))
    design = np.hstack([features, np.ones((len(features), 1))])
    solution = np.linalg.solve(design.T @ design + 0.01 * np.eye(design.shape[1]), design.T @ (8.0 * np.eye(3)[data.y]))
    model = keras.Sequential([keras.Input(data.x.shape[1:]), *body.layers, L.Dense(3, activation="softmax")])
    model.layers[-1].set_weights([solution[:-1].astype("float32"), solution[-1].astype("float32")])
    return model
