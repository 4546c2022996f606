"""A small residual network for few images, and how such networks are fitted: one cycle, flips and crops, best epoch.

Every random choice of fitting comes from an explicit seed and none touches the global generators. There is no batch
normalisation, as in the paper's networks, so gradients are clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from modhub.data import ImageData
from modhub.inputs import Images

_PEAK: Final = 0.1
_HELD_OUT: Final = 0.2
_RESCALE: Final = np.float32(1 / 255)


@dataclass(frozen=True)
class Fitted:
    """``epoch`` gave the weights that were kept. Both shares are the mean recall of the classes: on the images that the
    network was fitted to, and on those held out to choose the epoch.
    """

    epoch: int
    share: float
    held_out: float


def train_small_resnet(
    data: ImageData, *, seed: int = 0, epochs: int = 60, batch: int = 32
) -> tuple[keras.Model, Fitted]:
    """A ``small_resnet`` fitted to ``data`` (raw images of 0 to 255; the network takes them times 1/255)."""
    model = small_resnet(data.x.shape[1:], len(data.classes), seed=seed)
    return model, fit_one_cycle(model, data.x, data.y, epochs=epochs, seed=seed, batch=batch)


def small_resnet(input_shape: tuple[int, int, int], classes: int, *, seed: int) -> keras.Model:
    """A residual network of 8 layers: 16, 32 and 64 channels, average pooling, softmax; untrained."""
    seeds, layers = iter(np.random.SeedSequence(seed).generate_state(16)), keras.layers

    def convolved(tensor: Any, filters: int, size: int, strides: int = 1) -> Any:
        he = keras.initializers.HeNormal(seed=int(next(seeds)))
        return layers.Conv2D(filters, size, strides=strides, padding="same", kernel_initializer=he)(tensor)

    image = keras.Input(input_shape)
    x = layers.ReLU()(convolved(image, 16, 3))
    for filters in (16, 32, 64):
        strides = 1 if filters == 16 else 2
        y = convolved(layers.ReLU()(convolved(x, filters, 3, strides)), filters, 3)
        x = x if filters == 16 else convolved(x, filters, 1, strides)
        x = layers.ReLU()(layers.Add()([x, y]))
    glorot = keras.initializers.GlorotUniform(seed=int(next(seeds)))
    x = layers.Flatten()(layers.AveragePooling2D((x.shape[1], x.shape[2]))(x))
    return keras.Model(image, layers.Dense(classes, activation="softmax", kernel_initializer=glorot, name="head")(x))


def fit_one_cycle(
    model: keras.Model, images: Images, labels: NDArray[np.int64], *, epochs: int, seed: int, batch: int = 32
) -> Fitted:
    """Fit ``model`` to raw images (N, H, W, C) of 0 to 255 with ``labels`` (N,), every class weighing the same.

    SGD with momentum; a fifth of each class is held out. The model keeps the weights of the epoch with the best mean
    recall there, the lower loss among equals.
    """
    random = np.random.default_rng(seed)
    fit, held = _split(labels, random)
    _compile(model, epochs * -(-len(fit) // batch))
    counts = np.bincount(labels[fit])
    weights = len(fit) / (len(counts) * counts)[labels]
    best: tuple[float, float, int] = (-1.0, 0.0, 0)
    for epoch in range(1, epochs + 1):
        order = random.permutation(fit)
        seen = augmented(images[order], random) * _RESCALE
        model.fit(seen, labels[order], sample_weight=weights[order], batch_size=batch, shuffle=False, verbose=0)
        shares = probabilities(model, images[held])
        loss = -np.log(shares[np.arange(len(held)), labels[held]] + 1e-7).mean()
        score = (mean_recall(shares, labels[held]), -float(loss), epoch)
        if score > best:
            best, kept = score, model.get_weights()
    model.set_weights(kept)
    return Fitted(best[2], mean_recall(probabilities(model, images[fit]), labels[fit]), best[0])


def _compile(model: keras.Model, steps: int) -> None:
    warm = max(1, steps // 4)
    rate = keras.optimizers.schedules.CosineDecay(
        _PEAK / 10, max(1, steps - warm), warmup_target=_PEAK, warmup_steps=warm
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=1e-4, clipnorm=1.0)
    # XLA would compile longer than such networks train.
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)


def augmented(images: Images, random: np.random.Generator) -> NDArray[np.float32]:
    """Half of the images mirrored, each a crop of itself padded by an eighth; (N, H, W, C), values as they were."""
    count, height, width, _ = images.shape
    pad = height // 8
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
    result = np.empty(images.shape, np.float32)
    tops, lefts = random.integers(0, 2 * pad + 1, (2, count))
    mirrored = np.asarray(random.random(count)) < 0.5
    for number in range(count):
        top, left = tops[number], lefts[number]
        crop = padded[number, top : top + height, left : left + width]
        result[number] = crop[:, ::-1] if mirrored[number] else crop
    return result


def probabilities(model: keras.Model, images: Images) -> NDArray[np.float32]:
    """The network's answers (N, classes) to raw images."""
    parts = [model.predict_on_batch(images[at : at + 250] * _RESCALE) for at in range(0, len(images), 250)]
    return np.concatenate(parts)


def mean_recall(shares: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The mean over the classes of the share of their images that is answered right."""
    found = shares.argmax(axis=1)
    return float(np.mean([(found[labels == label] == label).mean() for label in np.unique(labels)]))


def _split(labels: NDArray[np.int64], random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places to fit with and places held out, of each class in the same share."""
    fit, held = [], []
    for label in np.unique(labels):
        own = random.permutation(np.flatnonzero(labels == label))
        count = max(1, round(_HELD_OUT * len(own)))
        held.append(own[:count])
        fit.append(own[count:])
    return np.concatenate(fit), np.concatenate(held)
