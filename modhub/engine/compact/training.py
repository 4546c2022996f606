"""Training a network that was made smaller by some steps of Adam: the loop, its schedule, and its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.run.compiled import JIT_COMPILE
from modhub.engine.run.network import Network
from modhub.package.module import Weights
from modhub.spec.architecture import Architecture
from modhub.spec.layers import Conv2D, Dense

_Singles = NDArray[np.float32]

#: Images of a step.
BATCH: Final = 128
_WARM_UP: Final = 50
_LAST_SHARE: Final = 0.01
_SHIFT: Final = 4

#: The images (n, H, W, C) and the labels, or None, of a step by its number: the same whenever it is asked.
Batches = Callable[[int], tuple[_Singles, NDArray[np.int32] | None]]


@dataclass(frozen=True)
class Schedule:
    """How many steps, and the learning rate: a rise over 50 steps to ``peak``, then half a cosine down to 1 % of it."""

    steps: int
    peak: float

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < _WARM_UP:
            return self.peak * step / _WARM_UP
        done = min((step - _WARM_UP) / max(self.steps - _WARM_UP, 1), 1.0)
        return self.peak * (_LAST_SHARE + (1 - _LAST_SHARE) * 0.5 * (1 + float(np.cos(np.pi * done))))


def train(model: Any, batches: Batches, schedule: Schedule, progress: Callable[[int, int], None]) -> None:
    """Train a Keras model whose ``compute_loss`` says all. Called on ``progress``: steps done, and in all."""
    optimizer = keras.optimizers.Adam(schedule.rate(0))
    model.compile(optimizer, jit_compile=JIT_COMPILE)
    for step in range(schedule.steps):
        optimizer.learning_rate = schedule.rate(step)
        images, labels = batches(step)
        model.train_on_batch(images, labels)
        progress(step + 1, schedule.steps)


def release(network: Network) -> None:
    """Let the convolutions and dense layers of ``network`` be trained."""
    for call in network.architecture.calls:
        if isinstance(network.architecture.layer_of(call), Conv2D | Dense):
            network.layers[call.layer].trainable = True


def trained_weights(architecture: Architecture, weights: Weights, network: Network, head: Any) -> dict[str, _Singles]:
    """``weights`` as they are after training, the head's in a layer of its own."""
    values = {name: np.asarray(value) for name, value in weights.items()}
    for call in architecture.calls:
        record = architecture.layer_of(call)
        if isinstance(record, Conv2D | Dense):
            layer = network.layers[call.layer]
            for part in ("kernel", "bias") if record.use_bias else ("kernel",):
                name = f"{call.layer}/{part}"
                values[name] = keras.ops.convert_to_numpy(getattr(layer, part)).reshape(values[name].shape)
    values["head/kernel"], values["head/bias"] = head.get_weights()
    return values


def moved(images: _Singles, draw: np.random.Generator) -> _Singles:
    """Images (n, H, W, C), each shifted by up to four pixels and mirrored or not, as drawn."""
    steps = draw.integers(-_SHIFT, _SHIFT + 1, (len(images), 2))
    return shifted(images, steps, draw.random(len(images)) < 0.5)


def shifted(images: _Singles, steps: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> _Singles:
    """Each image (n, H, W, C) moved by its ``steps`` (n, 2), rows and columns, with zeros behind it, or mirrored."""
    rows, columns = images.shape[1:3]
    most = int(np.abs(steps).max(initial=0))
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    down = (np.arange(rows) + most - steps[:, :1])[:, :, None]
    across = np.where(mirrored[:, None], np.arange(columns)[::-1], np.arange(columns)) + most - steps[:, 1:]
    return np.asarray(padded[np.arange(len(images))[:, None, None], down, across[:, None, :]])
