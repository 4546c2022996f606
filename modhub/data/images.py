"""Labelled images from wherever people keep them, as one value: ``ImageData``.

An ``.npz`` file, a folder of class folders, or a data set by name. Images stay raw: nothing here rescales them, because
the input contract of a module does that later; how pictures are fitted is the reader's. Whatever leaves this module is
checked once: four axes, uint8 or finite float32, one label a picture, every label inside the classes. Nothing is ever
unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.data.arrays import Images, as_images
from modhub.data.class_files import ClassFiles, find_class_files
from modhub.data.classes import (
    as_labels,
    class_names,
    recounted,
    unknown_class,
)
from modhub.data.given import SPLITS, Split
from modhub.data.listed import find_listed_files, is_labelled_table, is_list_of_files, label_column, labels_in
from modhub.data.npz import read_arrays
from modhub.data.picture_reader import PictureReader
from modhub.data.rows import data_fingerprint
from modhub.data.tables import read_columns
from modhub.errors import InvalidData, NotFound, UsageError, did_you_mean
from modhub.spec.places import is_folder, is_there
from modhub.spec.text import find_class, in_short

#: The data sets that are known by name.
DATASETS: Final = ("cifar10", "cifar100")

_SPEC_HINT: Final = (
    f"give {' or '.join(DATASETS)}, an .npz file with x, y and classes, a folder of class folders, or a CSV file of "
    "paths and labels."
)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Raw images with their classes.

    ``x``: (N, height, width, channels), uint8 or finite float32. ``y``: int64 (N,), indices into ``classes``.
    ``name`` says where it comes from (``cifar10_test``); ``paths`` has each image's file where there is one.
    """

    x: Images
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    name: str
    paths: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.x.shape[1:]))
        return (
            f"<ImageData {self.name[:100]}: {len(self):,} images, {size} {self.x.dtype}, of {in_short(self.classes)}>"
        )

    @property
    def labels(self) -> NDArray[np.str_]:
        """The class name of every image, (N,); what a composite's ``.labels`` are compared with."""
        return np.array(self.classes)[self.y]

    @property
    def fingerprint(self) -> str:
        """The digest of all images, labels and class names, in order; computed each time, as arrays may change."""
        return data_fingerprint(self.x, self.y, self.classes)

    def take(self, indices: ArrayLike) -> ImageData:
        """The images at ``indices`` (integers, or booleans (N,)), with the same classes."""
        chosen = np.arange(len(self))[np.asarray(indices)]
        paths = None if self.paths is None else tuple(self.paths[i] for i in chosen)
        return replace(self, x=self.x[chosen], y=self.y[chosen], paths=paths)

    def restrict(self, classes: Iterable[str]) -> ImageData:
        """Only the images of these classes, with labels that count in the order given. Raises InvalidData."""
        names = class_names(classes, "the classes to keep")
        if unknown := [name for name in names if find_class(name, self.classes) is None]:
            raise unknown_class(unknown[0], self.name, self.classes)
        names = tuple(find_class(name, self.classes) or name for name in names)
        wanted = np.array([name in names for name in self.classes])
        return reordered(self.take(wanted[self.y]), names)


def load_data(
    spec: str | Path,
    *,
    split: Split = "train",
    classes: Sequence[str] | None = None,
    datasets: Callable[[str, Split], ImageData] | None = None,
    reader: PictureReader | None = None,
) -> ImageData:
    """Labelled images by ``spec``: a data set's name, an ``.npz`` file, a folder of class folders, a CSV of paths.

    An ``.npz`` holds ``x`` (N, H, W, C) or (N, H, W), ``y`` (indices or class names) and ``classes``. A folder holds
    one folder of images a class, in alphabetical order, with all below it; where it holds ``train/`` and ``test/`` of
    that kind, ``split`` chooses. A CSV file has the columns ``path`` and ``label``. ``classes`` are the names in the
    order of the model's outputs, for data in another order or that names none. ``datasets`` loads the named data sets
    (``modhub.engine.datasets.load_dataset``). ``reader`` says how pictures are fitted, and whether a bad one is
    skipped; without it they have to fit as they are.

    Raises NotFound when nothing is there, InvalidData when it cannot be used, UsageError for another split.
    """
    return find_data(spec, split=split, classes=classes, datasets=datasets)(reader or PictureReader())


