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
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.data.arrays import Images, as_images
from modhub.data.classes import (
    as_labels,
    class_names,
    classes_of_labels,
    labels_are_names,
    unknown_class,
)
from modhub.data.given import ClassNames
from modhub.data.npz import read_arrays
from modhub.data.picture_reader import PictureReader
from modhub.data.pictures import IMAGE_SUFFIXES, folders_in, pictures_below, warn_of_left_out
from modhub.data.rows import data_fingerprint
from modhub.errors import InvalidData, NotFound, UsageError, did_you_mean
from modhub.spec.places import is_folder, is_there
from modhub.spec.text import composed, find_class, in_short

Split = Literal["train", "test"]

#: The data sets that are known by name.
DATASETS: Final = ("cifar10", "cifar100")

_SPLITS: Final = ("train", "test")
_SPEC_HINT: Final = f"give {' or '.join(DATASETS)}, an .npz file with x, y and classes, or a folder of class folders."


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
        return _reordered(self.take(wanted[self.y]), names)


#: Labelled images as ``as_image_data`` takes them: the name of a data set, an .npz, a folder of class folders, or
#: arrays (x, y, classes), of which ``classes`` may be left out when ``y`` holds names.
LabelledData = ImageData | str | Path | tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ClassNames]


def load_data(
    spec: str | Path,
    *,
    split: Split = "train",
    classes: Sequence[str] | None = None,
    datasets: Callable[[str, Split], ImageData] | None = None,
    reader: PictureReader | None = None,
) -> ImageData:
    """Labelled images by ``spec``: the name of a data set, an ``.npz`` file, or a folder of class folders.

    An ``.npz`` holds ``x`` (N, H, W, C) or (N, H, W), ``y`` (indices or class names) and ``classes``. A folder holds
    one folder of images a class, in alphabetical order, with all below it; where it holds ``train/`` and ``test/`` of
    that kind, ``split`` chooses. ``classes`` are the names in the order of the model's outputs, for data in another
    order or an ``.npz`` without any. ``datasets`` loads the named data sets (``modhub.engine.datasets.load_dataset``).
    ``reader`` says how pictures are fitted, and whether a bad one is skipped; without it they have to fit as they are.

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
    if split not in _SPLITS:
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
        data = data if classes is None else _reordered(data, class_names(classes, "the classes given"))
    elif not is_there(path):
        raise NotFound(
            f"no data at {str(spec)!r}.", kind="data-not-found", hint=did_you_mean(str(spec), DATASETS) or _SPEC_HINT
        )
    elif is_folder(path):
        return partial(read_class_files, find_class_files(path, split), classes)
    elif path.suffix.lower() != ".npz":
        raise InvalidData(f"{path} is neither an .npz file nor a folder.", kind="unknown-data", hint=_SPEC_HINT)
    else:
        data = _load_npz(path, classes)
    return partial(_fitted, data)


def as_image_data(
    data: LabelledData,
    *,
    split: Split = "train",
    datasets: Callable[[str, Split], ImageData] | None = None,
    reader: PictureReader | None = None,
) -> ImageData:
    """Labelled images, however they are given: ``ImageData``, a ``spec`` (see ``load_data``), or ``(x, y, classes)``.

    ``classes`` may be left out when ``y`` holds names. Raises NotFound, InvalidData, UsageError.
    """
    reader = reader or PictureReader()
    if isinstance(data, ImageData):
        return _fitted(data, reader)
    if isinstance(data, (str, Path)):
        return load_data(data, split=split, datasets=datasets, reader=reader)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise UsageError(
            f"the data has the type {type(data).__name__}.",
            kind="bad-data",
            hint="give a data set's name, a path, ImageData, or (x, y, classes).",
        )
    x, y = data[0], data[1]
    if len(data) == 2 and not labels_are_names(y):
        raise UsageError(
            "the labels are numbers, and nothing says what they stand for.",
            kind="bad-data",
            hint="give (x, y, classes), or labels that are names: y.astype(str).",
        )
    images = reader.array(as_images(x))
    classes = class_names(data[2], "classes") if len(data) == 3 else classes_of_labels(y)
    return ImageData(images, as_labels(y, classes, count=len(images)), classes, "the data")


def _fitted(data: ImageData, reader: PictureReader) -> ImageData:
    images = reader.array(data.x)
    return data if images is data.x else replace(data, x=images)


def _reordered(data: ImageData, classes: tuple[str, ...]) -> ImageData:
    """The same images with labels that count in ``classes``, which must name every class that has an image."""
    index = {composed(name): i for i, name in enumerate(classes)}
    position = np.array([index.get(composed(name), -1) for name in data.classes], np.int64)
    labels = position[data.y]
    if (labels < 0).any():
        raise unknown_class(data.classes[data.y[np.argmin(labels)]], data.name, classes)
    return replace(data, y=labels, classes=classes)


def _load_npz(path: Path, classes: Sequence[str] | None) -> ImageData:
    arrays = read_arrays(path, required=("x", "y") if classes is not None else ("x", "y", "classes"))
    stored = arrays.get("classes")
    own = class_names(stored, f"classes in {path}") if stored is not None else None
    given = class_names(classes, "the classes given") if classes is not None else None
    x = as_images(arrays["x"], what=f"x in {path}")
    y = as_labels(arrays["y"], own or given or (), count=len(x), what=f"y in {path}")
    data = ImageData(x, y, own or given or (), path.stem)
    return data if given is None or own is None else _reordered(data, given)


@dataclass(frozen=True)
class ClassFiles:
    """The image files below ``root``, by class, and the class of each as an index into ``classes``.

    ``others`` are the files in the class folders that are no pictures.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    others: tuple[Path, ...]


