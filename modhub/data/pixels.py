"""Images of whatever kind a person has in memory, as one array: arrays, lists of arrays, pictures of Pillow, paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from modhub.data.arrays import Images, as_images
from modhub.data.picture_reader import PictureReader, different_images
from modhub.data.tensors import are_arrays, array_of, is_array, same_shapes

if TYPE_CHECKING:
    from PIL.Image import Image


def is_picture_in_memory(value: object) -> bool:
    """Whether ``value`` is an opened picture of Pillow's, told without importing it."""
    return any(f"{each.__module__}.{each.__qualname__}" == "PIL.Image.Image" for each in type(value).__mro__)


def is_single(value: object) -> bool:
    """Whether ``value`` is one picture by its type alone: a path or an opened one."""
    return isinstance(value, str | Path) or is_picture_in_memory(value)


def pixels_of(x: Any, reader: PictureReader, *, what: str = "x") -> tuple[Images, list[int] | None]:
    """``x`` as raw images (N, H, W, C) or other arrays behind one axis, uint8 or float32, fitted by ``reader``.

    ``x`` is an array or tensor of any library, or a list: of arrays, which ``reader`` may bring to one size, of opened
    pictures, or of paths of picture files. The second value has the positions of those that were not skipped, None
    where all are there. ``what`` names ``x`` in messages. Raises InvalidData for what cannot be used or put together.
    """
    if isinstance(x, list | tuple) and x and (is_single(x[0]) or (are_arrays(x) and _differ(x))):
        return _one_by_one(x, reader, what)
    return reader.array(as_images(array_of(x, what), what=what)), None


def single_image(value: Any, reader: PictureReader, *, what: str) -> Images | None:
    """One image (H, W, C), or another array, from a path, an opened picture or an array; None when it was skipped."""
    if isinstance(value, str | Path):
        return reader.read(Path(value), str(value))
    if is_picture_in_memory(value):
        return reader.picture(cast("Image", value), what)
    image: Images = reader.array(as_images(array_of(value, what)[np.newaxis], what=what))[0]
    return image


def stacked(images: Sequence[Images]) -> Images:
    """Images of one shape as an array (N, H, W, C)."""
    return cast(Images, np.stack(images))


def _differ(arrays: Sequence[Any]) -> bool:
    # Batches of their own have one axis more than images.
    return not same_shapes(arrays) and all(len(each.shape) in (2, 3) for each in arrays)


def _one_by_one(values: Sequence[Any], reader: PictureReader, what: str) -> tuple[Images, list[int]]:
    images: list[Images] = []
    kept: list[int] = []
    for number, value in enumerate(values):
        image = single_image(value, reader, what=f"{what}[{number}]")
        if image is None:
            continue
        if images and image.shape != images[0].shape:
            raise different_images(what, _name(values, kept[0]), images[0], _name(values, number), image)
        images.append(image)
        kept.append(number)
    if not images:
        raise reader.nothing_left(what)
    return stacked(images), kept


def _name(values: Sequence[Any], number: int) -> str:
    value = values[number]
    return str(value) if isinstance(value, str | Path) and not is_array(value) else f"number {number}"
