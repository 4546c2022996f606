"""What a person hands over, checked once before any work: images with their labels, preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.data.classes import as_labels
from modhub.data.tensors import array_of
from modhub.errors import InvalidData, UsageError

Images = NDArray[np.uint8] | NDArray[np.float32]

_WANTED: Final = "images are N x height x width x channels, at least one; rows of numbers are N x values"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Raw images (N, H, W, C), or rows (N, values), uint8 or float32, and labels int64 (N,) that index the classes."""

    images: Images
    labels: NDArray[np.int64]


def check_labelled(x: ArrayLike, y: object, classes: Sequence[str], *, what: str = "") -> Labelled:
    """``x`` and ``y`` as images and labels of ``classes``. Raises InvalidData, with ``what`` before their names."""
    images = as_images(x, what=f"{what}x")
    return Labelled(images, as_labels(y, classes, count=len(images), what=f"{what}y"))


def as_images(x: ArrayLike, *, what: str = "x") -> Images:
    """``x`` as raw images (N, H, W, C), uint8 or float32; (N, H, W) becomes grey, other floats become float32.

    Rows of numbers (N, values) stay rows, and whole numbers in them become float32 too. What a network takes of
    (N, steps, channels) has its last axis of length 1 taken away again by ``rows.with_shape``.
    ``what`` names the array in messages. Raises InvalidData for another shape or dtype, no image, NaN or infinity.
    """
    array = array_of(x, what)
    if array.ndim == 2 and array.dtype.kind in "iub" and array.dtype != np.uint8:
        array = array.astype(np.float32)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InvalidData(
            f"{what} has the dtype {array.dtype}; images are uint8 or float32.",
            kind="wrong-dtype",
            hint="convert it, for example with x.astype('uint8') where its values are 0 to 255, else 'float32'.",
            dtype=str(array.dtype),
        )
    shape = array.shape
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim in (2, 4) and shape[0] == 0:
        raise InvalidData(
            f"{what} has the shape {shape}; {_WANTED}.",
            kind="no-images",
            hint="give at least one image.",
            shape=list(shape),
        )
    if array.ndim not in (2, 4) or 0 in shape:
        raise InvalidData(
            f"{what} has the shape {shape}; {_WANTED}.",
            kind="wrong-shape",
            hint="a single image needs a first axis: x[None].",
            shape=list(shape),
        )
    if array.ndim == len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 2, 3, 4):
        raise InvalidData(
            f"{what} has the shape {shape}, which looks like N x channels x height x width; channels come last here.",
            kind="wrong-shape",
            hint="use x.transpose(0, 2, 3, 1).",
            shape=list(shape),
        )
    if array.dtype == np.uint8:
        return array
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32, copy=False)
    finite = np.isfinite(floats).all(axis=tuple(range(1, floats.ndim)))
    if not finite.all():
        first = int(np.argmin(finite))
        raise InvalidData(
            f"{what} has NaN or infinite values in {int((~finite).sum())} of {len(floats)} images, "
            f"first in image {first}.",
            kind="not-finite",
            hint="drop those images or repair how they are made.",
            image=first,
        )
    return floats


def rescale_factor(value: object) -> float:
    """What raw images are multiplied with, finite and not zero in float32. Raises UsageError."""
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        with np.errstate(over="ignore", under="ignore"):
            single = np.float32(value)
        if np.isfinite(single) and single != 0:
            return float(value)
    raise UsageError(f"rescale is {value!r}.", hint="use the factor of the training, for example 1/255.")


def channel_values(value: float | Sequence[float] | None, what: str) -> tuple[float, ...] | None:
    """A mean or standard deviation as a tuple of floats, None as it is. Raises UsageError for anything else."""
    if value is None:
        return None
    try:
        result = tuple(float(v) for v in np.ravel(np.asarray(value, dtype=np.float64)))
    except (TypeError, ValueError):
        raise UsageError(f"{what} is {value!r}.", hint="give one number, or one a channel.") from None
    with np.errstate(over="ignore", under="ignore"):
        single = np.asarray(result, np.float32)
    least = np.finfo(np.float32).tiny if what == "std" else -np.inf
    if not result or not np.isfinite(single).all() or single.min() < least:
        raise UsageError(f"{what} is {value!r}.", hint="give finite numbers; std above zero.")
    return result
