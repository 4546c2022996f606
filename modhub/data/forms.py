"""Labelled data in whatever form a person has it: the one place that decides which form it is, and how it is read.

Whatever it is, reading gives one of two values: a ``Source``, whose images may lie on disk, or ``ImageData`` in memory.
The same images and labels give the same value, however they were handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from modhub.data.batches import numbers_without_names, spool_batches, spool_named_batches
from modhub.data.class_files import ClassFiles, find_class_files
from modhub.data.classes import as_labels, class_names, classes_of_labels, labels_are_names, recounted
from modhub.data.examples import is_iterated
from modhub.data.given import ClassNames, LabelledBatches, Split
from modhub.data.images import DATASETS, ImageData, find_data, load_data, read_class_files, reordered
from modhub.data.large import streamed_files
from modhub.data.listed import find_listed_files, is_labelled_table, is_list_of_files
from modhub.data.picture_reader import PictureReader
from modhub.data.pixels import is_single, pixels_of
from modhub.data.rows import Source, data_fingerprint, in_memory
from modhub.data.shards import RunTasks, are_shards, check_no_steps, find_shards, open_shards, stored_classes
from modhub.data.tensors import are_arrays, array_of, is_array
from modhub.errors import InvalidData, UsageError
from modhub.spec.places import is_folder

#: Loads the data sets that are known by name.
Datasets = Callable[[str, Split], ImageData]
#: Labelled images as ``form_of`` takes them.
LabelledData = (
    ImageData
    | str
    | Path
    | tuple[ArrayLike, ArrayLike]
    | tuple[ArrayLike, ArrayLike, ClassNames]
    | tuple[LabelledBatches, ClassNames]
    | LabelledBatches
    | Mapping[str, ArrayLike]
)

_Kind = Literal["data", "arrays", "examples", "files", "shards"]
_TAKEN: Final = (
    "give arrays (x, y) or (x, y, classes); the path of an .npz, of a folder of class folders or of a CSV of paths and "
    "labels; a data set's name; ImageData; or what gives (x, y) batch by batch or one by one: a tf.data.Dataset, "
    "Keras' or torch's loaders, a generator, a list."
)


@dataclass(frozen=True, eq=False)
class Form:
    """Data that was handed over and is not read yet. ``classes`` are those that it names itself, else None."""

    kind: _Kind
    x: Any
    y: Any
    classes: tuple[str, ...] | None
    name: str
    what: str = ""

    def names(self, classes: ClassNames | None) -> ClassNames:
        """The ``classes`` that were asked for, else the data's own. Raises UsageError, kind ``no-classes``."""
        if classes is not None:
            return classes
        if self.classes is None:
            raise UsageError(
                f"the {self.what}data names no classes: {self.name}.",
                kind="no-classes",
                hint="say which there are, in the order of the model's outputs.",
            )
        return self.classes

    def source(
        self,
        classes: Sequence[str],
        reader: PictureReader,
        *,
        free: int | None = None,
        steps: int | None = None,
        run: RunTasks = starmap,
    ) -> Source:
        """The images with labels that count in ``classes``; pictures that would fill half of ``free`` bytes on disk.

        ``steps`` bounds what gives batches, ``run`` looks through shards. Raises InvalidData, NotFound, UsageError.
        """
        if self.kind == "examples":
            steps = _checked_steps(steps, self.what)
            own = self._counted_in(classes)
            found = spool_batches(self.x, own, what=self.what, steps=steps, reader=reader)
            return found if own == tuple(classes) else _counting_in(found, own, classes, f"the {self.what}data")
        check_no_steps(steps, self.what)
        if self.kind == "shards":
            return open_shards(self.x, classes, run)
        if self.kind == "files" and free is not None:
            large = streamed_files(self.x, classes, free=free, reader=reader)
            if large is not None:
                return spool_batches(large.data, classes, what=self.what, reader=reader)
        data = self._read(classes, reader)
        return in_memory(data.x, data.y, data.classes)

    def in_memory(
        self, reader: PictureReader, *, classes: Sequence[str] | None = None, steps: int | None = None
    ) -> ImageData:
        """All images in memory; labels count in ``classes``, else in the data's own, else in the names they are.

        Raises InvalidData, NotFound, UsageError.
        """
        names = classes or self.classes
        if self.kind == "examples":
            steps = _checked_steps(steps, self.what)
            if names is None:
                source, names = spool_named_batches(self.x, what=self.what, steps=steps, reader=reader)
            else:
                source = self.source(names, reader, steps=steps)
        elif self.kind == "shards" and names is not None and not _is_one_file(self.x):
            check_no_steps(steps, self.what)
            source = open_shards(self.x, names)
        else:
            check_no_steps(steps, self.what)
            return self._read(names, reader)
        return ImageData(source.images[:], source.labels, tuple(names), self.name)

    def _read(self, classes: Sequence[str] | None, reader: PictureReader) -> ImageData:
        if self.kind == "shards":
            return load_data(self.x[0], classes=classes, reader=reader)
        if self.kind == "files":
            return read_class_files(self.x, classes, reader)
        if self.kind == "data":
            images = reader.array(self.x.x)
            data = self.x if images is self.x.x else replace(self.x, x=images)
            return data if classes is None else reordered(data, tuple(classes))
        images, kept = pixels_of(self.x, reader, what=f"{self.what}x")
        y = self.y if kept is None else [self.y[position] for position in kept]
        if classes is None and not labels_are_names(y, f"{self.what}y"):
            raise numbers_without_names()
        names = classes_of_labels(y) if classes is None else self._counted_in(classes)
        labels = as_labels(y, names, count=len(images), what=f"{self.what}y")
        data = ImageData(images, labels, names, self.name)
        return data if classes is None else reordered(data, tuple(classes))

    def _counted_in(self, classes: Sequence[str]) -> tuple[str, ...]:
        """What the data's numbers count in: its own classes, whose order may be another than that of ``classes``.

        Where a loader's folders have other names altogether, ``classes`` are better names for the same numbers.
        """
        is_renamed = self.kind == "examples" and self.classes is not None and not set(self.classes) & set(classes)
        return tuple(classes) if self.classes is None or is_renamed else self.classes


