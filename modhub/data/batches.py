"""Batches of labelled images, from any iterable, written to a temporary file as they pass.

Which inputs are observed, and in which order, is known only when all labels are; so what cannot be kept in memory
waits on disk. One pass is enough, so a generator will do. The file has no name and is deleted with the images.

Pipelines for training often repeat for ever. Where batches say how many make one pass, no more are read; where they
say that they never end, they are refused; where they say nothing, reading stops with an error at a stated number.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from modhub.data.classes import as_labels, classes_of_labels, labels_are_names
from modhub.data.examples import BOUND, batches_of, in_one_pass, steps_option
from modhub.data.picture_reader import PictureReader
from modhub.data.raw import RawRows
from modhub.data.rows import Piece, Source, data_fingerprint
from modhub.data.tensors import array_of
from modhub.errors import InvalidData, ModhubError, StorageError, UsageError
from modhub.limits import MAX_UNCOUNTED_IMAGES


def spool_batches(
    batches: Any,
    classes: Sequence[str],
    *,
    what: str = "",
    steps: int | None = None,
    reader: PictureReader | None = None,
) -> Source:
    """Everything that ``batches`` gives, as ``batches_of`` takes it, as a source with labels of ``classes``.

    Memory: one batch, and eight bytes an image for labels. Disk: all images, where temporary files go (TMPDIR).
    ``steps`` is how many batches are read at most; by default as many as ``batches`` say they are (``cardinality()``,
    ``len()``). ``what`` stands before "batch 3" in messages. Raises InvalidData, StorageError, UsageError; kind
    ``endless-data`` for batches without an end, and of an unknown number of them for more than
    ``MAX_UNCOUNTED_IMAGES`` images or half of the free disk.
    """

    def indices(y: Any, count: int, name: str) -> NDArray[np.int64]:
        return as_labels(y, classes, count=count, what=f"{name}y")

    images, labels = _spooled(batches, indices, what, steps, reader or PictureReader())
    joined = np.concatenate(labels)
    return Source(images, joined, (Piece(0, images),), data_fingerprint(images, joined, classes))


def spool_named_batches(
    batches: Any, *, what: str = "", steps: int | None = None, reader: PictureReader | None = None
) -> tuple[Source, tuple[str, ...]]:
    """The same of batches whose labels are names, with the classes: all names that occur, sorted."""

    def names(y: Any, count: int, name: str) -> NDArray[Any]:
        if not labels_are_names(y):
            raise numbers_without_names()
        found = array_of(y, f"{name}y").ravel().astype(object)
        # Checks their number, and that each is a name.
        as_labels(found, classes_of_labels(found, f"{name}y"), count=count, what=f"{name}y")
        return found

    images, labels = _spooled(batches, names, what, steps, reader or PictureReader())
    joined = np.concatenate(labels)
    classes = classes_of_labels(joined)
    indices = as_labels(joined, classes, count=len(joined))
    return Source(images, indices, (Piece(0, images),), data_fingerprint(images, indices, classes)), classes


def numbers_without_names() -> UsageError:
    """The error for labels of which nobody knows what they stand for."""
    return UsageError(
        "the labels are numbers, and nothing says what they stand for.",
        kind="bad-data",
        hint="give the class names in the order of the numbers, or labels that are names: y.astype(str).",
    )


def _spooled(
    batches: Any,
    labels_of: Callable[[Any, int, str], NDArray[Any]],
    what: str,
    steps: int | None,
    reader: PictureReader,
) -> tuple[RawRows, list[NDArray[Any]]]:
    """All images, and the labels of each batch as ``labels_of`` makes them of labels, their number and a name."""
    labels: list[NDArray[Any]] = []
    first: NDArray[Any] | None = None
    wanted = steps if steps is not None else in_one_pass(batches, what)
    endless = BOUND.format(name=steps_option(what)) if wanted is None else None
    file, written, free = temporary_file(), 0, shutil.disk_usage(tempfile.gettempdir()).free
    for name, images, y in batches_of(batches, reader, steps=wanted, what=what):
        labels.append(labels_of(y, len(images), name))
        first = images[:1].copy() if first is None else first
        _check_alike(images, first, name)
        written += len(images)
        if wanted is None:
            _check_uncounted(written, images, len(labels), free, what)
        _append(file, images, endless, written)
    if first is None:
        raise _nothing(what, reader)
    return RawRows(file, 0, (written, *first.shape[1:]), first.dtype), labels


def _nothing(what: str, reader: PictureReader) -> ModhubError:
    if reader.skipped:
        return reader.nothing_left(f"the {what}data")
    return InvalidData(
        f"there was not one {what}batch.",
        kind="no-images",
        hint="an iterator that was used up gives nothing more; make a new one.",
    )


def _check_uncounted(count: int, images: NDArray[Any], batches: int, free: int, what: str) -> None:
    """Raise InvalidData where ``count`` such images are more than data of an unknown number may have."""
    size = count * images[0].nbytes
    if count <= MAX_UNCOUNTED_IMAGES and size <= free // 2:
        return
    limit = (
        f"{MAX_UNCOUNTED_IMAGES:,} images"
        if count > MAX_UNCOUNTED_IMAGES
        else f"half of the {free:,} bytes that were free in {tempfile.gettempdir()}"
    )
    raise InvalidData(
        f"the {what}data gave more than {limit} in {batches:,} batches, and nothing says whether it ever ends.",
        kind="endless-data",
        hint=BOUND.format(name=steps_option(what)),
    )


def _check_alike(images: NDArray[Any], first: NDArray[Any], what: str) -> None:
    for name, found, wanted in (("size", images.shape[1:], first.shape[1:]), ("dtype", images.dtype, first.dtype)):
        if found != wanted:
            shown = ["x".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in (found, wanted)]
            raise InvalidData(
                f"{what}images have the {name} {shown[0]}, those before them {shown[1]}.",
                kind="mixed-images",
                hint='bring all images to one size and dtype; fit="resize" does so with pictures and uint8 images.',
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


def _append(file: IO[bytes], images: NDArray[Any], endless: str | None, count: int) -> None:
    """``append_rows``; where the data may be ``endless``, a full disk has that hint too."""
    try:
        append_rows(file, images)
    except StorageError as error:
        if endless is not None:
            error.hint = f"{error.hint} After {count:,} images: if the data never ends, {endless}"
        raise


def _not_writable(error: OSError) -> StorageError:
    return StorageError(
        f"images cannot be written in {tempfile.gettempdir()}: {error.strerror or error}.",
        kind="not-writable",
        hint="name a folder with more space in the environment variable TMPDIR.",
    )
