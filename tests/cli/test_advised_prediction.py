"""A classifier says on its first prediction what registries say against its modules; offline too, and it goes on."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import modhub
from tests.cli.running import Result, Workshop


def test_predicting_says_it_once_and_answers(run: Callable[..., Result], workshop: Workshop, tmp_path: Path) -> None:
    registry = shutil.copytree(workshop.registry, tmp_path / "registry")
    said = modhub.advise("me/net:cat@^1", "answers wolf", severity="low", registry=str(registry))
    line = f"warning: me/net:cat@1.0.0 is faulty (low, {said.advisory.id}): answers wolf\n"
    names = ("me/net:cat", "me/net:dog", "--images", workshop["images"])
    online = run("predict", *names, "--registry", registry)
    assert (online.code, online.err.count(line)) == (0, 1)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        pets = modhub.compose(["me/net:cat", "me/net:dog"], registry=str(registry))
        first, told = pets.predict(np.zeros((1, 12, 12, 1), np.uint8)), len(warned)
        assert pets.predict(np.zeros((1, 12, 12, 1), np.uint8)).labels == first.labels
    assert sum(said.advisory.id in str(each.message) for each in warned) == 1
    assert len(warned) == told