def form_of(
    x: Any,
    y: Any = None,
    *,
    classes: ClassNames | None = None,
    split: Split = "train",
    datasets: Datasets | None = None,
    what: str = "",
) -> Form:
    """What ``x`` and, apart from it, ``y`` are. Files are found, but no picture is read and no batch taken.

    ``x`` alone may hold labels too: as ``ImageData``, as (x, y) or (x, y, classes), as a mapping of these, in files, or
    as what gives them batch by batch. ``classes`` say what numbers in a CSV stand for. ``what`` stands before "data" in
    messages. Raises UsageError for what is none of these, and as ``load_data`` does.
    """
    if isinstance(x, tuple) and len(x) in (2, 3) and y is None and not isinstance(x[0], tuple):
        return _of_tuple(x, split, datasets, what)
    if isinstance(x, ImageData):
        return Form("data", x, None, x.classes, x.name, what)
    if isinstance(x, str | Path) and y is None:
        return _of_place(x, classes, split, datasets, what)
    if isinstance(x, Mapping) and y is None and "x" in x and "y" in x:
        own = class_names(x["classes"]) if "classes" in x else None
        return replace(form_of(x["x"], x["y"], what=what), classes=own)
    if y is not None:
        return _of_two(x, y, what)
    if is_array(x) and not callable(getattr(x, "cardinality", None)):
        raise UsageError(f"the {what}data has images, but no labels.", kind="bad-data", hint=_TAKEN)
    if isinstance(x, bytes | Mapping) or not is_iterated(x):
        raise UsageError(f"the {what}data has the type {type(x).__name__}.", kind="bad-data", hint=_TAKEN)
    return Form("examples", x, None, _own_classes(x), "data", what)


def as_image_data(
    data: LabelledData,
    *,
    classes: Sequence[str] | None = None,
    split: Split = "train",
    steps: int | None = None,
    datasets: Datasets | None = None,
    reader: PictureReader | None = None,
) -> ImageData:
    """Labelled images in memory, however they are given (see ``form_of``).

    ``classes`` are what numbers stand for where the data does not say it. Raises NotFound, InvalidData, UsageError.
    """
    found = form_of(data, classes=classes, split=split, datasets=datasets)
    names = class_names(classes) if classes is not None and found.classes is None else None
    return found.in_memory(reader or PictureReader(), classes=names, steps=steps)


def source_of(
    x: Any,
    y: Any,
    classes: Sequence[str],
    *,
    reader: PictureReader | None = None,
    free: int | None = None,
    steps: int | None = None,
    datasets: Datasets | None = None,
    split: Split = "train",
    what: str = "",
) -> Source:
    """Labelled data as a source with labels of ``classes``, see ``form_of`` and ``Form.source``. Raises as both do."""
    found = form_of(x, y, classes=classes, split=split, datasets=datasets, what=what)
    return found.source(classes, reader or PictureReader(), free=free, steps=steps)


