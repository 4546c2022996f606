"""What the engine asks of images that may not fit into memory: their shape, and any of them by index.

An array in memory answers the same questions, so nothing downstream knows which of the two it holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from modhub.spec.digests import canonical_json

#: Bytes read at a time where all images pass by once.
CHUNK_BYTES = 16 * 2**20


class ImageRows(Protocol):
    """Raw images (N, height, width, channels), or other arrays behind one axis, uint8 or finite float32."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Any:
        """The images at integers (n,) or in a slice, as an array (n, height, width, channels)."""

    def min(self) -> Any: ...

    def max(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Piece:
    """Neighbouring inputs that are read together: the inputs from ``start`` on."""

    start: int
    images: ImageRows

    @property
    def stop(self) -> int:
        return self.start + len(self.images)


@dataclass(frozen=True, eq=False)
class Source:
    """All images with their labels int64 (N,), indices into the classes, in pieces that tile them in order.

    ``fingerprint`` says which images, labels and classes these are.
    """

    images: ImageRows
    labels: NDArray[np.int64]
    pieces: tuple[Piece, ...]
    fingerprint: str

    def with_shape(self, shape: Sequence[int | None]) -> Source:
        """The same for a network that takes ``shape``, see ``with_shape``."""
        pieces = tuple(Piece(piece.start, with_shape(piece.images, shape)) for piece in self.pieces)
        return replace(self, images=with_shape(self.images, shape), pieces=pieces)


class Reshaped:
    """Images whose axes behind the first are seen in another shape of as many values."""

    def __init__(self, images: ImageRows, shape: tuple[int, ...]) -> None:
        self._images = images
        self.shape = (len(images), *shape)
        self.dtype = images.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        found = self._images[rows]
        return found.reshape(len(found), *self.shape[1:])

    def min(self) -> Any:
        return self._images.min()

    def max(self) -> Any:
        return self._images.max()


@overload
def with_shape(images: NDArray[Any], shape: Sequence[int | None]) -> NDArray[Any]: ...
@overload
def with_shape(images: ImageRows, shape: Sequence[int | None]) -> ImageRows: ...


def with_shape(images: ImageRows, shape: Sequence[int | None]) -> ImageRows:
    """Images without the channel that ``as_images`` gives to (N, A, B), where a network takes ``shape`` (A, B)."""
    have = tuple(images.shape[1:])
    if len(shape) != 2 or len(have) != 3 or have[2] != 1:
        return images
    return images.reshape(images.shape[:3]) if isinstance(images, np.ndarray) else Reshaped(images, have[:2])


class RowSlice:
    """The images ``start`` to ``stop`` of others, which are read only when these are."""

    def __init__(self, images: ImageRows, start: int, stop: int) -> None:
        self._images = images
        self._start = start
        self.shape = (stop - start, *images.shape[1:])
        self.dtype = images.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        return self._images[as_rows(rows, len(self)) + self._start]

    def min(self) -> Any:
        return min(chunk.min() for chunk in in_chunks(self))

    def max(self) -> Any:
        return max(chunk.max() for chunk in in_chunks(self))


class Pieced:
    """The images of several pieces, which tile them in order, as one."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = tuple(pieces)
        first = pieces[0].images
        self.shape = (pieces[-1].stop, *first.shape[1:])
        self.dtype = first.dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted = as_rows(rows, len(self))
        result = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for piece in self._pieces:
            places = np.flatnonzero((wanted >= piece.start) & (wanted < piece.stop))
            if len(places):
                result[places] = piece.images[wanted[places] - piece.start]
        return result

    @cached_property
    def _range(self) -> tuple[float, float]:
        ranges = [(piece.images.min(), piece.images.max()) for piece in self._pieces]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def min(self) -> float:
        return self._range[0]

    def max(self) -> float:
        return self._range[1]


def as_rows(rows: Any, count: int) -> NDArray[np.int64]:
    """What stands in brackets behind an array of ``count`` rows, a slice or integers (n,), as integers (n,)."""
    return np.arange(count)[rows] if isinstance(rows, slice) else np.asarray(rows, np.int64)


def in_chunks(images: ImageRows) -> Iterable[NDArray[Any]]:
    """All images in order, some ``CHUNK_BYTES`` at a time."""
    row = int(np.prod(images.shape[1:])) * images.dtype.itemsize
    step = max(1, CHUNK_BYTES // row)
    for start in range(0, len(images), step):
        yield images[start : start + step]


def data_fingerprint(images: ImageRows, labels: NDArray[np.int64], classes: Sequence[str]) -> str:
    """The digest of all images, labels (N,) and class names, as registry_schema/FORMAT.md describes it.

    The same for the same data, wherever it lies and in whatever byte order this machine works.
    """
    header = {"classes": list(classes), "dtype": images.dtype.name, "shape": list(images.shape)}
    hashed = hashlib.sha256(canonical_json(header))
    little_endian = images.dtype.newbyteorder("<")
    for chunk in in_chunks(images):
        hashed.update(np.ascontiguousarray(chunk, little_endian).data)
    hashed.update(np.ascontiguousarray(labels, "<i8").data)
    return f"sha256:{hashed.hexdigest()}"


def shards_fingerprint(shards: Sequence[str]) -> str:
    """The digest of data in shards, by the fingerprint of each in order, as registry_schema/FORMAT.md describes it.

    One shard is the data that it holds. Several are never read by one process, so each is hashed for itself.
    """
    if len(shards) == 1:
        return shards[0]
    return f"sha256:{hashlib.sha256(canonical_json(list(shards))).hexdigest()}"


def in_memory(images: NDArray[Any], labels: NDArray[np.int64], classes: Sequence[str]) -> Source:
    """Arrays as a source of one piece; ``labels`` (N,) are indices into ``classes``."""
    return Source(images, labels, (Piece(0, images),), data_fingerprint(images, labels, classes))
