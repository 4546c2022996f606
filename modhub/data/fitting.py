"""How pictures become images that a classifier takes, as one value that is checked; ``fitted`` does it.

``resize``, ``crop`` and ``letterbox`` mean what they mean for adapters between modules (``composition.adapters``): the
same boxes, the same borders, the same antialiased bilinear filter. ``none`` changes no pixel, and refuses a picture of
which something would be lost. Whatever the fit, a picture stands as its EXIF orientation says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modhub.data.given import FITS, Fit
from modhub.data.rows import with_shape
from modhub.errors import Incompatible, InvalidData, UsageError, plain
from modhub.spec.contract import input_text, is_grey_or_colour, size_text
from modhub.spec.input_contract import ArrayContract, ImageContract

if TYPE_CHECKING:
    from PIL.Image import Image

    from modhub.data.arrays import Images
    from modhub.spec.input_contract import InputContract


@dataclass(frozen=True)
class Fitting:
    """``fit`` with the images wanted: height, width, channels, colour order and value range of ``contract``.

    ``background`` is what transparent pictures are composed on, a colour as Pillow names it (``white``, ``#808080``).
    Raises UsageError, kinds ``bad-fit`` and ``bad-background``.
    """

    fit: Fit = "none"
    contract: InputContract | None = None
    background: str = "white"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise UsageError(
                f"fit is {plain(repr(self.fit))}.", kind="bad-fit", hint=f"use {', '.join(FITS)}.", fit=str(self.fit)
            )
        if self.fit == "none":
            return
        self.background_colour()
        if isinstance(self.contract, ArrayContract):
            raise UsageError(
                f"fit is {self.fit!r}, which is for images, and the modules take {input_text(self.contract)}.",
                kind="bad-fit",
                hint='leave it out (fit="none"), and give arrays of that shape.',
                fit=str(self.fit),
            )
        if self.contract is None:
            raise UsageError(
                f"fit is {self.fit!r}, and nothing says which size pictures shall have.",
                kind="bad-fit",
                hint='give the contract of a classifier, such as composite.plan.contract, or fit="none".',
            )

    def background_colour(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        from modhub.data.fitted import opaque_colour  # here and below Pillow, which arrays that fit do not need

        return opaque_colour(self.background)

    def picture(self, image: Image, what: str) -> tuple[Images, list[str]]:
        """The pixels (height, width, channels) of an opened picture called ``what``, and what was done to get them.

        uint8, or float32 where the contract's value range is not 0..255. Raises InvalidData for what cannot be
        converted, with ``none`` also for several frames, transparency and other modes than grey and RGB; Incompatible,
        kind ``no-adapter``, where the contract's channels are neither grey nor colour.
        """
        from modhub.data.fitted import exact_picture, fitted_picture

        if isinstance(self.contract, ArrayContract):
            raise InvalidData(
                f"{what} is a picture, and the modules take {input_text(self.contract)}.",
                kind="wrong-shape",
                hint="give an .npz file with x, a .npy file, or a .csv of numbers.",
                wanted=list(self.contract.shape),
            )
        if self.fit == "none" or self.contract is None:
            return exact_picture(image, what)
        return fitted_picture(image, what, self.fit, _with_pictures_channels(self.contract), self.background)

    def array(self, images: Images) -> tuple[Images, list[str]]:
        """Raw images (N, H, W, C) of another size or colour resampled as pictures are, and what was done.

        Values keep their range, and images that fit are given back as they are. Raises InvalidData, kind
        ``wrong-shape``, for floats and for channels that no picture has, and Incompatible as ``picture`` does.
        """
        contract = self.contract
        if isinstance(contract, ArrayContract):
            return with_shape(images, contract.shape), []
        if self.fit == "none" or contract is None or images.shape[1:] == contract.shape:
            return images, []
        if images.dtype != "uint8" or images.ndim != 4 or images.shape[3] not in (1, 2, 3, 4):
            raise InvalidData(
                f"the images are {images.dtype} of {'x'.join(map(str, images.shape[1:]))}, and the modules take "
                f"{size_text(contract)}; only uint8 images of 1 to 4 channels are fitted.",
                kind="wrong-shape",
                hint="give uint8 images, or bring them to that size first.",
                got=list(images.shape[1:]),
                wanted=list(contract.shape),
            )
        from modhub.data.fitted import fitted_array

        return fitted_array(images, self.fit, _with_pictures_channels(contract), self.background)


def _with_pictures_channels(contract: ImageContract) -> ImageContract:
    if not is_grey_or_colour(contract):
        raise Incompatible(
            f"pictures are grey or RGB, and the modules take {input_text(contract)}.",
            kind="no-adapter",
            hint="give the images as an .npz file with x, in the size and channels that the modules take.",
            wanted=list(contract.shape),
        )
    return contract
