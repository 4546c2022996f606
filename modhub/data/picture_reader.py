"""Reading many pictures as one classifier takes them, with an account of what was done and what was skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.arrays import Images
from modhub.data.fitting import Fitting
from modhub.data.pictures import opened_picture, sent_picture
from modhub.errors import InvalidData, ModhubError
from modhub.limits import MAX_SENT_PIXELS
from modhub.spec.contract import size_text

if TYPE_CHECKING:
    from PIL.Image import Image

_NAMED: Final = 3


@dataclass(frozen=True)
class SkippedPicture:
    """A file that could not be read, and why."""

    name: str
    error: ModhubError

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"image": self.name, **self.error.to_dict()}


class PictureReader:
    """Reads pictures by one ``fitting``. A bad one is an error when ``strict``, else it is skipped and remembered.

    ``skipped`` and ``left_out`` (files that are no pictures) have every name; ``done`` counts the pictures to which
    something was done, by what; ``pixels`` are those of all pictures that were sent, before they were fitted.
    """

    def __init__(self, fitting: Fitting | None = None, *, strict: bool = True) -> None:
        self.fitting = fitting or Fitting()
        self.strict = strict
        self.count = 0
        self.pixels = 0
        self.done: Counter[str] = Counter()
        self.skipped: list[SkippedPicture] = []
        self.left_out: list[str] = []

    def read(self, file: Path, name: str) -> Images | None:
        """The pixels (height, width, channels) of one file; None when it was skipped.

        Raises InvalidData for a bad one when strict, and always, kind ``wrong-shape``, for one of another size than the
        contract's with the fit ``none``.
        """
        try:
            with opened_picture(file) as image:
                pixels, done = self.fitting.picture(image, str(file))
        except InvalidData as error:
            self.skip(name, error)
            return None
        return self._checked(pixels, done, str(file))

    def read_bytes(self, data: bytes, name: str, *, max_pixels: int = MAX_SENT_PIXELS) -> Images | None:
        """The same of the bytes of a file that somebody sent, called ``name``; nothing is written anywhere.

        Raises InvalidData, kind ``too-large``, for one of more than ``max_pixels`` before it is decoded.
        """
        try:
            with sent_picture(data, name, max_pixels=max_pixels) as image:
                self.pixels += image.width * image.height
                pixels, done = self.fitting.picture(image, name)
        except InvalidData as error:
            self.skip(name, error)
            return None
        return self._checked(pixels, done, name)

    def picture(self, image: Image, name: str) -> Images | None:
        """The same of a picture that Pillow has opened already."""
        try:
            pixels, done = self.fitting.picture(image, name)
        except InvalidData as error:
            self.skip(name, error)
            return None
        return self._checked(pixels, done, name)

    def _checked(self, pixels: Images, done: Iterable[str], what: str) -> Images:
        contract = self.fitting.contract
        if contract is not None and pixels.shape != contract.shape:
            raise InvalidData(
                f"{what} is {_size(pixels)}; the modules take {size_text(contract)} (height x width x channels).",
                kind="wrong-shape",
                hint='fit it: --fit resize, crop or letterbox (fit="resize").',
                got=list(pixels.shape),
                wanted=list(contract.shape),
            )
        self.count += 1
        self.done.update(done)
        return pixels

    def read_all(self, files: Sequence[Path], names: Sequence[str], *, what: object) -> tuple[Images, list[int]]:
        """All files as one array (N, height, width, channels), and the position of each that was not skipped.

        Raises InvalidData for pictures of different sizes, and when every one was skipped.
        """
        x: Images | None = None
        kept: list[int] = []
        for position, (file, name) in enumerate(zip(files, names, strict=True)):
            image = self.read(file, name)
            if image is None:
                continue
            if x is None:
                x = np.empty((len(files), *image.shape), image.dtype)
            elif x.shape[1:] != image.shape:
                raise different_images(what, names[kept[0]], x[0], name, image)
            x[len(kept)] = image
            kept.append(position)
        if x is None:
            raise self.nothing_left(what)
        return x[: len(kept)], kept

    def array(self, images: Images) -> Images:
        """Raw images (N, H, W, C) in the size that is wanted, see ``Fitting.array``."""
        fitted, done = self.fitting.array(images)
        self.count += len(images)
        self.done.update({what: len(images) for what in done})
        return fitted

    def skip(self, name: str, error: ModhubError) -> None:
        """Remember what cannot be read. Raises it when strict."""
        if self.strict:
            raise error
        self.skipped.append(SkippedPicture(name, error))

    def leave_out(self, names: Iterable[str]) -> None:
        """Remember files that are no pictures."""
        self.left_out.extend(names)

    def nothing_left(self, what: object) -> ModhubError:
        """The error for when every file was skipped."""
        first = self.skipped[0].error
        if len(self.skipped) == 1:
            return first
        return InvalidData(
            f"none of the {len(self.skipped):,} images of {what} can be read; the first: {first.message}",
            kind="no-images",
            hint=first.hint,
            skipped=[each.to_dict() for each in self.skipped],
        )

    def summary(self) -> str:
        """One line for what was done to the pictures that were read; empty where nothing was."""
        parts = [f"{count:,} {what}" for what, count in self.done.most_common()]
        if self.skipped:
            parts.append(f"{len(self.skipped):,} skipped")
        if self.left_out:
            more = ", ..." if len(self.left_out) > _NAMED else ""
            some = ", ".join(self.left_out[:_NAMED])
            parts.append(f"{len(self.left_out):,} left out as no images ({some}{more})")
        images = "image" if self.count == 1 else "images"
        return f"{self.count:,} {images} read: {', '.join(parts)}" if parts else ""

    def to_dict(self) -> dict[str, Any]:
        """The account as plain values."""
        return {
            "fit": self.fitting.fit,
            "background": self.fitting.background,
            "done": dict(self.done),
            "skipped": [each.to_dict() for each in self.skipped],
            "left_out": self.left_out,
        }


def different_images(what: object, first: str, image: NDArray[Any], second: str, other: NDArray[Any]) -> InvalidData:
    """The error for two images (height, width, channels) that one array cannot hold."""
    return InvalidData(
        f"the images in {what} differ: {first} is {_size(image)}, {second} is {_size(other)} "
        "(height x width x channels).",
        kind="mixed-images",
        hint="bring all images to one size and colour mode; predict, evaluate, explain, decompose and update do so "
        "with --fit resize.",
        files=[first, second],
    )


def _size(image: NDArray[Any]) -> str:
    return "x".join(str(extent) for extent in image.shape)
