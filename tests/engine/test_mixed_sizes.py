"""Trained networks of two input sizes in one classifier: 32 x 32 CIFAR-10 modules and a 64 x 64 ImageNet-200 one."""

from __future__ import annotations

import io
import itertools
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import modhub
from modhub.errors import Incompatible
from tests.conftest import SHARED


def images_of(name: str, split: str, each: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The first ``each`` images of every class (N, H, W, 3), labels (N,), and the classes in the model's order."""
    path = SHARED / "data" / f"{name}.zip"
    if not path.is_file():
        pytest.skip("the image subsets (../shared/data) are not here")
    with zipfile.ZipFile(path) as archive:
        files = sorted(archive.namelist())
        folders = sorted({file.split("/")[1] for file in files})
        chosen, labels = [], []
        for label, folder in enumerate(folders):
            own = [file for file in files if file.startswith(f"{split}/{folder}/") and not file.endswith("/")][:each]
            chosen += [np.asarray(Image.open(io.BytesIO(archive.read(file))).convert("RGB")) for file in own]
            labels += [label] * len(own)
    return np.stack(chosen), np.array(labels), [folder.partition("_")[2] or folder for folder in folders]


def test_cifar_and_imagenet_modules_make_one_classifier(shared_models: Path, tmp_path: Path) -> None:
    import keras

    x, y, classes = images_of("imagenet200", "train", 1)
    model = keras.models.load_model(shared_models / "imagenet200-r20.keras", compile=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        decomposition = modhub.decompose(model, x, y, classes=classes, name="imagenet200/r20", rescale=1 / 255)
    fish = next(module for module in decomposition.modules if module.name == "goldfish")
    refs = ["cifar10/r20:ship", fish]
    with pytest.raises(Incompatible, match=r"input (64x64x3 vs 32x32x3|32x32x3 vs 64x64x3)"):
        modhub.compose(refs, cache=tmp_path / "cache")

    few = list(decomposition.modules[:3])
    both = modhub.compose(["cifar10/r20", *few], cache=tmp_path / "cache", adapt="resize")
    assert "resize 64x64 -> 32x32 (4 pixels become one)" in str(both.plan)
    small, of, names = images_of("cifar10", "test", 4)
    large, labels, _ = images_of("imagenet200", "test", 8)
    large, labels = large[labels < len(few)], labels[labels < len(few)]
    enlarged = np.stack([np.asarray(Image.fromarray(image).resize((64, 64))) for image in small])
    margins = both.predict(np.concatenate([enlarged, large])).margins
    truth = np.concatenate([of, labels + len(names)])
    # Networks that were trained apart say nothing of each other's classes, so single pairs may be much worse than most.
    recalls = []
    for pair in itertools.product(range(len(names)), range(len(names), len(names) + len(few))):
        second = margins[:, pair[1]] > margins[:, pair[0]]
        recalls.append((1 - second[truth == pair[0]].mean(), second[truth == pair[1]].mean()))
    assert np.mean(recalls) > 0.9
