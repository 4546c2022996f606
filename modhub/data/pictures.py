"""Pictures in folders: which files are some. None is ever left out without a word.

A file counts as a picture by its name or, where that says nothing, by how it begins. What counts and cannot be read is
an error, or is named and skipped; so are files that are no pictures, and pictures that lie where none are looked for.
"""

from __future__ import annotations

import mimetypes
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from modhub.errors import InvalidData, UsageError, plain
from modhub.storage.files import visible

if TYPE_CHECKING:
    from PIL.Image import Image

#: The usual ends of pictures' names, in lower case.
IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
#: Pictures that few libraries read, and Python's table of kinds does not know everywhere.
_RARE: Final = frozenset({".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".psd", ".tga"}) | frozenset(
    {".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf"}
)
#: How HEIF files begin (Apple's HEIC are some), behind their size: Pillow reads them with the help of pillow-heif.
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
#: Formats that Pillow draws by running what is in them, with Ghostscript.
_PROGRAMS: Final = frozenset({"EPS"})
#: Formats of pictures that strangers send (HEIF beside them): others decode pixels before they say how many there are.
_SENT: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
#: What macOS adds to archives.
_OF_MACOS: Final = "__MACOSX"
_NAMED: Final = 3


def folders_in(folder: Path) -> list[Path]:
    """The folders in ``folder``, by name, without hidden ones and those that macOS adds to archives; maybe none."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in visible(folder) if entry.is_dir() and entry.name != _OF_MACOS)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie directly in ``folder``, by name, without hidden ones."""
    return sorted(entry for entry in visible(folder) if entry.is_file() and is_picture(entry))


def pictures_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in ``folder`` and all folders below it, by path, and the files there that are none; no hidden ones.

    Links to folders are followed, but none of them twice.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    seen: set[Path] = set()

    def look(place: Path) -> None:
        if (real := place.resolve()) in seen:
            return
        seen.add(real)
        for entry in visible(place):
            if entry.is_dir():
                if entry.name != _OF_MACOS:
                    look(entry)
            else:
                (pictures if entry.is_file() and is_picture(entry) else others).append(entry)

    look(folder)
    return sorted(pictures), sorted(others)


def warn_of_left_out(root: Path) -> None:
    """Warn of pictures that lie beside the class folders of ``root``."""
    if beside := pictures_in(root):
        some = ", ".join(str(each.relative_to(root)) for each in beside[:_NAMED])
        warnings.warn(
            f"{len(beside)} pictures lie beside the class folders of {root} and are left out: {plain(some)}"
            f"{', ...' if len(beside) > _NAMED else ''}.",
            stacklevel=4,
        )


def is_picture(file: Path) -> bool:
    """Whether a file counts as a picture."""
    if has_name_of_picture(file):
        return True
    kind = mimetypes.guess_type(file.name)[0]
    return kind.startswith("image/") if kind is not None else _begins_as_picture(file)


def has_name_of_picture(file: Path) -> bool:
    """Whether a path ends as pictures' names do."""
    return file.suffix.lower() in IMAGE_SUFFIXES | _RARE


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


@contextmanager
def opened_picture(file: Path) -> Iterator[Image]:
    """One file as a Pillow image. Raises InvalidData, kind ``bad-file``, for all that fails here or in the body."""
    with _readable(str(file), "convert it to PNG or JPEG, or move it out of the folder."):
        if not file.is_file():
            # Opening a pipe would wait for ever for its writer.
            raise OSError("it is not a plain file")
        with file.open("rb") as stream, _opened(stream, str(file)) as image:
            yield image


@contextmanager
def sent_picture(data: bytes, name: str, *, max_pixels: int) -> Iterator[Image]:
    """The bytes of a picture's file, called ``name``, as a Pillow image, as ``opened_picture`` does.

    Raises InvalidData, kind ``too-large``, before anything is decoded, for one of more than ``max_pixels``.
    """
    with _readable(name, "send a PNG or JPEG."), _identified(BytesIO(data), name, _SENT) as image:
        if image.width * image.height > max_pixels:
            raise InvalidData(
                f"{name} has {image.width:,} x {image.height:,} pixels; at most {max_pixels:,} are taken.",
                kind="too-large",
                hint="make it smaller.",
                pixels=image.width * image.height,
                most=max_pixels,
            )
        yield image


@contextmanager
def _readable(name: str, hint: str) -> Iterator[None]:
    """Everything that fails inside, as InvalidData, kind ``bad-file``."""
    try:
        yield
    except (InvalidData, UsageError):
        raise
    # Pillow's readers raise many unrelated types for damaged files and for decompression bombs.
    except Exception as error:
        raise InvalidData(
            f"{name} cannot be read as an image: {plain(str(error)) or type(error).__name__}.",
            kind="bad-file",
            hint=hint,
        ) from error


@contextmanager
def _opened(stream: BinaryIO, name: str) -> Iterator[Image]:
    with _identified(stream, name) as image:
        if image.format in _PROGRAMS:
            raise ValueError(f"{image.format} is a program, and none is run")
        yield image


def _identified(stream: BinaryIO, name: str, only: Collection[str] | None = None) -> Image:
    from PIL import Image, UnidentifiedImageError

    formats = None
    if only is not None:
        # Pillow refuses names of formats that it was built without.
        Image.init()
        formats = [each for each in only if each in Image.OPEN]
    try:
        try:
            return Image.open(stream, formats=formats)
        except UnidentifiedImageError:
            stream.seek(0)
            head = stream.read(12)
            stream.seek(0)
            if head[4:8] != b"ftyp" or head[8:12] not in _HEIF_BRANDS:
                raise
            _read_heif(name)
            return Image.open(stream, formats=None if only is None else ["HEIF"])
    except UnidentifiedImageError:
        # Pillow would name the stream and its address.
        raise UnidentifiedImageError(f"cannot identify image file {name!r}") from None


def _read_heif(name: str) -> None:
    """Let Pillow read HEIC files. Raises InvalidData, kind ``bad-file``, where the library for that is missing."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise InvalidData(
            f"{name} cannot be read as an image: HEIC needs a library that is not installed.",
            kind="bad-file",
            hint="pip install 'modhub[heic]', or convert it to PNG or JPEG.",
        ) from error
    register_heif_opener()
