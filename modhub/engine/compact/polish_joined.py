"""Training one network of several origins with labels: what is missing is telling classes of different origins apart.

Adam on the cross-entropy over all classes, and on how far the answers for an image are from those of the whole network
that knows its class, over that network's own classes: T^2 times the Kullback-Leibler divergence of the softmax of
logits / T (Hinton, Vinyals and Dean 2015), T = 2. Without these teachers labels make such a network worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.joining import JoinedPart, rescaling, same_preprocessing
from modhub.data.images import ImageData
from modhub.engine.compact.training import (
    BATCH,
    Bounds,
    Schedule,
    release,
    train,
    trained_weights,
    training_images,
    training_inputs,
)
from modhub.engine.library import keras, ops
from modhub.engine.run.network import Network
from modhub.package.module import Weights
from modhub.spec.architecture import Architecture
from modhub.spec.input_contract import InputContract

_Singles = NDArray[np.float32]

_TEMPERATURE: Final = 2.0
#: A short training keeps what is there; a long one with this rate dips first, and rises beyond it.
_PEAK: Final = 1e-3
_LONG_PEAK: Final = 2e-3
_LONG: Final = 400
#: With fewer images of a class than this, training is not tried unless it is asked for by steps.
_FEWEST: Final = 50


@dataclass(frozen=True, eq=False)
class Teacher:
    """A whole network and its head, ``kernel`` (F, classes) and ``bias`` (classes,), for those classes that are
    chosen."""

    network: Network
    kernel: _Singles
    bias: _Singles
    contract: InputContract

    @property
    def whole(self) -> tuple[Architecture, Weights]:
        """The network with its head."""
        head = {"head/kernel": self.kernel, "head/bias": self.bias}
        return self.network.architecture, {**self.network.weights, **head}

    def logits(self, images: Any, contract: InputContract) -> Any:
        """The logits (n, classes) of images prepared by ``contract``: its own, or one that only orders colours."""
        if not same_preprocessing(contract, self.contract):
            numbers = rescaling(self.contract)
            scale, offset = (np.asarray(each, np.float32) for each in (numbers.scale, numbers.offset))
            images = ops.add(ops.multiply(images, scale), offset)
        return ops.add(ops.matmul(self.network.run(images), self.kernel), self.bias)


def steps_for(images: int, classes: int) -> int:
    """How many steps to train where nothing is said: 250 for few images, 800 for many, none for too few."""
    return int(np.clip(100 + images // 20, 250, 800)) if images >= _FEWEST * classes else 0


def polished_joined(
    part: JoinedPart,
    teachers: Sequence[Teacher],
    data: ImageData,
    *,
    steps: int,
    seed: int,
    bounds: Bounds,
) -> tuple[dict[str, _Singles], int]:
    """The weights of a joined network after training on ``data``, whose labels are the columns of its head, and the
    steps that were done.

    The head's columns are those of the teachers, one after another. Each batch has as many images of each teacher's
    classes, and of those as many of each class, as chance has it.
    """
    network = Network(part.architecture, part.weights)
    x = keras.Input(part.architecture.input_shape, dtype="float32")
    head = keras.layers.Dense(len(part.weights["head/bias"]), name="head", dtype="float32")
    logits = head(network.run(x))
    head.set_weights([part.weights["head/kernel"], part.weights["head/bias"]])
    release(network)
    columns = np.cumsum([0, *(len(teacher.bias) for teacher in teachers)]).tolist()
    rows = np.linspace(0, BATCH, len(teachers) + 1).round().astype(int).tolist()
    parts = [
        _Lesson(teacher, slice(*own), slice(*classes))
        for teacher, own, classes in zip(teachers, pairwise(rows), pairwise(columns), strict=True)
    ]
    model = _Joint(x, logits, parts=parts, contract=part.contract)
    own_rows = [np.flatnonzero(data.y == column) for column in range(columns[-1])]

    def batch(step: int) -> tuple[_Singles, NDArray[np.int32]]:
        draw = np.random.default_rng([seed, 3, step])
        labels = np.concatenate(
            [draw.integers(each.classes.start, each.classes.stop, each.rows.stop - each.rows.start) for each in parts]
        )
        chosen = np.array([draw.choice(own_rows[label]) for label in labels])
        return training_images(data.x[chosen], part.contract, draw), labels.astype(np.int32)

    schedule = Schedule(steps, _LONG_PEAK if steps >= _LONG else _PEAK)
    networks = [(part.architecture, part.weights), *(teacher.whole for teacher in teachers)]
    inputs = training_inputs("labels and origins", networks, part.contract, [data.x, data.y], schedule, seed)
    done = train(model, batch, schedule, inputs, bounds)
    return trained_weights(part.architecture, part.weights, network, head), done


@dataclass(frozen=True, eq=False)
class _Lesson:
    """A teacher, and which rows of each batch and which columns of the head are its own."""

    teacher: Teacher
    rows: slice
    classes: slice


class _Joint(keras.Model):
    """The joined network, whose loss is the labels' cross-entropy and the distance to the teachers."""

    def __init__(self, inputs: Any, outputs: Any, *, parts: Sequence[_Lesson], contract: InputContract) -> None:
        # TensorFlow takes no name that begins with an underscore, and Keras would make one of the class's.
        super().__init__(inputs, outputs, name="joint")
        self._parts, self._contract = tuple(parts), contract

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        total = ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True))
        for part in self._parts:
            known = ops.stop_gradient(part.teacher.logits(x[part.rows], self._contract)) / _TEMPERATURE
            own = ops.log_softmax(y_pred[part.rows, part.classes] / _TEMPERATURE)
            apart = ops.sum(ops.softmax(known) * (ops.log_softmax(known) - own))
            total = total + _TEMPERATURE**2 / BATCH * apart
        return total
