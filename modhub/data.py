"""Labelled images from wherever people keep them, as one value: ``ImageData``.

An ``.npz`` file, a folder of class folders, or a data set by name. Images stay raw: nothing here rescales, resizes or
changes colours, because the input contract of a module does that later. Whatever leaves this module is checked once:
four axes, uint8 or finite float32, one label a picture, every label inside the classes. Nothing is ever unpickled.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modhub.errors import InvalidData, NotFound, UsageError, did_you_mean
from modhub.limits import MAX_CLASSES

Images = NDArray[np.uint8] | NDArray[np.float32]
Split = Literal["train", "test"]

#: The data sets that are known by name.
DATASETS: Final = ("cifar10", "cifar100")
#: What counts as an image in a folder, by the end of its name in lower case.
IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})

_SPLITS: Final = ("train", "test")
_SPEC_HINT: Final = f"give {' or '.join(DATASETS)}, an .npz file with x, y and classes, or a folder of class folders."
# Bilevel and palette images are grey and colour images stored in fewer bits; every other mode would lose something.
_MODES: Final = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}


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

    @property
    def labels(self) -> NDArray[np.str_]:
        """The class name of every image, (N,); what a composite's ``.labels`` are compared with."""
        return np.array(self.classes)[self.y]

    def take(self, indices: ArrayLike) -> ImageData:
        """The images at ``indices`` (integers, or booleans (N,)), with the same classes."""
        chosen = np.arange(len(self))[np.asarray(indices)]
        paths = None if self.paths is None else tuple(self.paths[i] for i in chosen)
        return replace(self, x=self.x[chosen], y=self.y[chosen], paths=paths)

    def restrict(self, classes: Iterable[str]) -> ImageData:
        """Only the images of these classes, with labels that count in the order given. Raises InvalidData."""
        names = _class_names(list(classes), "the classes to keep")
        if unknown := [name for name in names if name not in self.classes]:
            raise _unknown_class(unknown[0], self.name, self.classes)
        wanted = np.array([name in names for name in self.classes])
        return _reordered(self.take(wanted[self.y]), names)


def load_data(
    spec: str | Path,
    *,
    split: Split = "train",
    classes: Sequence[str] | None = None,
    datasets: Callable[[str, Split], ImageData] | None = None,
) -> ImageData:
    """Labelled images by ``spec``: the name of a data set, an ``.npz`` file, or a folder of class folders.

    An ``.npz`` holds ``x`` (N, H, W, C) or (N, H, W), ``y`` (indices or class names) and ``classes``. A folder holds
    one folder of images a class, in alphabetical order; where it holds ``train/`` and ``test/`` of that kind,
    ``split`` chooses. ``classes`` are the names in the order of the model's outputs, for data in another order or an
    ``.npz`` without any. ``datasets`` loads the named data sets (``modhub.engine.datasets.load_dataset``).

    Raises NotFound when nothing is there, InvalidData when it cannot be used, UsageError for another split.
    """
    if split not in _SPLITS:
        raise UsageError(f"{split!r} is not a split of the data.", hint="use train or test.", split=split)
    if isinstance(spec, str) and spec in DATASETS:
        if datasets is None:
            raise UsageError(
                f"{spec} is a data set's name, but no loader of named data sets was given.",
                hint="pass datasets=modhub.engine.datasets.load_dataset.",
                data=spec,
            )
        data = datasets(spec, split)
        return data if classes is None else _reordered(data, _class_names(classes, "the classes given"))
    path = Path(spec)
    if not path.exists():
        raise NotFound(
            f"no data at {str(spec)!r}.", kind="data-not-found", hint=did_you_mean(str(spec), DATASETS) or _SPEC_HINT
        )
    if path.is_dir():
        data = _load_folder(path, split)
        return data if classes is None else _reordered(data, _class_names(classes, "the classes given"))
    if path.suffix.lower() != ".npz":
        raise InvalidData(f"{path} is neither an .npz file nor a folder.", kind="unknown-data", hint=_SPEC_HINT)
    return _load_npz(path, classes)


