"""Images in one stretch of a file, row behind row, of which any are read without the others.

Rows are read by position and not mapped into memory, so they never count as this process's. Reading changes nothing
in the object, so several threads may read at once.
"""

from __future__ import annotations

import os
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from modhub.data.rows import as_rows, in_chunks
from modhub.errors import StorageError


class RawRows:
    """Images (N, H, W, C), or rows (N, values), that begin at byte ``offset`` of ``file``, in C order.

    ``stored`` is their dtype there. ``file`` has to be a real one and is closed with the last reference to it. Given
    out are uint8 or float32.
    """

    def __init__(self, file: IO[bytes], offset: int, shape: tuple[int, ...], stored: np.dtype[Any]) -> None:
        self._file = file
        self._offset = offset
        self._stored = stored
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(np.uint8) if stored == np.uint8 else np.dtype(np.float32)
        self._row = prod(shape[1:]) * stored.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted = as_rows(rows, len(self))
        result = np.empty((len(wanted), *self.shape[1:]), self._stored)
        buffer = memoryview(cast(Any, result.reshape(-1).view(np.uint8)))
        # Neighbours in the file are read at once.
        starts = [0, *(np.flatnonzero(np.diff(wanted) != 1) + 1), len(wanted)]
        for start, stop in pairwise(starts):
            if start < stop:
                self._read(int(wanted[start]) * self._row, buffer[start * self._row : stop * self._row])
        return result if self._stored == self.dtype else result.astype(self.dtype)

    def _read(self, position: int, into: memoryview) -> None:
        position += self._offset
        while into:
            got = os.preadv(self._file.fileno(), [into], position)
            if not got:
                raise StorageError(
                    f"{self._file.name} ends before its last image.",
                    kind="cut-short",
                    hint="was it changed while it was being read?",
                )
            position, into = position + got, into[got:]

    @cached_property
    def _range(self) -> tuple[float, float]:
        ranges = [(float(chunk.min()), float(chunk.max())) for chunk in in_chunks(self)]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def min(self) -> float:
        return self._range[0]

    def max(self) -> float:
        return self._range[1]
