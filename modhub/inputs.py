"""What a person hands to ``decompose``, checked before any work: images, labels, class names, preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.compat import check_values
from modhub.errors import InvalidData, UsageError
from modhub.limits import MAX_DISPLAY_NAME_CHARS
from modhub.refs import slug_of


@dataclass(frozen=True, eq=False)
class Labelled:
    """Raw images (N, H, W, C) uint8 or float32, and labels int64 (N,) that index the classes."""

    images: NDArray[Any]
    labels: NDArray[np.int64]


def check_labelled(x: Any, y: Any, classes: Sequence[str], *, what: str = "x") -> Labelled:
    """``x`` and ``y`` as images and labels of ``classes``.

    Labels may have shape (N,) or (N, 1). Raises InvalidData naming what is wrong: rank, dtype, NaN, lengths that
    differ, one-hot or fractional labels, labels outside the classes.
    """
    images, labels = np.asarray(x), np.asarray(y)
    if images.ndim != 4:
        raise InvalidData(
            f"{what} has the shape {images.shape}; wanted (images, rows, columns, channels).",
            kind="wrong-shape",
            hint="grey images need a last axis: x[..., None]." if images.ndim == 3 else None,
        )
    if images.dtype == np.float64:
        images = images.astype(np.float32)
    check_values(images, what=what)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise InvalidData(
            f"the labels have the shape {labels.shape} and dtype {labels.dtype}; wanted whole numbers, one an image.",
            kind="wrong-labels",
            hint="one-hot labels become indices with y.argmax(axis=1).",
        )
    if len(labels) != len(images):
        raise InvalidData(
            f"there are {len(images)} images but {len(labels)} labels.",
            kind="wrong-labels",
            hint="pass one label an image.",
        )
    outside = (labels < 0) | (labels.astype(np.int64) >= len(classes))
    if outside.any():
        raise InvalidData(
            f"label {int(labels[outside][0])} (input {int(outside.argmax())}) is outside the {len(classes)} classes, "
            f"which are 0 to {len(classes) - 1}.",
            kind="label-outside",
            hint="list every class of the model in classes, in the order of its outputs.",
            label=int(labels[outside][0]),
        )
    return Labelled(images, labels.astype(np.int64))


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
        if not name.strip() or len(name) > MAX_DISPLAY_NAME_CHARS:
            raise InvalidData(
                f"class {index} has the name {name[:40]!r}.", kind="bad-class-name", hint="give it a short name."
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


def numbers(value: float | Sequence[float] | None, what: str) -> tuple[float, ...] | None:
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
