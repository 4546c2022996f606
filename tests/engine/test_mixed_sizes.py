"""Trained networks of two input sizes in one classifier: 32 x 32 CIFAR-10 modules and a 64 x 64 ImageNet-200 one."""

from __future__ import annotations

import io
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

    x, y, classes = images_of("imagenet200", "train", 2)
    model = keras.models.load_model(shared_models / "imagenet200-r20.keras", compile=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        decomposition = modhub.decompose(model, x, y, classes=classes, name="imagenet200/r20", rescale=1 / 255)
    fish = next(module for module in decomposition.modules if module.name == "goldfish")
    refs = ["cifar10/r20:ship", fish]
    with pytest.raises(Incompatible, match=r"input (64x64x3 vs 32x32x3|32x32x3 vs 64x64x3)"):
        modhub.compose(refs, cache=tmp_path / "cache")

    both = modhub.compose(refs, cache=tmp_path / "cache", adapt="resize")
    assert "adapter of ship: resize 64x64 -> 32x32 (4 pixels become one)" in str(both.plan)
    large, labels, _ = images_of("imagenet200", "test", 12)
    fishes = large[labels == classes.index("goldfish")]
    small, of, names = images_of("cifar10", "test", 12)
    ships = np.stack([np.asarray(Image.fromarray(i).resize((64, 64))) for i in small[of == names.index("ship")]])
    answers = both.predict(np.concatenate([ships, fishes])).labels
    right = np.array(answers) == np.array(["ship"] * len(ships) + ["goldfish"] * len(fishes))
    assert right.mean() > 0.85
