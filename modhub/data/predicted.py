"""Images to be classified, in whatever form a person has them: the one place that decides which form it is.

Files are found and read at once; what gives images batch by batch is read as it comes, so that it may be larger than
memory. Labels beside images are left out, as Keras' ``predict`` leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Union

import numpy as np
from numpy.typing import ArrayLike

from modhub.data.arrays import Images
from modhub.data.examples import in_one_pass, is_iterated
from modhub.data.pixels import is_picture_in_memory, is_single, pixels_of, single_image
from modhub.data.tensors import are_arrays, array_of, is_array
from modhub.data.unlabelled import find_images, read_images
from modhub.errors import InvalidData, UsageError
from modhub.spec.input_contract import ArrayContract

if TYPE_CHECKING:
    from PIL.Image import Image

    from modhub.data.picture_reader import PictureReader

#: What ``Composite.predict`` takes: raw images (N, H, W, C), or arrays, of any library; a path of pictures, of a
#: folder, a pattern or a file of arrays, or several; pictures of Pillow's; or what gives images or batches of them,
#: with labels or not.
Predictable = Union[ArrayLike, str, Path, "Image", Iterable[Any]]

#: Images that come one by one are put together to so many.
_TOGETHER: Final = 256
#: How the images of an example are called where it is a mapping.
_KEYS: Final = ("x", "image", "images", "inputs", "img", "pixel_values")
_TAKEN: Final = (
    "give images N x height x width x channels, a path, pictures of Pillow's, a list of paths or pictures, or what "
    "gives batches: a tf.data.Dataset, Keras' or torch's loaders, a generator."
)


@dataclass(frozen=True, eq=False)
class GivenImages:
    """A part of what was given: raw images (n, H, W, C), not checked against a contract yet, and their files' names."""

    images: Images
    names: tuple[str, ...] | None


def given_images(x: Predictable, reader: PictureReader, *, what: str = "the images") -> Iterator[GivenImages]:
    """All images of ``x`` in parts, in order, fitted by ``reader``; one part where ``x`` is in memory or in files.

    A picture of Pillow's is one image. Raises NotFound, InvalidData, and UsageError, kind ``bad-data``, for what holds
    no images.
    """
    if isinstance(x, str | Path):
        yield _of_files([x], reader)
    elif isinstance(x, list | tuple) and x and all(isinstance(each, str | Path) for each in x):
        yield _of_files(x, reader)
    elif is_picture_in_memory(x):
        yield GivenImages(pixels_of([x], reader, what=what)[0], None)
    elif _is_in_memory(x):
        yield GivenImages(_pixels(x, reader, what), None)
    elif isinstance(x, bytes | Mapping) or not is_iterated(x):
        raise UsageError(f"{what} have the type {type(x).__name__[:100]}.", kind="bad-data", hint=_TAKEN)
    else:
        yield from _batches(islice(_each(x), _in_one_pass(x)), reader, what)


def _of_files(sources: Sequence[str | Path], reader: PictureReader) -> GivenImages:
    return GivenImages(*read_images(find_images(sources), reader))


def _is_in_memory(x: object) -> bool:
    """Whether ``x`` is an array, or a list of numbers, arrays or pictures; a data set of torch's is neither."""
    if is_array(x):
        return not callable(getattr(x, "cardinality", None))
    return isinstance(x, list | tuple) and (not x or is_single(x[0]) or not _is_example(x[0]))


def _is_example(value: object) -> bool:
    """Whether one item of a list is a pair or mapping with labels, or a batch, rather than an image or numbers."""
    if isinstance(value, Mapping):
        return True
    if is_array(value):
        return _rank(value) > 3
    return isinstance(value, tuple) and len(value) in (2, 3) and (is_array(value[0]) or is_single(value[0]))


def _pixels(x: Any, reader: PictureReader, what: str) -> Images:
    if isinstance(x, list | tuple) and not x:
        raise InvalidData(f"{what}: there are none.", kind="no-images", hint="give at least one image.")
    contract = reader.fitting.contract
    if isinstance(contract, ArrayContract):
        return reader.array(array_of(x, what))
    if are_arrays(x) or (isinstance(x, list | tuple) and is_single(x[0])):
        return pixels_of(x, reader, what=what)[0]
    # As they are: what is wrong with them is said when they are compared with the contract.
    array = array_of(x, what)
    if array.ndim == 3 and contract is not None and (*array.shape[1:], 1) == contract.shape:
        array = array[..., np.newaxis]
    return reader.array(array) if array.ndim == 4 else array


def _in_one_pass(data: Any) -> int | None:
    """How many items make one pass, as far as it is known. Raises InvalidData for what says that it never ends."""
    try:
        return in_one_pass(data, "")
    except InvalidData as error:
        error.hint = "give one pass: leave out .repeat(), or take so many batches, dataset.take(n)."
        raise


def _batches(data: Iterator[Any], reader: PictureReader, what: str) -> Iterator[GivenImages]:
    single: list[Images] = []
    names: list[str | None] = []

    def together() -> GivenImages:
        known = tuple(name for name in names if name is not None)
        part = GivenImages(pixels_of(single, reader, what=what)[0], known if len(known) == len(single) else None)
        single.clear()
        names.clear()
        return part

    for number, item in enumerate(data):
        name = f"batch {number} of {what}"
        x = _images_of(item, name)
        if _is_one(x, reader):
            image = single_image(x, reader, what=f"number {number} of {what}")
            if image is not None:
                single.append(image)
                names.append(str(x) if isinstance(x, str | Path) else None)
            if len(single) == _TOGETHER:
                yield together()
            continue
        if single:
            yield together()
        yield GivenImages(_pixels(x, reader, name), None)
    if single:
        yield together()


def _each(data: Any) -> Iterator[Any]:
    if isinstance(data, Iterable):
        return iter(data)
    return (data[number] for number in range(len(data)))


def _images_of(item: Any, name: str) -> Any:
    """The images of one item, without the labels and weights that may stand beside them."""
    if isinstance(item, Mapping):
        for key in _KEYS:
            if key in item:
                return item[key]
        raise UsageError(
            f"{name} is a mapping of {', '.join(map(str, item))[:100]}, and none of these names its images.",
            kind="bad-data",
            hint=f"call them {_KEYS[0]} or {_KEYS[1]}.",
        )
    is_pair = isinstance(item, tuple) or (isinstance(item, list) and _is_collated(item))
    return item[0] if is_pair and len(item) in (1, 2, 3) else item


def _is_collated(item: list[Any]) -> bool:
    """Whether a list is images with labels, as torch puts them together, and not a list of images."""
    if len(item) not in (2, 3) or not is_array(item[0]) or _rank(item[0]) < 3:
        return False
    return tuple(np.shape(item[0])) != tuple(np.shape(item[1]))


def _rank(value: Any) -> int:
    return len(np.shape(value))


def _is_one(x: Any, reader: PictureReader) -> bool:
    """Whether ``x`` is one image, and not a batch: by its type, else by its axes and what the classifier takes."""
    if is_single(x):
        return True
    if isinstance(x, list | tuple) and not (x and isinstance(x[0], int | float | list | tuple)):
        return False
    shape, contract = np.shape(x), reader.fitting.contract
    if isinstance(contract, ArrayContract):
        return len(shape) <= len(contract.shape)
    if len(shape) == 3 and contract is not None and contract.shape[2] == 1:
        # (N, H, W) of grey images, unless it is (H, W, 1).
        return bool(shape[2] == 1 or shape[1:] != contract.shape[:2])
    return len(shape) < 4