def load_images(path: str | Path) -> tuple[Images, tuple[str, ...]]:
    """Images without labels: one image file, a folder of images (sorted by name), or an ``.npz`` with ``x``.

    Returns the raw images (N, H, W, C), uint8 or float32, and N names: file names, or ``x[0]``, ``x[1]`` and so on.
    Raises NotFound when nothing is there, InvalidData when it cannot be used.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(
            f"no images at {str(path)!r}.",
            kind="data-not-found",
            hint="give an image file, a folder of images, or an .npz file with x.",
        )
    if path.suffix.lower() == ".npz" and path.is_file():
        x = as_images(_read_npz(path, required=("x",))["x"], what=f"x in {path}")
        return x, tuple(f"x[{i}]" for i in range(len(x)))
    files = _images_in(path) if path.is_dir() else [path]
    if not files:
        raise InvalidData(
            f"{path} holds no images.",
            kind="no-images",
            hint=f"images end in {', '.join(sorted(IMAGE_SUFFIXES))} and lie directly in the folder.",
        )
    return _read_images(files, root=path), tuple(file.name for file in files)


def as_images(x: ArrayLike, *, what: str = "x") -> Images:
    """``x`` as raw images (N, H, W, C), uint8 or float32; (N, H, W) becomes grey, other floats become float32.

    ``what`` names the array in messages. Raises InvalidData for another shape or dtype, no image, NaN or infinity.
    """
    array = np.asarray(x)
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


def as_labels(y: ArrayLike, classes: Sequence[str], *, count: int, what: str = "y") -> NDArray[np.int64]:
    """``y`` as int64 (count,), indices into ``classes``; it may hold class names, and have the shape (count, 1).

    ``what`` names the array in messages. Raises InvalidData for another shape or dtype and labels outside ``classes``.
    """
    labels = np.asarray(y)
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
            raise _unknown_class(unknown[0], what, classes)
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


def _class_names(values: ArrayLike, what: str) -> tuple[str, ...]:
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


def _unknown_class(name: str, what: str, classes: Sequence[str]) -> InvalidData:
    shown = ", ".join(classes[:10]) + (f" and {len(classes) - 10} more" if len(classes) > 10 else "")
    return InvalidData(
        f"{what}: {name!r} is not among the classes.",
        kind="label-outside",
        hint=did_you_mean(name, classes) or f"the classes are {shown}.",
        label=name,
    )


def _reordered(data: ImageData, classes: tuple[str, ...]) -> ImageData:
    """The same images with labels that count in ``classes``, which must name every class that has an image."""
    index = {name: i for i, name in enumerate(classes)}
    position = np.array([index.get(name, -1) for name in data.classes], np.int64)
    labels = position[data.y]
    if (labels < 0).any():
        raise _unknown_class(data.classes[data.y[np.argmin(labels)]], data.name, classes)
    return replace(data, y=labels, classes=classes)


def _load_npz(path: Path, classes: Sequence[str] | None) -> ImageData:
    arrays = _read_npz(path, required=("x", "y") if classes is not None else ("x", "y", "classes"))
    stored = arrays.get("classes")
    own = _class_names(stored, f"classes in {path}") if stored is not None else None
    given = _class_names(classes, "the classes given") if classes is not None else None
    x = as_images(arrays["x"], what=f"x in {path}")
    y = as_labels(arrays["y"], own or given or (), count=len(x), what=f"y in {path}")
    data = ImageData(x, y, own or given or (), path.stem)
    return data if given is None or own is None else _reordered(data, given)


def _read_npz(path: Path, *, required: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    """The arrays ``x``, ``y`` and ``classes`` as far as the file has them; never unpickles."""
    if not zipfile.is_zipfile(path):
        raise InvalidData(f"{path} is not an .npz file, or cut short.", kind="bad-file", hint="write it with np.savez.")
    arrays: dict[str, NDArray[np.generic]] = {}
    key = "the list of arrays"
    try:
        with np.load(path, allow_pickle=False) as archive:
            held = archive.files
            for key in (*required, "classes"):
                if key in held:
                    arrays[key] = archive[key]
    # The zip and array readers raise a dozen unrelated types for damaged files.
    except Exception as error:
        raise InvalidData(
            f"{key} in {path} cannot be read: {error or type(error).__name__}.",
            kind="bad-file",
            hint="save plain arrays, names as np.array(classes, dtype=str); Python objects are never loaded.",
        ) from error
    if missing := [name for name in required if name not in arrays]:
        raise InvalidData(
            f"{path} has no {missing[0]!r}; it has {', '.join(held) or 'nothing'}.",
            kind="missing-key",
            hint=f"save it with np.savez(path, {', '.join(f'{name}=...' for name in required)}).",
            missing=missing,
        )
    return arrays


def _load_folder(folder: Path, split: Split) -> ImageData:
    root, name = _split_of(folder, split)
    classes = [entry.name for entry in _folders_in(root)]
    if not classes:
        raise InvalidData(
            f"{root} holds no class folders.",
            kind="no-classes",
            hint="put the images of each class into one folder named after the class.",
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, cls in enumerate(classes):
        images = _images_in(root / cls)
        if not images:
            raise InvalidData(
                f"the class folder {root / cls} holds no images.",
                kind="no-images",
                hint=f"images end in {', '.join(sorted(IMAGE_SUFFIXES))}; remove the folder if it is no class.",
            )
        files += images
        labels += [label] * len(images)
    paths = tuple(str(file.relative_to(root)) for file in files)
    return ImageData(_read_images(files, root=root), np.array(labels, np.int64), tuple(classes), name, paths)


def _split_of(folder: Path, split: Split) -> tuple[Path, str]:
    """The folder with the class folders, and the data's name. A class may be called ``train``: it holds images."""
    name = folder.resolve().name
    if _folders_in(folder / split):
        return folder / split, f"{name}_{split}"
    for other in _SPLITS:
        if _folders_in(folder / other):
            raise InvalidData(
                f"{folder} has {other}/ but no {split}/ with class folders.",
                kind="no-split",
                hint=f"add {folder / split}, or give {folder / other} itself.",
            )
    return folder, name


