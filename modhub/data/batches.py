"""Batches of labelled images, from any iterable, set down in a temporary file as they pass.

Which inputs are observed, and in which order, is known only when all labels are; so what cannot be kept in memory
waits on disk. One pass is enough, so a generator will do. The file has no name and goes when the images go.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Labelled, check_labelled
from modhub.data.raw import RawRows
from modhub.data.rows import Piece, Source, data_fingerprint
from modhub.errors import InvalidData, StorageError, UsageError


def set_down(batches: Any, classes: Sequence[str], *, what: str = "") -> Source:
    """Everything that ``batches`` gives, an iterable of (x, y) as ``check_labelled`` takes them, as a source.

    Memory: one batch, and eight bytes an image for labels. Disk: all images, where temporary files go (TMPDIR).
    ``what`` stands before "batch 3" in messages. Raises InvalidData, StorageError, UsageError.
    """
    file = temporary_file()
    labels: list[NDArray[np.int64]] = []
    first: NDArray[Any] | None = None
    for number, batch in enumerate(_each(batches)):
        checked = _checked(batch, classes, f"{what}batch {number}: ")
        first = checked.images[:1].copy() if first is None else first
        _check_alike(checked, first, f"{what}batch {number}")
        append_rows(file, checked.images)
        labels.append(checked.labels)
    if first is None:
        raise InvalidData(
            f"there was not one {what}batch.",
            kind="no-images",
            hint="an iterator that was used up gives nothing more; make a new one.",
        )
    count = sum(map(len, labels))
    height, width, channels = first.shape[1:]
    images = RawRows(file, 0, (count, height, width, channels), first.dtype)
    joined = np.concatenate(labels)
    return Source(images, joined, (Piece(0, images),), data_fingerprint(images, joined, classes))


def _each(batches: Any) -> Iterator[Any]:
    if isinstance(batches, Iterable):
        return iter(batches)
    if hasattr(batches, "__len__") and hasattr(batches, "__getitem__"):
        return (batches[number] for number in range(len(batches)))
    raise UsageError(
        f"the data has the type {type(batches).__name__}, and there are no labels.",
        kind="bad-data",
        hint="give images and labels, or one iterable of (images, labels) batches.",
    )


def _checked(batch: Any, classes: Sequence[str], what: str) -> Labelled:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise UsageError(
            f"{what}has the type {type(batch).__name__}, not a pair of images and labels.",
            kind="bad-data",
            hint="give images and labels, or an iterable of (images, labels) batches.",
        )
    return check_labelled(batch[0], batch[1], classes, what=what)


def _check_alike(batch: Labelled, first: NDArray[Any], what: str) -> None:
    for name, found, wanted in (
        ("size", batch.images.shape[1:], first.shape[1:]),
        ("dtype", batch.images.dtype, first.dtype),
    ):
        if found != wanted:
            shown = ["x".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in (found, wanted)]
            raise InvalidData(
                f"{what} has images of the {name} {shown[0]}, those before it {shown[1]}.",
                kind="mixed-images",
                hint="bring all images to one size and dtype.",
            )


def temporary_file() -> IO[bytes]:
    """A file without a name, where temporary files go. Raises StorageError."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise _not_writable(error) from error


def append_rows(file: IO[bytes], data: Any) -> None:
    """Append an array or bytes. Raises StorageError when the disk refuses."""
    try:
        file.write(np.ascontiguousarray(data).data if isinstance(data, np.ndarray) else data)
        file.flush()
    except OSError as error:
        raise _not_writable(error) from error


def _not_writable(error: OSError) -> StorageError:
    return StorageError(
        f"images cannot be set down in {tempfile.gettempdir()}: {error.strerror or error}.",
        kind="not-writable",
        hint="name a folder with more space in the environment variable TMPDIR.",
    )
