"""Data on disk that would not fit into memory: how large it is once read, and how it is read in batches instead."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from modhub.data.class_files import ClassFiles, find_class_files
from modhub.data.given import Split
from modhub.data.images import DATASETS
from modhub.data.picture_reader import PictureReader, different_images
from modhub.data.shards import are_shards
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
    spec: str,
    split: Split,
    classes: Sequence[str] | None,
    *,
    free: int,
    for_workers: bool,
    reader: PictureReader | None = None,
) -> Streamed | None:
    """``spec`` as data to be read in batches; None where ``load_data`` should read it into memory.

    Shards and URLs are always streamed, an .npz when it would take more than half of the ``free`` bytes or
    ``for_workers``, and a folder of class folders when it would take more than half; its pictures are read by
    ``reader``. Raises InvalidData, NotFound.
    """
    path = Path(spec)
    if spec in DATASETS or not ("://" in spec or is_there(path)):
        return None
    if are_shards(spec):
        fits = is_file(path) and _bytes_of_npz(path) <= free // 2
        return None if fits and not for_workers else Streamed(spec, classes, Path(spec.rstrip("/")).stem)
    if not is_folder(path):
        return None
    return streamed_files(find_class_files(path, split), classes, free=free, reader=reader or PictureReader())


def streamed_files(
    found: ClassFiles, classes: Sequence[str] | None, *, free: int, reader: PictureReader
) -> Streamed | None:
    """Pictures to be read in batches; None where they would take at most half of the ``free`` bytes."""
    if _bytes_of_files(found, reader) <= free // 2:
        return None
    return Streamed(_batches(found, reader), classes or found.classes, found.name)


def _bytes_of_npz(path: Path) -> int:
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(info.file_size for info in archive.infolist())


def _bytes_of_files(found: ClassFiles, reader: PictureReader) -> int:
    """As large as the first one that can be read are all, or they are refused when they are read."""
    trial = PictureReader(reader.fitting, strict=reader.strict)
    for file in found.files:
        if (image := trial.read(file, str(file))) is not None:
            return int(image.nbytes) * len(found.files)
    raise trial.nothing_left(found.what)


def _batches(found: ClassFiles, reader: PictureReader) -> Iterator[tuple[Any, Any]]:
    reader.leave_out(found.name_of(file) for file in found.others)
    names = np.array(found.classes)[list(found.labels)]
    paths = [found.name_of(file) for file in found.files]
    first: tuple[str, Any] | None = None
    for start in range(0, len(found.files), _FILES):
        end = start + _FILES
        images, labels = [], []
        for file, path, label in zip(found.files[start:end], paths[start:end], names[start:end], strict=True):
            image = reader.read(file, path)
            if image is None:
                continue
            first = first or (path, image)
            if image.shape != first[1].shape:
                raise different_images(found.what, first[0], first[1], path, image)
            images.append(image)
            labels.append(label)
        if images:
            yield np.stack(images), np.array(labels)
