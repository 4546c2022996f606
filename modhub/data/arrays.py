"""What a person hands over, checked once before any work: images, labels, class names, preprocessing."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.errors import InvalidData, UsageError, did_you_mean
from modhub.limits import MAX_CLASSES, MAX_DISPLAY_NAME_CHARS
from modhub.spec.refs import slug_of

Images = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Raw images (N, H, W, C) uint8 or float32, and labels int64 (N,) that index the classes."""

    images: Images
    labels: NDArray[np.int64]


def check_labelled(x: ArrayLike, y: ArrayLike, classes: Sequence[str], *, what: str = "") -> Labelled:
    """``x`` and ``y`` as images and labels of ``classes``. Raises InvalidData, with ``what`` before their names."""
    images = as_images(x, what=f"{what}x")
    return Labelled(images, as_labels(y, classes, count=len(images), what=f"{what}y"))


def as_images(x: ArrayLike, *, what: str = "x") -> Images:
    """``x`` as raw images (N, H, W, C), uint8 or float32; (N, H, W) becomes grey, other floats become float32.

    ``what`` names the array in messages. Raises InvalidData for another shape or dtype, no image, NaN or infinity.
    """
    array = _array(x, what)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InvalidData(
            f"{what} has the dtype {array.dtype}; images are uint8 or float32.",
            kind="wrong-dtype",
            hint="convert it, for example with x.astype('uint8') where its values are 0 to 255.",
            dtype=str(array.dtype),
        )
    shape = array.shape
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim == 4 and shape[0] == 0:
        raise InvalidData(
            f"{what} has the shape {shape}; images are N x height x width x channels, at least one.",
            kind="no-images",
            hint="give at least one image.",
            shape=list(shape),
        )
    if array.ndim != 4 or 0 in shape:
        raise InvalidData(
            f"{what} has the shape {shape}; images are N x height x width x channels, at least one.",
            kind="wrong-shape",
            hint="a single image needs a first axis: x[None].",
            shape=list(shape),
        )
    if array.ndim == len(shape) and shape[1] in (1, 3) and shape[3] not in (1, 2, 3, 4):
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
    finite = np.isfinite(floats).all(axis=(1, 2, 3))
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