def find_data(
    spec: str | Path,
    *,
    split: Split = "train",
    classes: Sequence[str] | None = None,
    datasets: Callable[[str, Split], ImageData] | None = None,
) -> Callable[[PictureReader], ImageData]:
    """``load_data`` in two steps: pictures are found now, and read when what is given back is called with a reader.

    So what is missing is known before a classifier is loaded, which says how pictures are to be fitted. Arrays are
    loaded now. Raises as ``load_data`` does.
    """
    if split not in SPLITS:
        raise UsageError(f"{split!r} is not a split of the data.", hint="use train or test.", split=split)
    path = Path(spec)
    if isinstance(spec, str) and spec in DATASETS:
        if datasets is None:
            raise UsageError(
                f"{spec} is a data set's name, but no loader of named data sets was given.",
                hint="pass datasets=modhub.engine.datasets.load_dataset.",
                data=spec,
            )
        data = datasets(spec, split)
        data = data if classes is None else reordered(data, class_names(classes, "the classes given"))
    elif not is_there(path):
        raise NotFound(
            f"no data at {str(spec)!r}.", kind="data-not-found", hint=did_you_mean(str(spec), DATASETS) or _SPEC_HINT
        )
    elif is_folder(path):
        return partial(read_class_files, find_class_files(path, split), classes)
    elif is_list_of_files(path):
        names = None if classes is None else class_names(classes, "the classes given")
        return partial(read_class_files, find_listed_files(path, names), classes)
    elif is_labelled_table(path):
        data = _load_table(path, classes)
    elif path.suffix.lower() != ".npz":
        raise InvalidData(f"{path} is no .npz file, no folder and no CSV file.", kind="unknown-data", hint=_SPEC_HINT)
    else:
        data = _load_npz(path, classes)
    return partial(_fitted, data)


def _fitted(data: ImageData, reader: PictureReader) -> ImageData:
    images = reader.array(data.x)
    return data if images is data.x else replace(data, x=images)


def reordered(data: ImageData, classes: tuple[str, ...]) -> ImageData:
    """The same images with labels that count in ``classes``, which must name every class that has an image."""
    return replace(data, y=recounted(data.y, data.classes, classes, data.name), classes=classes)


def _load_table(path: Path, classes: Sequence[str] | None) -> ImageData:
    x, labels = read_columns(path, label_column(path) or 0)
    given = None if classes is None else class_names(classes, "the classes given")
    names, y = labels_in(labels, given, path.stem)
    return ImageData(x, np.array(y, np.int64), names, path.stem)


def _load_npz(path: Path, classes: Sequence[str] | None) -> ImageData:
    arrays = read_arrays(path, required=("x", "y") if classes is not None else ("x", "y", "classes"))
    stored = arrays.get("classes")
    own = class_names(stored, f"classes in {path}") if stored is not None else None
    given = class_names(classes, "the classes given") if classes is not None else None
    x = as_images(arrays["x"], what=f"x in {path}")
    y = as_labels(arrays["y"], own or given or (), count=len(x), what=f"y in {path}")
    data = ImageData(x, y, own or given or (), path.stem)
    return data if given is None or own is None else reordered(data, given)


def read_class_files(found: ClassFiles, classes: Sequence[str] | None, reader: PictureReader) -> ImageData:
    """The images of ``found``, with labels that count in ``classes`` where these are given. Raises InvalidData."""
    reader.leave_out(found.name_of(file) for file in found.others)
    paths = [found.name_of(file) for file in found.files]
    images, kept = reader.read_all(found.files, paths, what=found.what)
    labels = np.array(found.labels, np.int64)[kept]
    data = ImageData(images, labels, found.classes, found.name, tuple(paths[position] for position in kept))
    return data if classes is None else reordered(data, class_names(classes, "the classes given"))
