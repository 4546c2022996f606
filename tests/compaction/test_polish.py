"""Training towards the whole network: nearer to its logits, the same again, and the same after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modhub.engine.compact.observing import network_logits
from modhub.engine.compact.polish import PolishSettings, polished
from modhub.engine.compact.training import Bounds
from modhub.engine.run.network import Network
from modhub.project.checkpoints import FolderCheckpoints
from tests.compaction.small_training import images, part

#: The stop and the checkpoint before it are in the second round of the images in use, a round being 32 steps.
STEPS = 70
WHOLE = part()
_random = np.random.default_rng(3)
WORSE = {
    name: (value + 0.3 * _random.normal(size=value.shape)).astype(np.float32) for name, value in WHOLE.weights.items()
}


class Stopped(Exception):
    """What somebody who presses Ctrl-C raises."""


def trained(bounds: Bounds) -> dict[str, Any]:
    kept = {name: np.ones(6, bool) for name in ("conv", "relu", "pool")}
    weights, steps = polished(
        WHOLE.architecture, WORSE, WHOLE.architecture, WHOLE.weights, kept, WHOLE.contract, images().x,
        PolishSettings(STEPS, seed=5), bounds,
    )  # fmt: skip
    assert steps == STEPS
    return weights


def error(weights: dict[str, Any]) -> float:
    logits = [
        network_logits(Network(WHOLE.architecture, given), given, WHOLE.contract, images().x)
        for given in (weights, WHOLE.weights)
    ]
    apart = logits[0] - logits[1]
    return float(np.square(apart - apart.mean(axis=1, keepdims=True)).mean())


def test_it_comes_nearer_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = trained(Bounds(lambda done, total: None))
    assert error(whole) < 0.3 * error(WORSE)

    def stop(done: int, total: int) -> None:
        if done == 60:
            raise Stopped

    steps: list[int] = []
    with pytest.raises(Stopped):
        trained(Bounds(stop, checkpoints=FolderCheckpoints(tmp_path)))
    resumed = trained(Bounds(lambda done, total: steps.append(done), checkpoints=FolderCheckpoints(tmp_path)))
    assert steps == list(range(51, STEPS + 1))
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value)
