"""Other Keras backends, where they are installed: the same masks, and answers that differ by rounding alone.

jax with its libraries is some 380 MB and torch more, so the suite's environment has neither. Each runs in a process of
its own, because Keras chooses its backend when it is imported.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import modhub
from tests.small_origins import quadrants, quadrants_model

SCRIPT = """
import sys
import keras, numpy as np
import modhub
from tests.small_origins import quadrants
assert keras.backend.backend() == sys.argv[1]
model, data, test = keras.models.load_model(sys.argv[2]), quadrants(), quadrants(seed=9)
options = {"rescale": 1 / 255, "backtrack": "input", "delta": "q90"}
made = modhub.decompose(model, data.x, data.y, classes=data.classes, name="a/b", **options)
answers = modhub.compose(list(made.modules)).predict(test.x)
masks = {f"{m.index} {site}": mask for m in made.modules for site, mask in m.keep.items()}
fused = modhub.compose(list(made.modules), mode="fused").predict(test.x)
figures = {"margins": answers.margins, "fused": fused.margins, "thresholds": [m.threshold for m in made.modules]}
np.savez(sys.argv[3], **figures, **masks)
"""

PRECISION = """
import numpy as np
from keras import backend
from modhub.engine.run.compiled import compiled
if backend.backend() == "jax":
    import jax
    settings = lambda: jax.config.jax_default_matmul_precision
    before, wanted = None, "highest"
else:
    import torch
    torch.set_float32_matmul_precision("medium")
    settings = lambda: (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.is_grad_enabled())
    before, wanted = ("medium", True, True), ("highest", False, False)
inside = []
compiled(lambda x: inside.append(settings()) or x + 1)(np.ones(2, np.float32))
assert settings() == before, settings()
assert inside == [wanted], inside
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_float32_is_float32_and_only_inside(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PRECISION], env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_gives_the_same_modules(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    model, data, test = quadrants_model(), quadrants(), quadrants(seed=9)
    model.save(tmp_path / "model.keras")
    files = [str(tmp_path / name) for name in ("model.keras", "found.npz")]
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, backend, *files], env=environment, cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made = modhub.decompose(
        model, data.x, data.y, classes=data.classes, name="a/b", rescale=1 / 255, backtrack="input", delta="q90"
    )
    own, fused = (modhub.compose(list(made.modules), mode=mode).predict(test.x) for mode in ("isolated", "fused"))
    with np.load(files[1]) as found:
        for module in made.modules:
            for site, mask in module.keep.items():
                np.testing.assert_array_equal(found[f"{module.index} {site}"], mask)
        np.testing.assert_allclose(found["margins"], own.margins, atol=1e-4)
        np.testing.assert_allclose(found["fused"], fused.margins, atol=1e-4)
        np.testing.assert_allclose(found["thresholds"], [module.threshold for module in made.modules], atol=1e-4)
