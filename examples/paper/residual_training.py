"""Residual networks, a small one and the paper's, and how they are fitted: one cycle, flips and crops, best epoch.

Every random choice of fitting comes from an explicit seed and none touches the global generators. There is no batch
normalisation, as in the paper's networks, so gradients are clipped.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Images
from modhub.data.images import ImageData
from modhub.engine.run.compiled import JIT_COMPILE
from modhub.errors import UsageError

_PEAK: Final = 0.1
_HELD_OUT: Final = 0.2
_RESCALE: Final = np.float32(1 / 255)
#: Steps whose images are made ready at once: a data set of any size takes the memory of these.
_STRETCH: Final = 200


@dataclass(frozen=True)
class Fitted:
    """``epoch`` gave the weights that were kept. Both shares are the mean recall of the classes: on the images that the
    network was fitted to, and on those held out to choose the epoch. ``curve`` has the
    second after every epoch.
    """

    epoch: int
    share: float
    held_out: float
    curve: tuple[float, ...] = ()


def train_small_resnet(
    data: ImageData, *, seed: int = 0, epochs: int = 60, batch: int = 32
) -> tuple[keras.Model, Fitted]:
    """A ``small_resnet`` fitted to ``data`` (raw images of 0 to 255; the network takes them times 1/255)."""
    model = small_resnet(data.x.shape[1:], len(data.classes), seed=seed)
    return model, fit_one_cycle(model, data.x, data.y, epochs=epochs, seed=seed, batch=batch)


def small_resnet(input_shape: tuple[int, int, int], classes: int, *, seed: int) -> keras.Model:
    """A residual network of 8 layers: 16, 32 and 64 channels, average pooling of all, softmax; untrained."""
    return _residual(input_shape, classes, blocks=1, pool=None, damping=1.0, seed=seed)


def resnet(input_shape: tuple[int, int, int], classes: int, *, depth: int, seed: int) -> keras.Model:
    """The paper's ResNet of ``depth`` 20, 32, 56 or another 6n + 2, version 1 without batch normalisation; untrained.

    Three stages of n blocks with 16, 32 and 64 channels, average pooling 8 (of smaller images what there is), softmax.
    The last convolution of every block starts small, since nothing else keeps a deep sum of blocks from growing. Raises
    UsageError, kind ``bad-depth``.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise UsageError(
            f"a residual network of {depth} layers does not exist.",
            kind="bad-depth",
            hint="depths are 6n + 2: 20, 32 and 56 are the paper's.",
            depth=depth,
        )
    return _residual(input_shape, classes, blocks=blocks, pool=8, damping=1 / (3 * blocks), seed=seed)


def _residual(
    input_shape: tuple[int, int, int], classes: int, *, blocks: int, pool: int | None, damping: float, seed: int
) -> keras.Model:
    """``damping`` scales the variance of the last convolution of every block."""
    seeds, layers = iter(np.random.SeedSequence(seed).generate_state(8 * blocks + 8)), keras.layers

    def convolved(tensor: Any, filters: int, size: int, strides: int = 1, damping: float = 1.0) -> Any:
        he = keras.initializers.VarianceScaling(2 * damping, "fan_in", "truncated_normal", seed=int(next(seeds)))
        return layers.Conv2D(filters, size, strides=strides, padding="same", kernel_initializer=he)(tensor)

    image = keras.Input(input_shape)
    x = layers.ReLU()(convolved(image, 16, 3))
    for filters, block in itertools.product((16, 32, 64), range(blocks)):
        narrower = filters > 16 and block == 0
        strides = 2 if narrower else 1
        y = convolved(layers.ReLU()(convolved(x, filters, 3, strides)), filters, 3, damping=damping)
        x = convolved(x, filters, 1, strides) if narrower else x
        x = layers.ReLU()(layers.Add()([x, y]))
    glorot = keras.initializers.GlorotUniform(seed=int(next(seeds)))
    window = (x.shape[1], x.shape[2]) if pool is None else (min(pool, x.shape[1]), min(pool, x.shape[2]))
    x = layers.Flatten()(layers.AveragePooling2D(window)(x))
    return keras.Model(image, layers.Dense(classes, activation="softmax", kernel_initializer=glorot, name="head")(x))


