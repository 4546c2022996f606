"""The main job on real networks: what the README says works, and composites answer as their origins do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import modhub
from modhub.cli import main
from modhub.ops.search import list_installed
from tests.thinning import long

CIFAR = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=dict(os.environ), check=False)


def test_the_install_line_works_at_once(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "modhub", "install", "cifar10/r56:cat", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cifar10/r56@1.1.0" in done.stdout
    assert [str(module.ref) for module in list_installed()] == ["cifar10/r56:cat@1.1.0"]


def test_the_compose_line_works_at_once(tmp_path: Path) -> None:
    line = 'from modhub import compose; print(compose(["c10:cat", "c100:apple"]).classes)'
    done = run(sys.executable, "-c", line, cwd=tmp_path)
    assert done.stdout == "['cat', 'apple']\n", done.stderr


def test_composing_needs_no_registry_once_installed(tmp_path: Path) -> None:
    """The registry is deleted between install and compose; names and aliases still resolve, from the verified cache."""
    from modhub.installation.registries import STARTER_FOLDER

    registry, cache = tmp_path / "registry", tmp_path / "cache"
    shutil.copytree(STARTER_FOLDER, registry)
    modhub.install(["c100:apple", "cifar10/vgg:cat"], registry=str(registry), cache=cache)
    shutil.rmtree(registry)
    with pytest.warns(UserWarning, match=r"Using what is installed"):
        composite = modhub.compose(["c100:apple", "cifar10/vgg:cat"], registry=str(registry), cache=cache)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    assert composite.predict(images).margins.shape == (3, 2)


def test_decompose_and_publish_lines(
    tmp_path: Path, shared_models: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two commands of the README on a trained ResNet-20, then a composite of the result with a starter module."""
    with np.load(shared_data / "cifar10_train.npz") as data:
        first = np.concatenate([np.flatnonzero(data["y"] == k)[:25] for k in range(10)])
        np.savez(tmp_path / "data.npz", x=data["x"][first], y=data["y"][first], classes=data["classes"])
    model = shared_models / "cifar10-r20.keras"
    monkeypatch.chdir(tmp_path)
    options = ("--data", "data.npz", "--rescale", "1/255", "--as", "me/net", "--out", "net.modules")
    assert main(["decompose", str(model), *options]) == 0
    assert main(["publish", "net.modules", "--version", "1.0.0"]) == 0
    composite = modhub.compose(["me/net:cat", "c100:apple"])
    assert composite.classes == ["cat", "apple"]
    assert [str(m.ref) for m in composite.modules] == ["me/net:cat@1.0.0", "cifar100/r20:apple@1.1.0"]


@pytest.fixture(scope="session")
def test_images(shared_data: Path) -> dict[str, tuple[np.ndarray, np.ndarray, list[str]]]:
    result = {}
    for name in ("cifar10", "cifar100"):
        with np.load(shared_data / f"{name}_test.npz") as data:
            result[name] = data["x"], data["y"], data["classes"].tolist()
    return result


@pytest.mark.parametrize("release", ["cifar10/r20", pytest.param("cifar10/vgg", marks=long)])
def test_all_modules_together_answer_as_their_origin(
    release: str, shared_models: Path, test_images: dict[str, tuple[np.ndarray, np.ndarray, list[str]]]
) -> None:
    """Composed top-1 and top-5 within 0.3 points of the origin's, against the original .keras file itself."""
    import keras

    x, y, classes = test_images["cifar10"]
    x, y = x[:1000], y[:1000]
    origin = keras.models.load_model(shared_models / f"{release.replace('/', '-')}.keras", compile=False)
    expected = origin.predict(x.astype("float32") / 255, verbose=0)
    composite = modhub.compose(release)
    assert composite.classes == classes
    margins = composite.predict(x).margins
    for k in (1, 5):
        own, ours = (np.mean((np.argsort(-s, axis=1)[:, :k] == y[:, None]).any(axis=1)) for s in (expected, margins))
        assert abs(own - ours) <= 0.003


def test_pairs_across_origins(test_images: dict[str, tuple[np.ndarray, np.ndarray, list[str]]]) -> None:
    """Two-class composites of CIFAR-10 with CIFAR-100 answer 96 % of balanced test images right on average.

    A module's margins are the same beside any others, so that all run at once; one pair shows that.
    """
    pairs = [("cat", "apple"), ("truck", "wolf"), ("ship", "forest"), ("horse", "snail"), ("frog", "bus")]
    names, images = [], []
    for pair in pairs:
        for name, data in zip(pair, ("cifar10", "cifar100"), strict=True):
            x, y, classes = test_images[data]
            images.append(x[y == classes.index(name)][:40])
            names.append(f"{data.replace('cifar', 'c')}:{name}")
    margins = modhub.compose(names).predict(np.concatenate(images)).margins.reshape(len(pairs), 2, 40, 2 * len(pairs))
    of_pairs = [margins[place, ..., 2 * place : 2 * place + 2] for place in range(len(pairs))]
    answers = np.argmax(of_pairs, axis=-1)
    alone = modhub.compose(names[:2]).predict(np.concatenate(images[:2]))
    np.testing.assert_allclose(alone.margins, of_pairs[0].reshape(80, 2), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(alone.indices, answers[0].ravel())
    assert np.mean(answers == np.arange(2)[:, None]) >= 0.96