def _counting_in(source: Source, own: Sequence[str], classes: Sequence[str], what: str) -> Source:
    labels = recounted(source.labels, own, classes, what)
    return replace(source, labels=labels, fingerprint=data_fingerprint(source.images, labels, classes))


def _of_tuple(parts: tuple[Any, ...], split: Split, datasets: Datasets | None, what: str) -> Form:
    first = parts[0]
    if len(parts) == 2 and not (is_array(first) or (isinstance(first, list) and not _holds_pairs(first))):
        if not isinstance(parts[1], Mapping) and array_of(parts[1]).dtype.kind not in "USTO":
            return _of_two(first, parts[1], what)
        names = class_names(parts[1])
        return replace(form_of(first, classes=names, split=split, datasets=datasets, what=what), classes=names)
    found = form_of(first, parts[1], what=what)
    return found if len(parts) == 2 else replace(found, classes=class_names(parts[2]))


def _of_place(
    place: str | Path, classes: ClassNames | None, split: Split, datasets: Datasets | None, what: str
) -> Form:
    if str(place) not in DATASETS and are_shards(place):
        urls = find_shards(place)
        return Form("shards", urls, None, stored_classes(urls[0]), Path(str(place).rstrip("/")).stem, what)
    path = Path(place)
    files: ClassFiles | None = None
    if str(place) not in DATASETS and is_folder(path):
        files = find_class_files(path, split)
    elif is_list_of_files(path):
        files = find_listed_files(path, None if classes is None else class_names(classes))
    if files is not None:
        return Form("files", files, None, files.classes, files.name, what)
    names = class_names(classes) if classes is not None and is_labelled_table(path) else None
    data = find_data(place, split=split, classes=names, datasets=datasets)(PictureReader())
    return Form("data", data, None, data.classes, data.name, what)


def _of_two(x: Any, y: Any, what: str) -> Form:
    if isinstance(x, list | tuple) and len(x):
        if isinstance(y, list | tuple) and are_arrays(x) and are_arrays(y) and len(x[0].shape) == 4:
            return Form("examples", _pairs(x, y, "batches", what), None, None, "data", what)
        if isinstance(x[0], str | Path):
            return Form("examples", _pairs(x, array_of(y, "y").tolist(), "paths", what), None, None, "data", what)
    if not (is_array(x) or isinstance(x, list | tuple)):
        raise UsageError(
            f"the {what}images have the type {type(x).__name__}, and their labels were given apart.",
            kind="bad-data",
            hint=_TAKEN,
        )
    return Form("arrays", x, y, None, "the data", what)


def _holds_pairs(items: list[Any]) -> bool:
    """Whether a list has labels beside its images: it is of batches or of examples, and not of images."""
    first = items[0] if items else None
    if isinstance(first, tuple | list) and len(first) in (2, 3):
        return is_array(first[0]) or is_single(first[0])
    return isinstance(first, Mapping)


def _pairs(x: Sequence[Any], y: Sequence[Any], called: str, what: str) -> list[tuple[Any, Any]]:
    if len(x) != len(y):
        raise InvalidData(
            f"{what}y has {len(y)} labels for {len(x)} {called}.", kind="wrong-labels", labels=len(y), images=len(x)
        )
    return list(zip(x, y, strict=True))


def _own_classes(data: Any) -> tuple[str, ...] | None:
    """The classes that a loader or the data set behind it names, as Keras' and torch's do."""
    for each in _behind(data):
        indices = getattr(each, "class_indices", None) or getattr(each, "class_to_idx", None)
        if isinstance(indices, Mapping):
            return class_names(indices)
        for name in ("class_names", "classes"):
            found = getattr(each, name, None)
            if isinstance(found, list | tuple) and found and all(isinstance(one, str) for one in found):
                return class_names(found)
    return None


def _behind(data: Any) -> Iterable[Any]:
    for _ in range(4):
        if data is None:
            return
        yield data
        data = getattr(data, "dataset", None)


def _is_one_file(urls: Sequence[str]) -> bool:
    return len(urls) == 1 and "://" not in urls[0]


def _checked_steps(steps: int | None, what: str) -> int | None:
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1):
        raise UsageError(f"{what}steps is {steps!r}.", kind="bad-option", hint="give a number of batches, 1 or more.")
    return steps
