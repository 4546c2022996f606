"""Class names and labels, however a person has them: the one place that decides which class is meant.

Names are text in Unicode's composed form (NFC), so that what a keyboard writes and what macOS writes are one name.
Bytes are UTF-8, as CIFAR's meta files, HDF5 and TFRecords have them. Order is never guessed: a mapping brings its own
indices, and a set has none.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, KeysView, Mapping, Sequence, Set
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.tensors import array_of
from modhub.errors import InvalidData, did_you_mean, plain, shown
from modhub.limits import MAX_CLASSES, MAX_DISPLAY_NAME_CHARS
from modhub.spec.refs import is_portable, slug_of
from modhub.spec.text import composed

_HINT: Final = "give the list of class names, in output order."


def class_name(value: object, what: str) -> str:
    """One class's name as text in NFC: from text, bytes in UTF-8, or an integer; ``what`` names it in messages.

    Scalars of numpy and of other array libraries are what they hold. Raises InvalidData, kind ``bad-class-name``.
    """
    value = _scalar(value)
    if isinstance(value, bytes | bytearray):
        raw = bytes(value)
        try:
            value = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidData(
                f"{what}: the name {plain(repr(raw))} is not UTF-8 text.",
                kind="bad-class-name",
                hint="decode it with the encoding that it was written in, for example name.decode('latin-1').",
            ) from None
    if isinstance(value, str):
        # The text itself, also of an enumeration's member, which would print its own name.
        return composed(str.__str__(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    raise InvalidData(
        f"{what}: {plain(repr(value))} is no class name but of the type {type(value).__name__}.",
        kind="bad-class-name",
        hint="give text, for example 'cat'; missing or other values need a name first.",
    )


def class_names(values: object, what: str = "classes") -> tuple[str, ...]:
    """Distinct, non-empty class names in the order of their indices, from whatever ordered thing holds them.

    ``values`` is a list, an array or a series of names as ``class_name`` takes them, or a mapping between names and
    indices from 0, either way round (Keras' ``class_indices`` is name to index). ``what`` names it in messages.

    Raises InvalidData, kind ``bad-class-name``: for what has no order (a set), no names, or gaps in its indices.
    """
    names = tuple(class_name(value, what) for value in _in_order(values, what))
    if not 0 < len(names) <= MAX_CLASSES:
        raise InvalidData(
            f"{what} are {len(names)} names; wanted are 1 to {MAX_CLASSES}.", kind="bad-class-name", hint=_HINT
        )
    if bad := [name for name, times in Counter(names).items() if times > 1 or not name.strip()]:
        raise InvalidData(
            f"{what} hold {'the name ' + shown(bad[0]) + ' twice' if bad[0].strip() else 'an empty name'}.",
            kind="bad-class-name",
            hint="every class needs a name of its own; é is the same written as one character or as e and an accent.",
        )
    return names


def _scalar(value: object) -> object:
    """What a 0-dimensional array, a numpy scalar or a tensor of one value holds; anything else as it is."""
    if isinstance(value, str | bytes) or not hasattr(value, "__array__"):
        return value
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else value


def _in_order(values: object, what: str) -> list[Any]:
    """The names in index order, each still as it was given."""
    if hasattr(values, "to_dict") and hasattr(values, "index"):
        values = _of_series(values)
    if isinstance(values, Mapping):
        return _by_index(values, what)
    unordered = isinstance(values, Set) and not isinstance(values, KeysView)
    single = isinstance(values, str | bytes | bytearray)
    if unordered or single or not (isinstance(values, Iterable) or hasattr(values, "__array__")):
        raise InvalidData(
            f"{what} is {plain(repr(values))}{', which has no order' if unordered else ''}.",
            kind="bad-class-name",
            hint=_HINT,
        )
    if isinstance(values, Iterable) and not hasattr(values, "__array__"):
        return list(islice(values, MAX_CLASSES + 1))
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "USTOiu":
        raise InvalidData(
            f"{what} are no list of names: dtype {array.dtype}, shape {array.shape}.",
            kind="bad-class-name",
            hint="use np.array(['cat', 'dog', ...]).",
        )
    found: list[Any] = array.tolist()
    return found


def _of_series(series: Any) -> object:
    """A pandas series of indices whose own index is the names is the mapping that it looks like."""
    indices = getattr(series, "ndim", 0) == 1 and all(_index(value) is not None for value in series)
    return series.to_dict() if indices and all(isinstance(name, str | bytes) for name in series.index) else series


def _index(value: object) -> int | None:
    value = _scalar(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _by_index(values: Mapping[Any, Any], what: str) -> list[Any]:
    """The names of a mapping by their indices, which are its values or, where those are names, its keys."""
    by_value = {_index(value): name for name, value in values.items()}
    by_key = {_digits(name): value for name, value in values.items()}
    wanted = set(range(len(values)))
    first, second = set(by_value) == wanted, set(by_key) == wanted
    # Integers on both sides: nothing says which are the names, unless it makes no difference.
    unclear = first and second and any(_index(name) not in (None, _index(value)) for name, value in values.items())
    if not values or unclear or not (first or second):
        raise InvalidData(
            f"{what} map {plain(repr(dict(islice(values.items(), 3))))}; wanted are names and the indices 0 to "
            f"{max(len(values) - 1, 0)}, each once.",
            kind="bad-class-name",
            hint="give {'cat': 0, 'dog': 1}, {0: 'cat', 1: 'dog'}, or the list of names in output order.",
        )
    chosen = by_value if first else by_key
    return [chosen[number] for number in range(len(values))]


def _digits(key: object) -> int | None:
    """An index as a key: an integer, or its digits, which is what JSON makes of it."""
    return int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 10 else _index(key)


def as_labels(y: object, classes: Sequence[str], *, count: int, what: str = "y") -> NDArray[np.int64]:
    """``y`` as int64 (count,), indices into ``classes``; it may hold class names, and have the shape (count, 1).

    Indices may be floats without a fraction, or one-hot (count, classes). Names are read as ``class_name`` reads them,
    from arrays of text, bytes or objects, lists, and series of pandas. ``what`` names the array in messages. Raises
    InvalidData for another shape or dtype and labels outside ``classes``.
    """
    labels = _label_column(y, count, len(classes), what)
    if labels.dtype.kind in "USTO":
        return _indices_of(labels.tolist(), classes, what)
    if labels.dtype.kind not in "iu":
        raise InvalidData(
            f"{what} has the dtype {labels.dtype}; labels are integers or class names.",
            kind="wrong-labels",
            hint="use y.astype('int64') where y holds indices, y.astype(str) where it holds names.",
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


def labels_are_names(y: object, what: str = "y") -> bool:
    """Whether ``y`` holds text, so that the classes can be read from it. Raises InvalidData for what has no order."""
    _check_ordered(y, what)
    labels = np.asarray(y)
    named = labels.dtype.kind in "UST"
    return named or (labels.dtype.kind == "O" and any(isinstance(each, str | bytes) for each in labels.ravel()))


def classes_of_labels(y: object, what: str = "y") -> tuple[str, ...]:
    """The distinct names in ``y``, sorted. Raises InvalidData for what is no name."""
    given = {_hashable(value, what) for value in np.asarray(y).ravel().tolist()}
    return tuple(sorted({class_name(value, what) for value in given}))


def _check_ordered(y: object, what: str) -> None:
    if isinstance(y, Mapping | Set):
        raise InvalidData(
            f"{what} is a {type(y).__name__}; labels are one index or name an image, in the order of the images.",
            kind="wrong-labels",
            hint="give a list or an array.",
        )


def _label_column(y: object, count: int, classes: int, what: str) -> NDArray[Any]:
    """``y`` as an array (count,)."""
    _check_ordered(y, what)
    labels = array_of(y, what)
    if labels.dtype.kind == "U" and isinstance(y, list | tuple):
        # Of names and numbers together numpy makes text, and of bytes and text worse.
        labels = np.asarray(y, dtype=object)
    if labels.ndim == 2 and labels.shape[1] == classes > 1 and labels.dtype.kind in "biuf":
        labels = _of_one_hot(labels, what)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InvalidData(
            f"{what} has the shape {labels.shape}; labels are one index or name an image.",
            kind="wrong-labels",
            hint=f"one-hot labels have a column for each of the {classes} classes.",
            shape=list(labels.shape),
        )
    if len(labels) != count:
        raise InvalidData(
            f"{what} has {len(labels)} labels for {count} images.",
            kind="wrong-labels",
            labels=len(labels),
            images=count,
        )
    if labels.dtype.kind == "O" and all(_index(value) is not None for value in labels):
        return np.array([_index(value) for value in labels], np.int64)
    # Keras gives the labels of two classes, and those of its generators, as floats.
    is_whole = labels.dtype.kind == "b" or (labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all()))
    return labels.astype(np.int64) if is_whole and not np.isinf(labels).any() else labels


def _of_one_hot(labels: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Labels (N, classes) with a single 1 in each row as indices (N,)."""
    wrong = ~(np.isin(labels, (0, 1)).all(axis=1) & (labels.sum(axis=1) == 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidData(
            f"{what} has the row {plain(str(labels[row].tolist()))} at image {row}, which is not one-hot.",
            kind="wrong-labels",
            hint="an image has one class: a single 1 among zeros. Of probabilities take y.argmax(axis=1).",
            image=row,
        )
    found: NDArray[np.int64] = labels.argmax(axis=1).astype(np.int64)
    return found


def _indices_of(names: Sequence[Any], classes: Sequence[str], what: str) -> NDArray[np.int64]:
    """Each name's index; a name is read once, however many images have it."""
    index = {composed(name): position for position, name in enumerate(classes)}
    known: dict[object, int] = {}
    for value in names:
        key = _hashable(value, what)
        if key in known:
            continue
        if _index(value) is not None:
            raise InvalidData(
                f"{what} mixes names with numbers such as {plain(repr(value))}.",
                kind="wrong-labels",
                hint="give indices alone, or names alone: numpy.array(y).astype(str).",
            )
        name = class_name(value, what)
        if name not in index:
            raise unknown_class(name, what, classes)
        known[key] = index[name]
    return np.array([known[value] for value in names], np.int64)


def _hashable(value: Any, what: str) -> object:
    try:
        hash(value)
    except TypeError:
        class_name(value, what)
    return value


def unknown_class(name: str, what: str, classes: Sequence[str]) -> InvalidData:
    """The error for a label that is no class, suggesting the nearest."""
    some = ", ".join(map(repr, classes[:10])) + (f" and {len(classes) - 10} more" if len(classes) > 10 else "")
    return InvalidData(
        f"{what}: {shown(name)} is not among the classes.",
        kind="label-outside",
        hint=did_you_mean(name, classes) or f"the classes are {some}.",
        label=name,
    )


def recounted(labels: NDArray[np.int64], own: Sequence[str], classes: Sequence[str], what: str) -> NDArray[np.int64]:
    """Labels (N,) that count in ``own``, as they count in ``classes``; both hold names.

    Raises InvalidData for a class of the data ``what`` that has an image and is not among ``classes``.
    """
    index = {composed(name): i for i, name in enumerate(classes)}
    position = np.array([index.get(composed(name), -1) for name in own], np.int64)
    result = position[labels]
    if (result < 0).any():
        raise unknown_class(own[labels[int(np.argmin(result))]], what, classes)
    return result


def check_every_class(labels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Raise InvalidData naming the classes that no label stands for."""
    missing = [
        name for name, count in zip(classes, np.bincount(labels, minlength=len(classes)), strict=True) if not count
    ]
    if missing:
        some = ", ".join(map(shown, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise InvalidData(
            f"{len(missing)} of {len(classes)} classes have no example: {some}.",
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
        if not is_portable(slug):
            # In the cache a slug names a file.
            slug = f"{slug}-class"
        if slug in seen:
            raise InvalidData(
                f"the classes {shown(seen[slug])} and {shown(name)} would both be called {slug!r}.",
                kind="slug-twice",
                hint="rename one of them in classes.",
                slug=slug,
            )
        seen[slug] = name
    return tuple(seen)


def output_names(classes: object, outputs: int) -> tuple[str, ...]:
    """The names of a model's classes, one for each of its ``outputs``, two or more.

    ``classes`` is what ``class_names`` takes. Raises InvalidData.
    """
    names = class_names(classes, "classes") if not _is_empty(classes) else ()
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


def _is_empty(classes: object) -> bool:
    return isinstance(classes, Sequence) and not isinstance(classes, str | bytes) and not len(classes)