def find_class_files(folder: Path, split: Split) -> ClassFiles:
    """The files of a folder of class folders, see ``load_data``; none is read. Raises InvalidData."""
    root, name = _split_of(folder, split)
    folders = folders_in(root)
    classes = class_names([entry.name for entry in folders], f"the class folders in {root}") if folders else ()
    if not classes:
        raise InvalidData(
            f"{root} holds no class folders.",
            kind="no-classes",
            hint="put the images of each class into one folder named after the class.",
        )
    files: list[Path] = []
    labels: list[int] = []
    others: list[Path] = []
    for label, each in enumerate(folders):
        images, rest = pictures_below(each)
        if not images:
            raise InvalidData(
                f"the class folder {each} holds no images.",
                kind="no-images",
                hint=f"images end in {', '.join(sorted(IMAGE_SUFFIXES))}; remove the folder if it is no class.",
            )
        files += images
        others += rest
        labels += [label] * len(images)
    warn_of_left_out(root)
    return ClassFiles(root, name, classes, tuple(files), tuple(labels), tuple(others))


def read_class_files(found: ClassFiles, classes: Sequence[str] | None, reader: PictureReader) -> ImageData:
    """The images of ``found``, with labels that count in ``classes`` where these are given. Raises InvalidData."""
    reader.leave_out(str(file.relative_to(found.root)) for file in found.others)
    paths = [str(file.relative_to(found.root)) for file in found.files]
    images, kept = reader.read_all(found.files, paths, what=found.root)
    labels = np.array(found.labels, np.int64)[kept]
    data = ImageData(images, labels, found.classes, found.name, tuple(paths[position] for position in kept))
    return data if classes is None else _reordered(data, class_names(classes, "the classes given"))


def _split_of(folder: Path, split: Split) -> tuple[Path, str]:
    """The folder with the class folders, and the data's name. A class may be called ``train``: it holds images."""
    name = folder.resolve().name
    if folders_in(folder / split):
        return folder / split, f"{name}_{split}"
    for other in _SPLITS:
        if folders_in(folder / other):
            raise InvalidData(
                f"{folder} has {other}/ but no {split}/ with class folders.",
                kind="no-split",
                hint=f"add {folder / split}, or give {folder / other} itself.",
            )
    return folder, name
