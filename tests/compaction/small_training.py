"""A training of a second, in this process or in one that dies in the middle of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from modhub.compaction.checkpoints import Checkpoints
from modhub.compaction.joining import JoinedPart
from modhub.data.images import ImageData
from modhub.engine.compact.polish_joined import Teacher, polished_joined
from modhub.engine.compact.training import Bounds
from modhub.engine.run.network import Network
from modhub.project.checkpoints import FolderCheckpoints
from modhub.spec.architecture import INPUT, Architecture, Call
from modhub.spec.input_contract import ImageContract
from modhub.spec.layers import Conv2D, GlobalPooling2D, ReLU

STEPS = 60


def part() -> JoinedPart:
    """A network of one convolution, with three classes."""
    random = np.random.default_rng(0)
    layers = {
        "conv": Conv2D(filters=6, kernel_size=(3, 3), padding="same"),
        "relu": ReLU(),
        "pool": GlobalPooling2D(kind="global_average_pooling2d"),
    }
    sources = {"conv": INPUT, "relu": "conv", "pool": "relu"}
    architecture = Architecture(
        input_shape=(8, 8, 1),
        layers=layers,
        calls=tuple(Call(id=name, layer=name, inputs=(source,)) for name, source in sources.items()),
        features="pool",
        head="logits",
    )
    weights = {
        "conv/kernel": random.normal(size=(3, 3, 1, 6)).astype(np.float32),
        "conv/bias": np.zeros(6, np.float32),
        "head/kernel": random.normal(size=(6, 3)).astype(np.float32),
        "head/bias": np.zeros(3, np.float32),
    }
    return JoinedPart(
        architecture,
        weights,
        ImageContract(
            height=8, width=8, channels=1, colour="rgb", dtype="uint8", value_range=(0, 255), rescale=1 / 255
        ),
    )


def images() -> ImageData:
    """Sixty images of three classes, each with a square of another size."""
    random = np.random.default_rng(1)
    x = random.integers(0, 80, (60, 8, 8, 1))
    y = np.arange(60) % 3
    for image, label in zip(x, y, strict=True):
        image[: 2 + 2 * label, : 2 + 2 * label] += 150
    return ImageData(x.astype(np.uint8), y, ("small", "middle", "large"), "squares")


def trained(
    checkpoints: Checkpoints | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    steps: int = STEPS,
    seconds_left: Callable[[], float] | None = None,
    minutes: float | None = None,
    data: ImageData | None = None,
) -> tuple[dict[str, Any], int]:
    given = part()
    teacher = Teacher(
        Network(given.architecture, given.weights),
        given.weights["head/kernel"],
        given.weights["head/bias"],
        given.contract,
    )
    bounds = Bounds(progress, seconds_left, checkpoints, minutes)
    return polished_joined(given, [teacher], data or images(), steps=steps, seed=0, bounds=bounds)


def _die(done: int, total: int) -> None:
    if done == 40:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    trained(FolderCheckpoints(sys.argv[1]), _die)
