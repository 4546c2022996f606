"""Labelled examples from anything that is iterated: batches, or one example after another, of whatever library.

What a tf.data.Dataset gives batched or not, Keras' generators and ``PyDataset``, torch's loaders and data sets, and
lists of either are one stream of batches here. How many make one pass is asked before the first is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np

from modhub.data.arrays import Images
from modhub.data.picture_reader import PictureReader
from modhub.data.pixels import is_single, pixels_of, single_image, stacked
from modhub.data.tensors import array_of
from modhub.errors import InvalidData, UsageError

#: What tf.data answers for a data set without an end.
_INFINITE: Final = -1
#: How the two halves of an example are called where it is a mapping.
_KEYS: Final = (("x", "y"), ("image", "label"), ("images", "labels"), ("inputs", "targets"), ("img", "label"))
#: Examples that come one by one are put together to so many.
_TOGETHER: Final = 256
BOUND: Final = "say how many batches to read with {name}=N, or give one pass: dataset.take(n), itertools.islice(it, n)."


def steps_option(what: str) -> str:
    """The keyword that bounds the data called ``what``, with a blank behind, or plain data."""
    return f"{what.strip()}_steps" if what else "steps"


def in_one_pass(batches: Any, what: str) -> int | None:
    """How many items make one pass, as far as they say; None where they do not. Raises InvalidData for endless ones.

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
                hint="leave out .repeat(), or " + BOUND.format(name=steps_option(what)),
            )
        return count if count >= 0 else None
    try:
        return len(batches)
    except (TypeError, NotImplementedError, AttributeError):
        return None


def is_iterated(data: object) -> bool:
    """Whether ``data`` gives items, by iteration or by number."""
    return isinstance(data, Iterable) or (hasattr(data, "__len__") and hasattr(data, "__getitem__"))


def batches_of(
    data: Any, reader: PictureReader, *, steps: int | None = None, what: str = ""
) -> Iterator[tuple[str, Images, Any]]:
    """Batches of checked images (n, H, W, C), or other arrays, with their labels (n,) as they were given.

    Each has a name for messages, such as "validation batch 3: ". Items are pairs or mappings of images and labels, or
    of one image and its label; weights behind them are left out. ``steps`` is how many items are read at most.
    ``reader`` fits them. Raises InvalidData, UsageError.
    """
    shape: tuple[int, ...] | None = None
    single: list[Images] = []
    labels: list[Any] = []
    for number, item in enumerate(islice(_each(data), steps)):
        name = f"{what}batch {number}: "
        x, y = _pair(item, name)
        if not _is_one(x, y):
            images, kept = pixels_of(x, reader, what=f"{name}x")
            yield name, images, y if kept is None else [y[position] for position in kept]
            continue
        image = single_image(x, reader, what=f"{what}example {number}")
        if image is None:
            continue
        shape = shape or image.shape
        if image.shape != shape:
            raise _mixed(f"{what}example {number}", image.shape, shape)
        single.append(image)
        labels.append(_label_of(y))
        if len(single) == _TOGETHER:
            yield f"{what}examples up to {number}: ", stacked(single), labels
            single, labels = [], []
    if single:
        yield f"{what}last {len(single)} examples: ", stacked(single), labels


def _each(data: Any) -> Iterator[Any]:
    if isinstance(data, Iterable):
        return iter(data)
    return (data[number] for number in range(len(data)))


def _pair(item: Any, name: str) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        for x, y in _KEYS:
            if x in item and y in item:
                return item[x], item[y]
    elif isinstance(item, tuple | list) and len(item) in (2, 3):
        # The third are weights of a training.
        return item[0], item[1]
    kind = f"mapping of {', '.join(map(str, item))}" if isinstance(item, Mapping) else type(item).__name__
    raise UsageError(
        f"{name}it is a {kind[:100]}, not a pair of images and labels.",
        kind="bad-data",
        hint="give images and labels, or an iterable of (images, labels) batches or of (image, label) pairs.",
    )


def _is_one(x: Any, y: Any) -> bool:
    """Whether an item is one image with its label, which may be one-hot."""
    if is_single(x):
        return True
    if isinstance(x, list | tuple):
        return False
    labels = y if isinstance(y, str | bytes) else array_of(y, "y")
    if isinstance(labels, str | bytes) or labels.ndim == 0:
        return True
    shape = np.shape(x)
    # Of as many labels as images: one-hot labels of as many classes as rows are not told from that.
    return labels.ndim == 1 and len(shape) < 4 and (len(shape) < 2 or shape[0] != len(labels))


def _label_of(y: Any) -> Any:
    if isinstance(y, str | bytes):
        return y
    label = array_of(y, "y")
    return label.item() if label.size == 1 else label


def _mixed(name: str, *shapes: tuple[int, ...]) -> InvalidData:
    shown = ["x".join(map(str, shape)) for shape in shapes]
    return InvalidData(
        f"{name} has the size {shown[0]}, those before it {shown[1]}.",
        kind="mixed-images",
        hint='bring all images to one size and dtype; fit="resize" does so with pictures and uint8 images.',
    )
