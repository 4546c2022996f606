"""Data on disk that would not fit into memory: how large it is once read, and how it is read in batches instead."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from modhub.data.images import DATASETS, ClassFiles, Split, find_class_files, load_images
from modhub.data.shards import are_shards
from modhub.errors import InvalidData
from modhub.spec.places import is_file, is_folder, is_there

#: Image files read before they are handed on together.
_FILES: Final = 64


@dataclass(frozen=True)
class Streamed:
    """Data that is read in batches: ``data`` is what ``modhub.decompose`` takes in place of images and labels.

    ``classes`` is None where only the shards know.
    """

    data: Any
    classes: Sequence[str] | None
    name: str


def streamed(
    spec: str, split: Split, classes: Sequence[str] | None, *, free: int, for_workers: bool
) -> Streamed | None:
    """``spec`` as data to be read in batches; None where ``load_data`` should read it into memory.

    Shards and URLs are always streamed, an .npz when it would take more than half of the ``free`` bytes or
    ``for_workers``, and a folder of class folders when it would take more than half. Raises InvalidData, NotFound.
    """
    path = Path(spec)
    if spec in DATASETS or not ("://" in spec or is_there(path)):
        return None
    if are_shards(spec):
        fits = is_file(path) and _bytes_of_npz(path) <= free // 2
        return None if fits and not for_workers else Streamed(spec, classes, Path(spec.rstrip("/")).stem)
    if not is_folder(path):
        return None
    found = find_class_files(path, split)
    if _bytes_of_files(found) <= free // 2:
        return None
    return Streamed(_batches(found), classes or found.classes, found.name)


def _bytes_of_npz(path: Path) -> int:
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(info.file_size for info in archive.infolist())


def _bytes_of_files(found: ClassFiles) -> int:
    """As large as the first one are all, or they are refused when they are read."""
    return int(load_images(found.files[0])[0].nbytes) * len(found.files)


def _batches(found: ClassFiles) -> Iterator[tuple[Any, Any]]:
    names = np.array(found.classes)[list(found.labels)]
    for start in range(0, len(found.files), _FILES):
        files = found.files[start : start + _FILES]
        images = [load_images(file)[0] for file in files]
        for file, image in zip(files, images, strict=True):
            _check_like(image, images[0], file, files[0])
        yield np.concatenate(images), names[start : start + _FILES]


def _check_like(image: Any, first: Any, file: Path, first_file: Path) -> None:
    if image.shape != first.shape:
        shown = ["x".join(map(str, one.shape[1:])) for one in (first, image)]
        raise InvalidData(
            f"the images differ: {first_file} is {shown[0]}, {file} is {shown[1]} (height x width x channels).",
            kind="mixed-images",
            hint="bring all images to one size and colour mode, for example with Pillow's resize and convert.",
        )
