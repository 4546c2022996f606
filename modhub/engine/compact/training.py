"""Training a network that was made smaller by some steps of Adam: the loop, its schedule, and its images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.checkpoints import Checkpoint, Checkpoints
from modhub.engine.compact.observing import prepared_images
from modhub.engine.library import keras
from modhub.engine.run.compiled import JIT_COMPILE
from modhub.engine.run.network import Network
from modhub.package.module import Weights
from modhub.package.weights_blob import weights_digest
from modhub.spec.architecture import HEAD, Architecture
from modhub.spec.digests import Digest, canonical_json, sha256
from modhub.spec.input_contract import ImageContract, InputContract
from modhub.spec.layers import Conv2D, Dense

_Singles = NDArray[np.float32]

#: Images of a step.
BATCH: Final = 128
_WARM_UP: Final = 50
_LAST_SHARE: Final = 0.01
_SHIFT: Final = 4
#: Steps between two checkpoints.
_KEPT_EVERY: Final = 25
#: How much the last step counts in the mean time of a step.
_RECENT: Final = 0.1

#: The images (n, H, W, C) of a step by its number, and what the loss compares with: the same whenever it is asked.
TrainingBatches = Callable[[int], tuple[_Singles, NDArray[np.int32] | dict[str, _Singles]]]


@dataclass(frozen=True)
class Schedule:
    """How many steps, and the learning rate: a rise over 50 steps to ``peak``, then half a cosine down to 1 % of it."""

    steps: int
    peak: float

    def rate(self, step: int, share: float) -> float:
        """The learning rate of a step, counted from 0, when ``share`` of the schedule is behind."""
        done = (share * self.steps - _WARM_UP) / max(self.steps - _WARM_UP, 1)
        cosine = 0.5 * (1 + float(np.cos(np.pi * min(max(done, 0.0), 1.0))))
        return self.peak * min(step / _WARM_UP, _LAST_SHARE + (1 - _LAST_SHARE) * cosine)


@dataclass(frozen=True)
class Bounds:
    """What watches a training: ``progress`` is told the steps done and in all, ``seconds_left`` says how long it may
    take yet, of ``minutes`` in all, and ``checkpoints`` keep where it stands."""

    progress: Callable[[int, int], None]
    seconds_left: Callable[[], float] | None = None
    checkpoints: Checkpoints | None = None
    minutes: float | None = None


def train(
    model: Any, batches: TrainingBatches, schedule: Schedule, inputs: Digest, bounds: Bounds, optimizer: Any = None
) -> int:
    """Train a Keras model whose ``compute_loss`` says all, with Adam if no optimizer is given; gives the steps that
    were done.

    Where time is short the schedule is gone through in as many steps as it allows. A training with the same ``inputs``
    and minutes goes on from its checkpoint; where time is not bounded, with the same result as without a stop.
    """
    optimizer = optimizer or keras.optimizers.Adam(0.0)
    model.compile(optimizer, jit_compile=JIT_COMPILE)
    optimizer.build(model.trainable_variables)
    variables = [
        *model.trainable_variables,
        *(each for each in optimizer.variables if each is not optimizer.iterations),
    ]
    if bounds.minutes is not None:
        inputs = sha256(canonical_json([inputs, bounds.minutes]))
    found = None if bounds.checkpoints is None else bounds.checkpoints.load(inputs)
    step, share = (0, 0.0) if found is None else (found.step, found.share)
    if found is not None:
        for variable, value in zip(variables, found.variables, strict=True):
            variable.assign(value)
        optimizer.iterations.assign(step)
    pace = _Pace(bounds.seconds_left)
    while step < schedule.steps and share < 1 and pace.has_time():
        optimizer.learning_rate = schedule.rate(step, share)
        images, wanted = batches(step)
        model.train_on_batch(images, wanted)
        step += 1
        share = pace.share(step, share, schedule.steps)
        bounds.progress(step, schedule.steps)
        is_last = step == schedule.steps or share >= 1
        if bounds.checkpoints is not None and (is_last or step % _KEPT_EVERY == 0):
            values = [keras.ops.convert_to_numpy(variable) for variable in variables]
            bounds.checkpoints.save(inputs, Checkpoint(step, share, values))
    if step == 0:
        warnings.warn("no time was left to polish: give more minutes.", stacklevel=2)
    return step


def training_inputs(
    method: str,
    networks: Sequence[tuple[Architecture, Weights]],
    contract: InputContract,
    data: Sequence[NDArray[Any]],
    schedule: Schedule,
    seed: int,
) -> Digest:
    """The digest of all that the result of a training follows from: the ``networks`` with their heads, the first of
    them trained, images and labels as ``data``, and the libraries that compute."""
    known = {
        "method": method,
        "networks": [[each.model_dump(mode="json"), weights_digest(weights)] for each, weights in networks],
        "contract": contract.model_dump(mode="json"),
        "data": [[str(each.dtype), list(each.shape), sha256(np.ascontiguousarray(each).tobytes())] for each in data],
        "steps": schedule.steps,
        "peak": schedule.peak,
        "seed": seed,
        "libraries": [keras.__version__, keras.backend.backend()],
    }
    return sha256(canonical_json(known))


class _Pace:
    """How much of a schedule is behind after each step, by the steps alone or by the time that is left as well."""

    def __init__(self, seconds_left: Callable[[], float] | None) -> None:
        self._seconds_left = seconds_left
        self._before: float | None = None
        self._mean: float | None = None

    def has_time(self) -> bool:
        return self._seconds_left is None or self._seconds_left() > 0

    def share(self, step: int, share: float, steps: int) -> float:
        """What is behind after ``step`` of at most ``steps``, when ``share`` was before it."""
        if self._seconds_left is None:
            return step / steps
        left = self._seconds_left()
        # The first step compiles, and says nothing about the others.
        if self._before is not None:
            took = self._before - left
            self._mean = took if self._mean is None else (1 - _RECENT) * self._mean + _RECENT * took
        self._before = left
        to_come = float(steps - step)
        if self._mean is not None:
            to_come = min(to_come, max(left, 0.0) / max(self._mean, 1e-9))
        return share + (1 - share) / (to_come + 1)


def release(network: Network) -> None:
    """Let the convolutions and dense layers of ``network`` be trained."""
    for call in network.architecture.calls:
        if isinstance(network.architecture.layer_of(call), Conv2D | Dense):
            network.layers[call.layer].trainable = True


def kernels(architecture: Architecture, network: Network, head: Any) -> dict[int, str]:
    """By the ``id`` of each variable that is a kernel of ``network``, the layer's name, and the head's."""
    names = dict.fromkeys(
        call.layer for call in architecture.calls if isinstance(architecture.layer_of(call), Conv2D | Dense)
    )
    return {id(network.layers[name].kernel): name for name in names} | {id(head.kernel): HEAD}


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


def training_images(images: NDArray[Any], contract: InputContract, draw: np.random.Generator) -> _Singles:
    """Raw images (n, H, W, C) as the network takes them, each shifted by up to four pixels and mirrored or not, as
    drawn. Arrays stay as they are: what neighbours mean in them is not known.
    """
    prepared = prepared_images(images, contract)
    return moved(prepared, draw) if isinstance(contract, ImageContract) else prepared


def moved(images: _Singles, draw: np.random.Generator) -> _Singles:
    """Prepared images (n, H, W, C), moved as drawn, with zeros behind them."""
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