@dataclass(eq=False)
class Progress:
    """A fitting at the end of an epoch: all that the epochs to come depend on, and the best weights so far.

    ``best`` is mean recall on the held out, minus the loss there, the epoch that gave them. ``random`` is the state of
    the generator of orders and crops.
    """

    curve: list[float]
    best: tuple[float, float, int]
    kept: list[NDArray[Any]]
    weights: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]
    random: dict[str, Any]


def fit_one_cycle(
    model: keras.Model,
    images: Images,
    labels: NDArray[np.int64],
    *,
    epochs: int,
    seed: int,
    batch: int = 32,
    held_out: float = _HELD_OUT,
    progress: Progress | None = None,
    after_epoch: Callable[[Progress], bool | None] | None = None,
) -> Fitted:
    """Fit ``model`` to raw images (N, H, W, C) of 0 to 255 with ``labels`` (N,), every class weighing the same.

    SGD with momentum; the share ``held_out`` of each class is. The model keeps the weights of the epoch with the best
    mean recall there, the lower loss among equals. ``after_epoch`` is called with the progress and ends the fitting by
    True; the same call with that ``progress`` goes on from there, as if it had not stopped.
    """
    random = np.random.default_rng(seed)
    fit, held = _split(labels, random, held_out)
    _compile(model, epochs * -(-len(fit) // batch))
    counts = np.bincount(labels[fit])
    weights = len(fit) / (len(counts) * counts)[labels]
    if progress is None:
        progress = Progress([], (-1.0, 0.0, 0), model.get_weights(), [], [], {})
    else:
        _set(model, progress)
        random.bit_generator.state = progress.random
    while (epoch := len(progress.curve) + 1) <= epochs:
        order = random.permutation(fit)
        for part in np.split(order, range(_STRETCH * batch, len(order), _STRETCH * batch)):
            seen = augmented(images[part], random) * _RESCALE
            model.fit(seen, labels[part], sample_weight=weights[part], batch_size=batch, shuffle=False, verbose=0)
        shares = probabilities(model, images[held])
        loss = -np.log(shares[np.arange(len(held)), labels[held]] + 1e-7).mean()
        score = (mean_recall(shares, labels[held]), -float(loss), epoch)
        now = model.get_weights()
        progress = Progress(
            [*progress.curve, score[0]],
            max(progress.best, score),
            now if score > progress.best else progress.kept,
            now,
            [np.asarray(variable) for variable in model.optimizer.variables],
            dict(random.bit_generator.state),
        )
        if after_epoch is not None and after_epoch(progress):
            break
    model.set_weights(progress.kept)
    share = mean_recall(probabilities(model, images[fit]), labels[fit])
    return Fitted(progress.best[2], share, progress.best[0], tuple(progress.curve))


def _set(model: keras.Model, progress: Progress) -> None:
    model.set_weights(progress.weights)
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, progress.optimizer, strict=True):
        variable.assign(value)


def _compile(model: keras.Model, steps: int) -> None:
    warm = max(1, steps // 4)
    rate = keras.optimizers.schedules.CosineDecay(
        _PEAK / 10, max(1, steps - warm), warmup_target=_PEAK, warmup_steps=warm
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=1e-4, clipnorm=1.0)
    # XLA would compile longer than such networks train.
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=JIT_COMPILE)


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


def _split(
    labels: NDArray[np.int64], random: np.random.Generator, share: float = _HELD_OUT
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places to fit with and places held out, of each class in the same share."""
    fit, held = [], []
    for label in np.unique(labels):
        own = random.permutation(np.flatnonzero(labels == label))
        count = max(1, round(share * len(own)))
        held.append(own[:count])
        fit.append(own[count:])
    return np.concatenate(fit), np.concatenate(held)
