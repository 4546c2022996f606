"""Training a smaller network a little, to give what the whole one gives: optional, because it is not closed form.

Adam in whitened coordinates, on the squared error of centred logits, and of the last tensor of each size, each relative
to its variance, over images that are shifted by up to four pixels and mirrored. No label is used. What the whole
network gives for a moved image is computed once and used in several steps (data echoing: Choi, Passos, Shallue and
Dahl, 2019).
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
    kernels,
    release,
    train,
    trained_weights,
    training_images,
    training_inputs,
)
from modhub.engine.compact.whitening import WhitenedAdam, input_factors
from modhub.engine.library import keras
from modhub.engine.run.network import Network
from modhub.package.module import Weights
from modhub.spec.architecture import Architecture
from modhub.spec.input_contract import InputContract

_Singles = NDArray[np.float32]

#: Steps where nothing is said.
POLISH_STEPS: Final = 700
_PEAK: Final = 2e-3
_FEATURE_SHARE: Final = 0.3
#: How often a moved image is used, and in how many batches those that are in use are mixed.
_USES: Final = 4
_POOL_BATCHES: Final = 8
#: What the whole network's tensors of the images in use may take.
_POOL_BYTES: Final = 256 * 2**20
_FACTOR_IMAGES: Final = 500


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
    own = _tensors(student, x, compared)
    outputs = {"logits": head(own[architecture.features])} | {name: own[name] for name in compared}
    head.set_weights([weights["head/kernel"], weights["head/bias"]])
    release(student)
    model = Distillation(x, outputs, scales=scales)
    pool = _Pool(_targets(teacher, whole_weights, kept, compared), contract, images, settings.seed)
    schedule = Schedule(settings.steps, _PEAK)
    networks = [(architecture, weights), (whole, whole_weights)]
    inputs = training_inputs("logits, whitened", networks, contract, [images], schedule, settings.seed)
    factors = input_factors(Network(architecture, weights), contract, images[:_FACTOR_IMAGES], seed=settings.seed)
    places = kernels(architecture, student, head)
    optimizer = WhitenedAdam([factors.get(places.get(id(each), "")) for each in model.trainable_variables])
    steps = train(model, pool.batch, schedule, inputs, bounds, optimizer)
    return trained_weights(architecture, weights, student, head), steps


def _targets(
    teacher: Network, weights: Weights, kept: Mapping[str, NDArray[np.bool_]], compared: tuple[str, ...]
) -> Any:
    """The Keras model from prepared images to what the whole network gives, of its ``compared`` tensors the channels
    that are kept."""
    x = keras.Input(teacher.architecture.input_shape, dtype="float32")
    found = _tensors(teacher, x, compared)
    head = keras.layers.Dense(len(weights["head/bias"]), name="whole_head", dtype="float32", trainable=False)
    targets = {"logits": head(found[teacher.architecture.features])}
    head.set_weights([weights["head/kernel"], weights["head/bias"]])
    for name in compared:
        targets[name] = keras.ops.take(found[name], np.flatnonzero(kept[name]), axis=-1)
    return keras.Model(x, targets)


class _Pool:
    """Moved images and what the whole network gives for them, each in several batches of a round.

    What a step gets follows from its number and the seed, so that a training goes on anywhere.
    """

    def __init__(self, targets: Any, contract: InputContract, images: NDArray[Any], seed: int) -> None:
        self._targets, self._contract, self._images, self._seed = targets, contract, images, seed
        image_bytes = 4 * sum(int(np.prod(each.shape[1:])) for each in [*targets.inputs, *targets.output.values()])
        self._size = int(np.clip(_POOL_BYTES // (BATCH * image_bytes), 1, _POOL_BATCHES))
        self._uses = min(_USES, self._size)
        self._round: tuple[int, _Singles, dict[str, _Singles]] | None = None

    def batch(self, step: int) -> tuple[_Singles, dict[str, _Singles]]:
        number, place = divmod(step, self._size * self._uses)
        use, place = divmod(place, self._size)
        if self._round is None or self._round[0] != number:
            self._round = (number, *self._drawn(number))
        _, images, targets = self._round
        order = np.random.default_rng([self._seed, 4, number, use]).permutation(len(images))
        rows = order[place * BATCH : (place + 1) * BATCH]
        return images[rows], {name: values[rows] for name, values in targets.items()}

    def _drawn(self, number: int) -> tuple[_Singles, dict[str, _Singles]]:
        """The images of a round, and what the whole network gives for them."""
        draw = np.random.default_rng([self._seed, 2, number])
        chosen = self._images[draw.integers(0, len(self._images), self._size * BATCH)]
        images = training_images(chosen, self._contract, draw)
        parts = [
            self._targets.predict_on_batch(images[first : first + BATCH]) for first in range(0, len(images), BATCH)
        ]
        return images, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
    """A model of the smaller network's tensors whose loss is how far they are from those that are wanted."""

    def __init__(self, inputs: Any, outputs: Any, *, scales: dict[str, float]) -> None:
        super().__init__(inputs, outputs)
        self._scales = scales

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        ops = keras.ops
        apart = y_pred["logits"] - y["logits"]
        apart = apart - ops.mean(apart, axis=-1, keepdims=True)
        total = ops.mean(ops.square(apart)) / self._scales["logits"]
        for name in sorted(self._scales.keys() - {"logits"}):
            total = total + _FEATURE_SHARE * ops.mean(ops.square(y_pred[name] - y[name])) / self._scales[name]
        return total