def _array(values: ArrayLike, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise InvalidData(
            f"{what} is a list of parts of different shapes.",
            kind="wrong-shape",
            hint="bring them to one size, then numpy.stack them.",
        ) from None


def as_labels(y: ArrayLike, classes: Sequence[str], *, count: int, what: str = "y") -> NDArray[np.int64]:
    """``y`` as int64 (count,), indices into ``classes``; it may hold class names, and have the shape (count, 1).

    ``what`` names the array in messages. Raises InvalidData for another shape or dtype and labels outside ``classes``.
    """
    labels = _array(y, what)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InvalidData(
            f"{what} has the shape {labels.shape}; labels are one index or name an image.",
            kind="wrong-labels",
            hint="one-hot labels become indices with y.argmax(axis=1).",
            shape=list(labels.shape),
        )
    if len(labels) != count:
        raise InvalidData(
            f"{what} has {len(labels)} labels for {count} images.",
            kind="wrong-labels",
            labels=len(labels),
            images=count,
        )
    if labels.dtype.kind in "US":
        index = {name: i for i, name in enumerate(classes)}
        names = [str(name) for name in labels.astype(np.str_)]
        if unknown := [name for name in names if name not in index]:
            raise unknown_class(unknown[0], what, classes)
        return np.array([index[name] for name in names], np.int64)
    if labels.dtype.kind not in "iu":
        raise InvalidData(
            f"{what} has the dtype {labels.dtype}; labels are integers or class names.",
            kind="wrong-labels",
            hint="use y.astype('int64') where y holds indices.",
            dtype=str(labels.dtype),
        )
    outside = (labels < 0) | (labels >= len(classes))
    if outside.any():
        first = int(np.argmax(outside))
        raise InvalidData(
            f"{what} has the label {int(labels[first])} at image {first}, outside the {len(classes)} classes "
            f"(0 to {len(classes) - 1}).",
            kind="label-outside",
            hint="labels count from 0 in the order of classes.",
            image=first,
            label=int(labels[first]),
            classes=len(classes),
        )
    return labels.astype(np.int64)


def class_names(values: ArrayLike, what: str) -> tuple[str, ...]:
    """Distinct, non-empty class names from a list or array that messages call ``what``. Raises InvalidData."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "USiu" or not 0 < len(array) <= MAX_CLASSES:
        raise InvalidData(
            f"{what} are no list of names: dtype {array.dtype}, shape {array.shape}.",
            kind="bad-class-name",
            hint="use np.array(['cat', 'dog', ...]).",
        )
    names = tuple(str(name) for name in array.astype(np.str_))
    if bad := [name for name, times in Counter(names).items() if times > 1 or not name.strip()]:
        raise InvalidData(
            f"{what} hold {'the name ' + repr(bad[0]) + ' twice' if bad[0].strip() else 'an empty name'}.",
            kind="bad-class-name",
            hint="every class needs a name of its own.",
        )
    return names


def unknown_class(name: str, what: str, classes: Sequence[str]) -> InvalidData:
    """The error for a label that is no class, suggesting the nearest."""
    shown = ", ".join(classes[:10]) + (f" and {len(classes) - 10} more" if len(classes) > 10 else "")
    return InvalidData(
        f"{what}: {name!r} is not among the classes.",
        kind="label-outside",
        hint=did_you_mean(name, classes) or f"the classes are {shown}.",
        label=name,
    )


def check_every_class(labels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Raise InvalidData naming the classes that no label stands for."""
    missing = [
        name for name, count in zip(classes, np.bincount(labels, minlength=len(classes)), strict=True) if not count
    ]
    if missing:
        shown = ", ".join(repr(name) for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise InvalidData(
            f"{len(missing)} of {len(classes)} classes have no example: {shown}.",
            kind="class-without-example",
            hint="add at least one image of every class.",
            missing=missing,
        )


def slugs_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The slug of every class. Raises InvalidData for empty or too long names, and for two classes with one slug."""
    seen: dict[str, str] = {}
    for index, name in enumerate(classes):
        controls = any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
        if not name.strip() or controls or len(name) > MAX_DISPLAY_NAME_CHARS:
            raise InvalidData(
                f"class {index} has the name {name[:40]!r}.",
                kind="bad-class-name",
                hint="give it a short name without control characters.",
            )
        slug = slug_of(name) or f"class-{index}"
        if slug in seen:
            raise InvalidData(
                f"the classes {seen[slug]!r} and {name!r} would both be called {slug!r}.",
                kind="slug-twice",
                hint="rename one of them in classes.",
                slug=slug,
            )
        seen[slug] = name
    return tuple(seen)


def check_class_names(classes: Sequence[str], outputs: int) -> tuple[str, ...]:
    """The class names as plain strings. Raises InvalidData unless there are two or more, one for each output."""
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise InvalidData(
            f"classes is {classes!r}.", kind="bad-class-name", hint="give the list of class names, in output order."
        )
    names = tuple(str(name) for name in classes)
    if outputs < 2 or len(names) < 2:
        raise InvalidData(
            f"the model has {outputs} output(s) and {len(names)} class name(s) were given; "
            "a decomposition needs at least two classes.",
            kind="too-few-classes",
            hint="name both classes of a two-class model.",
        )
    if len(names) != outputs:
        raise InvalidData(
            f"the model has {outputs} outputs, but {len(names)} class names were given.",
            kind="classes-do-not-match",
            hint="list every class of the model, in the order of its outputs.",
            outputs=outputs,
            classes=len(names),
        )
    return names


def channel_values(value: float | Sequence[float] | None, what: str) -> tuple[float, ...] | None:
    """A mean or standard deviation as a tuple of floats, None as it is. Raises UsageError for anything else."""
    if value is None:
        return None
    try:
        result = tuple(float(v) for v in np.ravel(np.asarray(value, dtype=np.float64)))
    except (TypeError, ValueError):
        raise UsageError(f"{what} is {value!r}.", hint="give one number, or one a channel.") from None
    if not result or not np.isfinite(result).all() or (what == "std" and min(result) <= 0):
        raise UsageError(f"{what} is {value!r}.", hint="give finite numbers; std above zero.")
    return result
