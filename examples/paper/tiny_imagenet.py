"""The folder that Tiny ImageNet is distributed as, as arrays; its labelled validation images are the test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from modhub.data.images import ImageData
from modhub.errors import InvalidData, NotFound


def tiny_imagenet(folder: Path, split: str) -> ImageData:
    """``train/WNID/images/*.JPEG``, or ``val/`` with its annotations; classes in the order of their WordNet ids.

    Class names are the first word of each id in ``words.txt``, with underscores. Raises NotFound or InvalidData.
    """
    try:
        ids = sorted((folder / "wnids.txt").read_text().split())
        words = dict(line.split("\t", 1) for line in (folder / "words.txt").read_text().splitlines() if "\t" in line)
        files = list(_training(folder, ids) if split == "train" else _validation(folder, ids))
    except FileNotFoundError as error:
        raise NotFound(
            f"{folder} is no Tiny ImageNet folder: {error.filename} is missing.",
            kind="data-not-found",
            hint="name the folder that tiny-imagenet-200.zip unpacks to.",
        ) from error
    classes = tuple(words.get(one, one).split(",")[0].strip().replace(" ", "_") for one in ids)
    if not files:
        raise InvalidData(f"{folder} has no images for {split}.", kind="empty-data", path=str(folder))
    images = np.stack([_pixels(file) for file, _ in files])
    labels = np.array([label for _, label in files], np.int64)
    return ImageData(images, labels, classes, f"imagenet200_{split}")


def _training(folder: Path, ids: list[str]) -> Any:
    for label, one in enumerate(ids):
        for file in sorted((folder / "train" / one / "images").glob("*.JPEG")):
            yield file, label


def _validation(folder: Path, ids: list[str]) -> Any:
    labels = {one: label for label, one in enumerate(ids)}
    for line in (folder / "val" / "val_annotations.txt").read_text().splitlines():
        name, one = line.split("\t")[:2]
        yield folder / "val" / "images" / name, labels[one]


def _pixels(file: Path) -> Any:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
