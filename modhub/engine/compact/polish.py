"""Training a smaller network a little, to give what the whole one gives: optional, because it is not closed form.

Adam on the squared error of centred logits, and of the last tensor of each size, each relative to its variance, over
images that are shifted by up to four pixels and mirrored. No label is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.compact.observing import network_logits, tensors_of
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
from modhub.engine.library import keras
from modhub.engine.run.network import Network
from modhub.package.module import Weights
from modhub.spec.architecture import Architecture
from modhub.spec.input_contract import InputContract

_Singles = NDArray[np.float32]

#: Steps where nothing is said.
POLISH_STEPS: Final = 1600
_PEAK: Final = 2e-3
_FEATURE_SHARE: Final = 0.3


@dataclass(frozen=True)
class PolishSettings:
    """How many steps of 128 images, and the seed that decides which images and how they are shifted and mirrored."""

    steps: int = POLISH_STEPS
    seed: int = 0


def polished(
    architecture: Architecture,
    weights: Weights,
    whole: Architecture,
    whole_weights: Weights,
    kept: Mapping[str, NDArray[np.bool_]],
    contract: InputContract,
    images: NDArray[Any],
    settings: PolishSettings,
    bounds: Bounds,
) -> tuple[dict[str, _Singles], int]:
    """The weights of a smaller network after training on raw ``images`` (n, H, W, C), and the steps that were done.

    ``kept`` as for ``refit``.
    """
    student, teacher = Network(architecture, weights), Network(whole, whole_weights, prefix="whole_")
    compared = compared_tensors(architecture, whole, student, teacher)
    scales = _variances(teacher, whole_weights, contract, images[:500], compared)
    x = keras.Input(architecture.input_shape, dtype="float32")
    head = keras.layers.Dense(len(weights["head/bias"]), name="head", dtype="float32")
    own, theirs = _tensors(student, x, compared), _tensors(teacher, x, compared)
    outputs = {"logits": head(own[architecture.features])}
    known = keras.layers.Dense(len(weights["head/bias"]), name="whole_head", dtype="float32", trainable=False)
    targets = {"logits": known(theirs[whole.features])}
    head.set_weights([weights["head/kernel"], weights["head/bias"]])
    known.set_weights([whole_weights["head/kernel"], whole_weights["head/bias"]])
    for name in compared:
        outputs[name], targets[name] = own[name], theirs[name]
    release(student)
    columns = {name: np.flatnonzero(kept[name]) for name in compared}
    model = Distillation(x, {"own": outputs, "whole": targets}, scales=scales, columns=columns)

    def batch(step: int) -> tuple[_Singles, None]:
        draw = np.random.default_rng([settings.seed, 2, step])
        return training_images(images[draw.integers(0, len(images), BATCH)], contract, draw), None

    schedule = Schedule(settings.steps, _PEAK)
    networks = [(architecture, weights), (whole, whole_weights)]
    inputs = training_inputs("logits", networks, contract, [images], schedule, settings.seed)
    steps = train(model, batch, schedule, inputs, bounds)
    return trained_weights(architecture, weights, student, head), steps


def compared_tensors(
    architecture: Architecture, whole: Architecture, student: Network, teacher: Network
) -> tuple[str, ...]:
    """Of each size of image inside the whole network the last tensor that both networks have."""
    own = {call.id for call in architecture.calls}
    last: dict[tuple[int, ...], str] = {}
    for call in whole.calls:
        shape = teacher.shapes[call.id]
        if call.id in own and len(shape) == 3 and student.shapes[call.id][:-1] == shape[:-1]:
            last[shape[:-1]] = call.id
    return tuple(last.values())


def _tensors(network: Network, x: Any, wanted: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(call: str, output: Any) -> Any:
        if call in wanted or call == network.architecture.features:
            found[call] = output
        return output

    network.run(x, visit)
    return found


def _variances(
    teacher: Network, weights: Weights, contract: InputContract, images: NDArray[Any], compared: tuple[str, ...]
) -> dict[str, float]:
    logits = network_logits(teacher, weights, contract, images)
    centred = logits - logits.mean(axis=1, keepdims=True)
    sums = {name: np.zeros(3) for name in compared}
    for _, found in tensors_of(teacher, contract, images, compared) if compared else []:
        for name, value in found.items():
            sums[name] += (value.sum(dtype=np.float64), (value.astype(np.float64) ** 2).sum(), value.size)
    spread = {name: float(square / count - (first / count) ** 2) for name, (first, square, count) in sums.items()}
    return {name: max(value, 1e-12) for name, value in ({"logits": float(centred.var())} | spread).items()}


class Distillation(keras.Model):
    """A model of both networks' tensors whose loss is how far they are apart."""

    def __init__(self, inputs: Any, outputs: Any, *, scales: dict[str, float], columns: dict[str, Any]) -> None:
        super().__init__(inputs, outputs)
        self._scales, self._columns = scales, columns

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        ops = keras.ops
        own, whole = y_pred["own"], y_pred["whole"]
        apart = own["logits"] - whole["logits"]
        apart = apart - ops.mean(apart, axis=-1, keepdims=True)
        total = ops.mean(ops.square(apart)) / self._scales["logits"]
        for name, columns in self._columns.items():
            target = ops.take(whole[name], columns, axis=-1)
            total = total + _FEATURE_SHARE * ops.mean(ops.square(own[name] - target)) / self._scales[name]
        return total
