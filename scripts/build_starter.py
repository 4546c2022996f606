#!/usr/bin/env python3
"""Build the starter registry that ships inside the package.

usage: build_starter.py MODELS DATA [OUT]

MODELS holds cifar10-r56.keras, cifar10-r20.keras, cifar10-vgg.keras and cifar100-r20.keras; DATA holds NAME_train.npz
and NAME_test.npz with x, y, classes for cifar10 and cifar100. OUT is modhub/starter/registry unless given. Modules are
made with the training images and measured on the test images; no image is stored. Compact releases are made of those
that OUT then holds, with the training images alone. Releases never change: what OUT holds is left as it is; raise the
version for other content, which is written beside it, so that old lockfiles still install.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

import modhub
from modhub.package.decomposition import Decomposition
from modhub.registry.writer import Registry
from modhub.storage.urls import open_store

VERSION = "1.1.0"
RELEASES = {
    "cifar10/r56": ("cifar10-r56", "cifar10"),
    "cifar10/r20": ("cifar10-r20", "cifar10"),
    "cifar10/vgg": ("cifar10-vgg", "cifar10"),
    "cifar100/r20": ("cifar100-r20", "cifar100"),
}
#: Name, whole release, data set, version, and keywords of ``modhub.compact``.
COMPACT = (("cifar10/r20-half", "cifar10/r20", "cifar10", "1.1.0", {"flops": 0.5, "jaccard": 0.5}),)
ALIASES = {"c10": "cifar10/r56", "c100": "cifar100/r20"}
DEFAULT = Path(__file__).parents[1] / "modhub" / "starter" / "registry"


def build(models: Path, data: Path, out: Path) -> None:
    there = set(held_by(out))
    for name, (model, dataset) in RELEASES.items():
        if (name, VERSION) in there:
            print(f"{name}@{VERSION} is there")
            continue
        train, test = (loaded(data, dataset, split) for split in ("train", "test"))
        decomposition = modhub.decompose(
            keras.models.load_model(models / f"{model}.keras", compile=False),
            train,
            name=name,
            rescale=1 / 255,
            validation=test,
            dataset=dataset,
            validation_dataset=f"{dataset} test subset",
        )
        publish(decomposition, VERSION, out)
    for name, whole, dataset, version, options in COMPACT:
        if (name, version) in there:
            print(f"{name}@{version} is there")
            continue
        train, test = (loaded(data, dataset, split) for split in ("train", "test"))
        decomposition = modhub.compact(
            f"{whole}@{VERSION}",
            train,
            name=name,
            registry=str(out),
            dataset=dataset,
            validation=test,
            validation_dataset=f"{dataset} test subset",
            **options,
        )
        publish(decomposition, version, out)
    registry = Registry(open_store(str(out)))
    for alias, target in ALIASES.items():
        if registry.alias(alias) != target:
            registry.set_alias(alias, target)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out.name}: {size / 1e6:.2f} MB in all")


def loaded(data: Path, dataset: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Raw images (N, H, W, C), labels (N,) and the names of the classes."""
    file = np.load(data / f"{dataset}_{split}.npz")
    return file["x"], file["y"], file["classes"].tolist()


def held_by(out: Path) -> Iterator[tuple[str, str]]:
    """Names and versions of what a registry holds; nothing where there is none yet."""
    for file in out.glob("releases/*/*/*.json"):
        yield f"{file.parts[-3]}/{file.parts[-2]}", file.stem


def publish(decomposition: Decomposition, version: str, out: Path) -> None:
    release = modhub.publish(decomposition, version=version, registry=str(out))
    print(f"{release.ref}: {len(release.classes)} classes, {release.size / 1e6:.2f} MB, created {release.created}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    build(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) == 4 else DEFAULT)
