"""Networks trained on two classes alone: what reuse is compared with.

The architecture is a trained network's, with fresh weights and a head of two outputs. Only the training images at hand
are used, however few they are. A fifth of them is held out to choose the epoch. A network that has not learnt its own
training images is marked: it is no baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from study import Figures

from examples.paper.residual_training import fit_one_cycle, probabilities

#: A network below this mean recall on the images that it was fitted to is undertrained; fixed beforehand.
LEARNT = 0.9


@dataclass(frozen=True, eq=False)
class TwoClasses:
    """Raw images uint8 (N, H, W, C) of two classes with labels 0 and 1, to train and to test with."""

    x: Any
    y: Any
    test_x: Any
    test_y: Any

    @classmethod
    def of(cls, train: Sequence[Any], test: Sequence[Any]) -> TwoClasses:
        """Of each class's images, the first class first."""
        labels = [np.repeat((0, 1), [len(part) for part in parts]) for parts in (train, test)]
        return cls(np.concatenate(train), labels[0], np.concatenate(test), labels[1])


def fresh(network: Any, classes: int = 2) -> Any:
    """The architecture of ``network`` with new weights and a softmax head of ``classes`` outputs."""
    trunk = keras.models.clone_model(keras.Model(network.inputs, network.layers[-1].input))
    head = keras.layers.Dense(classes, activation="softmax", name="head")
    return keras.Model(trunk.input, head(trunk.output))


def train(network: Any, data: TwoClasses, *, epochs: int, seed: int, batch: int) -> Figures:
    """The figures of a network with the architecture of ``network`` fitted to ``data``; ``curve`` is of every epoch."""
    keras.utils.set_random_seed(seed)
    model = fresh(network)
    fitted = fit_one_cycle(model, data.x, data.y, epochs=epochs, seed=seed, batch=batch)
    found = probabilities(model, data.test_x).argmax(axis=1)
    return {
        "best_epoch": fitted.epoch,
        "curve": list(fitted.curve),
        "images": [int(count) for count in np.bincount(data.y)],
        "test_images": len(data.test_y),
        "fitted": fitted.share,
        "held_out": fitted.held_out,
        "recalls": [float((found[data.test_y == label] == label).mean()) for label in (0, 1)],
        "accuracy": float((found == data.test_y).mean()),
        "undertrained": bool(fitted.share < LEARNT),
    }
