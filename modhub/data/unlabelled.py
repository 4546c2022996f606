"""Images without labels, for predicting: files, folders and all below them, patterns; ``.npz``, ``.npy``, ``.csv``."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from modhub.data.arrays import Images, as_images
from modhub.data.fitting import Fitting
from modhub.data.given import Fit
from modhub.data.npz import read_arrays
from modhub.data.picture_reader import PictureReader, different_images
from modhub.data.pictures import IMAGE_SUFFIXES, is_picture, pictures_below
from modhub.data.tables import is_table, read_table
from modhub.errors import InvalidData, NotFound
from modhub.spec.input_contract import InputContract
from modhub.spec.places import is_file, is_folder, is_there

_PATTERN: Final = "*?["
_ENDS: Final = f"images end in {', '.join(sorted(IMAGE_SUFFIXES))}."


@dataclass(frozen=True)
class FoundImages:
    """Files of images that were named, none of them read: each with what answers call it.

    ``missing`` were in a list of paths and are not there; ``left_out`` lie in folders and are no pictures.
    """

    what: str
    files: tuple[tuple[Path, str], ...]
    missing: tuple[str, ...]
    left_out: tuple[str, ...]


def find_images(sources: Sequence[str | Path], listed: Iterable[str] = ()) -> FoundImages:
    """The files that ``sources`` name: images, files of arrays, folders with all below them, patterns (``**`` too).

    A path that is there means itself, whatever characters are in it. ``listed`` are further paths, of which a missing
    one is no error yet. Of one source the names are relative to it, of several as they were given. Raises NotFound when
    nothing is there, InvalidData when nothing of it is an image.
    """
    lines = list(listed)
    alone = len(sources) + len(lines) == 1
    files: list[tuple[Path, str]] = []
    others: list[str] = []
    missing: list[str] = []
    for position, source in enumerate([*sources, *lines]):
        matches = _matches(source)
        if not matches:
            raise _nothing_at(source)
        for path in matches:
            short = alone and len(matches) == 1
            if is_folder(path):
                pictures, rest = pictures_below(path)
                files += [(file, str(file.relative_to(path) if short else file)) for file in pictures]
                others += [str(file.relative_to(path) if short else file) for file in rest]
            elif str(path) != str(source) and not (is_picture(path) or _holds_arrays(path)):
                others.append(str(path))
            elif is_there(path):
                files.append((path, path.name if short else str(path)))
            elif position >= len(sources):
                missing.append(str(path))
            else:
                raise _nothing_at(source)
    what = str(sources[0]) if len(sources) == 1 and not lines else "what was named"
    if not files and not missing:
        raise InvalidData(f"{what} holds no images.", kind="no-images", hint=_ENDS)
    return FoundImages(what, tuple(files), tuple(missing), tuple(others))


def _matches(source: str | Path) -> list[Path]:
    """The path itself, or what fits a pattern."""
    if is_there(source) or not any(sign in str(source) for sign in _PATTERN):
        return [Path(source)]
    return sorted(map(Path, glob.glob(str(source), recursive=True)))  # noqa: PTH207 - Path.glob refuses absolute patterns


def read_images(found: FoundImages, reader: PictureReader) -> tuple[Images, tuple[str, ...]]:
    """All images (N, height, width, channels), uint8 or float32, and N names; ``x[0]`` and so on in files of arrays.

    Raises InvalidData for images of different sizes, and as ``reader`` does.
    """
    reader.leave_out(found.left_out)
    for name in found.missing:
        reader.skip(name, _nothing_at(name))
    parts: list[Images] = []
    names: list[str] = []
    for file, name in found.files:
        if _holds_arrays(file) and is_file(file):
            part = reader.array(_arrays(file))
            prefix = "" if len(found.files) == 1 else f"{name} "
            called = [f"{prefix}x[{i}]" for i in range(len(part))]
        else:
            image = reader.read(file, name)
            if image is None:
                continue
            part, called = image[np.newaxis], [name]
        if parts and part.shape[1:] != parts[0].shape[1:]:
            raise different_images(found.what, names[0], parts[0][0], called[0], part[0])
        parts.append(part)
        names += called
    if not parts:
        raise reader.nothing_left(found.what)
    images: Images = parts[0] if len(parts) == 1 else np.concatenate(parts)  # type: ignore[assignment]
    return images, tuple(names)


def _holds_arrays(file: Path) -> bool:
    return file.suffix.lower() == ".npz" or is_table(file)


def _arrays(file: Path) -> Images:
    if is_table(file):
        return read_table(file)
    return as_images(read_arrays(file, required=("x",))["x"], what=f"x in {file}")


def load_images(
    path: str | Path | Sequence[str | Path],
    *,
    fit: Fit = "none",
    contract: InputContract | None = None,
    background: str = "white",
) -> tuple[Images, tuple[str, ...]]:
    """Images without labels: image files, folders of images with all below them, patterns; files of arrays.

    Files of arrays are ``.npz`` with ``x``, ``.npy``, and ``.csv`` of numbers with or without a header.

    ``fit`` brings pictures of any size and mode to the size, channels and value range of ``contract``, such as
    ``composite.plan.contract``: ``resize`` stretches, ``crop`` keeps the middle, ``letterbox`` keeps all and fills up
    with black. Transparent ones are composed on the colour ``background``. Returns the raw images (N, H, W, C), uint8
    or float32, and N names. Raises NotFound when nothing is there, InvalidData for the first that cannot be used.
    """
    sources = [path] if isinstance(path, (str, Path)) else list(path)
    return read_images(find_images(sources), PictureReader(Fitting(fit, contract, background)))


def _nothing_at(source: str | Path) -> NotFound:
    return NotFound(
        f"no images at {str(source)!r}.",
        kind="data-not-found",
        hint="give an image file, a folder of images, a pattern, an .npz file with x, or a .npy or .csv of numbers.",
    )
