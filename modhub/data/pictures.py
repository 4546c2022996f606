"""Pictures in folders: which files are some, and the pixels in each. None is ever left out without a word.

A file counts as a picture by its name or, where that says nothing, by how it begins. What counts and cannot be read is
an error; pictures that lie where none are looked for are named in a warning.
"""

from __future__ import annotations

import mimetypes
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.errors import InvalidData, plain
from modhub.storage.files import visible

#: The usual ends of pictures' names, in lower case.
IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
#: Pictures that few libraries read, and Python's table of kinds does not know everywhere.
_RARE: Final = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".psd", ".tga"}
)
# Bilevel and palette images are grey and colour images stored in fewer bits; every other mode would lose something.
_MODES: Final = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
#: Cameras put a preview behind the photograph, which is none of a sequence.
_WITH_PREVIEW: Final = "MPO"
_NAMED: Final = 3


def folders_in(folder: Path) -> list[Path]:
    """The folders in ``folder``, by name, without hidden ones and those that macOS adds to archives; maybe none."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in visible(folder) if entry.is_dir() and entry.name != "__MACOSX")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie directly in ``folder``, by name, without hidden ones."""
    return sorted(entry for entry in visible(folder) if entry.is_file() and _is_picture(entry))


def warn_of_left_out(root: Path, searched: Iterable[Path]) -> None:
    """Warn of pictures that lie beside the class folders ``searched`` of ``root``, or deeper than directly in them."""
    beside = pictures_in(root)
    deeper = [folder for each in searched for folder in folders_in(each) if _holds_picture(folder)]
    for found, what in (
        (beside, "pictures lie beside the class folders"),
        (deeper, "folders with pictures lie inside class folders"),
    ):
        if found:
            some = ", ".join(str(each.relative_to(root)) for each in found[:_NAMED])
            warnings.warn(
                f"{len(found)} {what} of {root} and are left out: {plain(some)}"
                f"{', ...' if len(found) > _NAMED else ''}.",
                stacklevel=4,
            )


def _holds_picture(folder: Path) -> bool:
    return any(entry.is_file() and _is_picture(entry) for entry in visible(folder)) or any(
        map(_holds_picture, folders_in(folder))
    )


def _is_picture(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix in IMAGE_SUFFIXES or suffix in _RARE:
        return True
    kind = mimetypes.guess_type(file.name)[0]
    return kind.startswith("image/") if kind is not None else _begins_as_picture(file)


def _begins_as_picture(file: Path) -> bool:
    from PIL import Image  # an .npz needs no Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file):
                return True
    # Pillow's readers raise many unrelated types for what is none of theirs.
    except Exception:
        return False


def read_picture(file: Path) -> NDArray[np.uint8]:
    """The pixels of one file, uint8 (height, width, channels), grey or RGB.

    Raises InvalidData for what cannot be read, other colour modes, transparency (also in a palette or as one colour)
    and several frames.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            mode, frames = image.mode, getattr(image, "n_frames", 1)
            if frames > 1 and image.format != _WITH_PREVIEW:
                raise _several_frames(file, frames)
            if mode in _MODES and _is_transparent(image):
                mode = f"{mode} with transparent pixels"
            pixels = np.asarray(image.convert(_MODES[mode]), np.uint8) if mode in _MODES else None
    except InvalidData:
        raise
    # Pillow's readers raise many unrelated types for damaged files and for decompression bombs.
    except Exception as error:
        raise InvalidData(
            f"{file} cannot be read as an image: {plain(str(error)) or type(error).__name__}.",
            kind="bad-file",
            hint="convert it to PNG or JPEG, or move it out of the folder.",
        ) from error
    if pixels is None:
        raise InvalidData(
            f"{file} has the colour mode {mode}; grey (L) and RGB images are supported.",
            kind="bad-mode",
            hint="convert it, for example with Pillow: image.convert('RGB').",
            mode=mode,
        )
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _is_transparent(image: Any) -> bool:
    """Whether a picture without a channel for it has transparent pixels: by its palette, or by one colour of it."""
    palette = getattr(image, "palette", None)
    if "transparency" not in image.info and getattr(palette, "mode", "RGB") != "RGBA":
        return False
    return int(np.asarray(image.convert("RGBA"))[..., 3].min()) < 255


def _several_frames(file: Path, frames: int) -> InvalidData:
    return InvalidData(
        f"{file} holds {frames} frames; one picture a file is supported.",
        kind="several-frames",
        hint="save each frame as a picture of its own, or move the file out of the folder.",
        frames=frames,
    )
