"""Batches of labelled images, from any iterable, written to a temporary file as they pass.

Which inputs are observed, and in which order, is known only when all labels are; so what cannot be kept in memory
waits on disk. One pass is enough, so a generator will do. The file has no name and is deleted with the images.

Pipelines for training often repeat for ever. Where batches say how many make one pass, no more are read; where they
say that they never end, they are refused; where they say nothing, reading stops with an error at a stated number.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Labelled, check_labelled
from modhub.data.raw import RawRows
from modhub.data.rows import Piece, Source, data_fingerprint
from modhub.errors import InvalidData, StorageError, UsageError
from modhub.limits import MAX_UNCOUNTED_IMAGES

#: What tf.data answers for a data set without an end.
_INFINITE: Final = -1
_BOUND: Final = (
    "say how many batches to read with {name}=N, or give one pass: dataset.take(n), itertools.islice(it, n)."
)


def spool_batches(batches: Any, classes: Sequence[str], *, what: str = "", steps: int | None = None) -> Source:
    """Everything that ``batches`` gives, an iterable of (x, y) as ``check_labelled`` takes them, as a source.

    Memory: one batch, and eight bytes an image for labels. Disk: all images, where temporary files go (TMPDIR).
    ``steps`` is how many batches are read at most; by default as many as ``batches`` say they are (``cardinality()``,
    ``len()``). ``what`` stands before "batch 3" in messages. Raises InvalidData, StorageError, UsageError; kind
    ``endless-data`` for batches without an end, and of an unknown number of them for more than
    ``MAX_UNCOUNTED_IMAGES`` images or half of the free disk.
    """
    labels: list[NDArray[np.int64]] = []
    first: NDArray[Any] | None = None
    wanted = steps if steps is not None else _in_one_pass(batches, what)
    file, written, free = temporary_file(), 0, shutil.disk_usage(tempfile.gettempdir()).free
    for number, batch in enumerate(islice(_each(batches), wanted)):
        checked = _checked(batch, classes, f"{what}batch {number}: ")
        first = checked.images[:1].copy() if first is None else first
        _check_alike(checked, first, f"{what}batch {number}")
        written += len(checked.images)
        if wanted is None:
            _check_uncounted(written, checked.images, number + 1, free, what)
        _append(file, checked.images, f"{_BOUND.format(name=_option(what))}" if wanted is None else None, written)
        labels.append(checked.labels)
    if first is None:
        raise InvalidData(
            f"there was not one {what}batch.",
            kind="no-images",
            hint="an iterator that was used up gives nothing more; make a new one.",
        )
    count = sum(map(len, labels))
    images = RawRows(file, 0, (count, *first.shape[1:]), first.dtype)
    joined = np.concatenate(labels)
    return Source(images, joined, (Piece(0, images),), data_fingerprint(images, joined, classes))


def _option(what: str) -> str:
    return "validation_steps" if what else "steps"


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
        hint=_BOUND.format(name=_option(what)),
    )


def _in_one_pass(batches: Any, what: str) -> int | None:
    """How many batches make one pass, as far as they say; None where they do not. Raises InvalidData for endless ones.

    tf.data has a cardinality, -1 for what repeats for ever and -2 for what it does not know; Keras' generators, which
    never stop by themselves, and torch's loaders have a length.
    """
    cardinality = getattr(batches, "cardinality", None)
    if callable(cardinality):
        count = int(cardinality())
        if count == _INFINITE:
            raise InvalidData(
                f"the {what}data repeats for ever: its cardinality is infinite.",
                kind="endless-data",
                hint="leave out .repeat(), or " + _BOUND.format(name=_option(what)),
            )
        return count if count >= 0 else None
    try:
        return len(batches)
    except (TypeError, NotImplementedError, AttributeError):
        return None


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
