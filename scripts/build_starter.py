#!/usr/bin/env python3
"""Build the starter registry that ships inside the package.

usage: build_starter.py MODELS DATA [OUT]

MODELS holds cifar10-r56.keras, cifar10-r20.keras, cifar10-vgg.keras and cifar100-r20.keras; DATA holds NAME_train.npz
and NAME_test.npz with x, y, classes for cifar10 and cifar100. OUT is modhub/starter/registry unless given. Modules are
made with the training images and measured on the test images; no image is stored. Releases never change: raise VERSION
for other content, which is written beside what OUT holds, so that old lockfiles still install.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np

import modhub
from modhub.registry.writer import Registry
from modhub.storage.urls import open_store

VERSION = "1.1.0"
RELEASES = {
    "cifar10/r56": ("cifar10-r56", "cifar10"),
    "cifar10/r20": ("cifar10-r20", "cifar10"),
    "cifar10/vgg": ("cifar10-vgg", "cifar10"),
    "cifar100/r20": ("cifar100-r20", "cifar100"),
}
ALIASES = {"c10": "cifar10/r56", "c100": "cifar100/r20"}
DEFAULT = Path(__file__).parents[1] / "modhub" / "starter" / "registry"


def build(models: Path, data: Path, out: Path) -> None:
    for name, (model, dataset) in RELEASES.items():
        train, test = (np.load(data / f"{dataset}_{split}.npz") for split in ("train", "test"))
        decomposition = modhub.decompose(
            keras.models.load_model(models / f"{model}.keras", compile=False),
            train["x"],
            train["y"],
            classes=train["classes"].tolist(),
            name=name,
            rescale=1 / 255,
            validation=(test["x"], test["y"]),
            dataset=dataset,
            validation_dataset=f"{dataset} test subset",
        )
        release = modhub.publish(decomposition, version=VERSION, registry=str(out))
        print(f"{release.ref}: {len(release.classes)} classes, {release.size / 1e6:.2f} MB, created {release.created}")
    registry = Registry(open_store(str(out)))
    for alias, target in ALIASES.items():
        if registry.alias(alias) != target:
            registry.set_alias(alias, target)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out.name}: {size / 1e6:.2f} MB in all")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    build(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) == 4 else DEFAULT)