def _folders_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )


def _read_images(files: Sequence[Path], *, root: Path) -> NDArray[np.uint8]:
    """All files as one array (N, H, W, C). Raises InvalidData for the first that differs from the first of all."""
    first = _read_image(files[0])
    x = np.empty((len(files), *first.shape), np.uint8)
    for i, file in enumerate(files):
        image = _read_image(file)
        if image.shape != first.shape:
            raise InvalidData(
                f"the images in {root} differ: {files[0].relative_to(root)} is {_size(first)}, "
                f"{file.relative_to(root)} is {_size(image)} (height x width x channels).",
                kind="mixed-images",
                hint="bring all images to one size and colour mode, for example with Pillow's resize and convert.",
                files=[str(files[0]), str(file)],
            )
        x[i] = image
    return x


def _size(image: NDArray[np.uint8]) -> str:
    return "x".join(str(extent) for extent in image.shape)


def _read_image(file: Path) -> NDArray[np.uint8]:
    from PIL import Image  # an .npz needs no Pillow

    try:
        with Image.open(file) as image:
            mode = image.mode
            pixels = np.asarray(image.convert(_MODES[mode]), np.uint8) if mode in _MODES else None
    # Pillow's readers raise many unrelated types for damaged files and for decompression bombs.
    except Exception as error:
        raise InvalidData(
            f"{file} cannot be read as an image: {error or type(error).__name__}.", kind="bad-file"
        ) from error
    if pixels is None:
        raise InvalidData(
            f"{file} has the colour mode {mode}; grey (L) and RGB images are supported.",
            kind="bad-mode",
            hint="convert it, for example with Pillow: image.convert('RGB').",
            mode=mode,
        )
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
