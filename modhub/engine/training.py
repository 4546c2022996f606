"""A small convolutional network, trained on the spot: an origin for the demonstration, the examples and the tests.

Every random choice comes from an explicit seed and none touches the global generators, so the same call on the same
machine trains the same network up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Images
from modhub.data.images import ImageData
from modhub.engine.library import keras
from modhub.engine.run.compiled import JIT_COMPILE

#: What the network takes is the raw image times this.
RESCALE: Final = 1 / 255

_BATCH: Final = 32


def small_cnn(input_shape: tuple[int, int, int], classes: int, *, seed: int) -> keras.Model:
    """Three convolutions with ReLU, two poolings, Dense 48 with ReLU, softmax; untrained, weights from ``seed``."""
    seeds = iter(np.random.SeedSequence(seed).generate_state(5))

    def he() -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=int(next(seeds)))

    layers, single = keras.layers, "float32"
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype=single),
            layers.Conv2D(
                16, 3, padding="same", activation="relu", kernel_initializer=he(), name="conv_1", dtype=single
            ),
            layers.MaxPooling2D(2, name="pool_1", dtype=single),
            layers.Conv2D(
                32, 3, padding="same", activation="relu", kernel_initializer=he(), name="conv_2", dtype=single
            ),
            layers.MaxPooling2D(2, name="pool_2", dtype=single),
            layers.Conv2D(
                32, 3, padding="same", activation="relu", kernel_initializer=he(), name="conv_3", dtype=single
            ),
            layers.Flatten(name="flatten", dtype=single),
            layers.Dense(48, activation="relu", kernel_initializer=he(), name="dense", dtype=single),
            layers.Dense(classes, activation="softmax", kernel_initializer=he(), name="head", dtype=single),
        ],
        name="small_cnn",
    )


def train_small_cnn(
    data: ImageData, *, seed: int = 0, epochs: int = 15, progress: Callable[[int, int], None] | None = None
) -> keras.Model:
    """A ``small_cnn`` fitted to ``data`` (images of 0 to 255; the network takes them times ``RESCALE``).

    ``progress`` is called after every epoch with the epochs done and their number.
    """
    model = small_cnn(data.x.shape[1:], len(data.classes), seed=seed)
    steps = -(-len(data) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps)
    # XLA would compile longer than this network trains.
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", jit_compile=JIT_COMPILE)
    order = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        chosen = order.permutation(len(data))
        model.fit(_scaled(data.x[chosen]), data.y[chosen], batch_size=_BATCH, shuffle=False, verbose=0)
        if progress is not None:
            progress(epoch, epochs)
    return model


def predict_proba(model: keras.Model, images: Images) -> NDArray[np.float32]:
    """The network's probabilities (N, classes) for raw images (N, H, W, C)."""
    probabilities: NDArray[Any] = model.predict(_scaled(images), batch_size=256, verbose=0)
    return probabilities.astype(np.float32, copy=False)


def _scaled(images: Images) -> NDArray[np.float32]:
    return images.astype(np.float32) * np.float32(RESCALE)
