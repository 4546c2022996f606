"""How a picture of any size and colour mode becomes an image that a classifier takes. All resampling is Pillow's.

``resize``, ``crop`` and ``letterbox`` mean what they mean for adapters between modules (``composition.adapters``): the
same boxes, the same borders, the same antialiased bilinear filter. ``none`` changes no pixel, and refuses a picture of
which something would be lost. Whatever the fit, a picture stands as its EXIF orientation says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from modhub.errors import Incompatible, InvalidData, UsageError
from modhub.spec.contract import is_grey_or_colour, size_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from modhub.data.arrays import Images
    from modhub.spec.manifest import InputContract

#: ``resize`` stretches to the size wanted, ``crop`` fills it and keeps the middle, ``letterbox`` keeps all and fills up
#: with black; ``none`` takes pictures that fit as they are.
Fit = Literal["resize", "crop", "letterbox", "none"]
FITS: Final[tuple[Fit, ...]] = get_args(Fit)

#: What messages and reports call a resampling that was done.
_DONE: Final = {"resize": "resized", "crop": "cropped", "letterbox": "letterboxed"}
#: Cameras put a preview behind the photograph, which is none of a sequence.
_WITH_PREVIEW: Final = "MPO"
#: The modes that lose nothing as grey or RGB: bilevel and palette pictures are stored in fewer bits.
_EXACT: Final = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
_SIXTEEN_BITS: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION: Final = 0x0112
_DEEPEST: Final = 65_535


@dataclass(frozen=True)
class Fitting:
    """``fit`` with the images wanted: height, width, channels, colour order and value range of ``contract``.

    ``background`` is what transparent pictures are composed on, a colour as Pillow names it (``white``, ``#808080``).
    Raises UsageError, kinds ``bad-fit`` and ``bad-background``, and Incompatible, kind ``no-adapter``, for channels
    that are neither grey nor colour.
    """

    fit: Fit = "none"
    contract: InputContract | None = None
    background: str = "white"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise UsageError(f"fit is {self.fit!r}.", kind="bad-fit", hint=f"use {', '.join(FITS)}.", fit=str(self.fit))
        if self.fit == "none":
            return
        self.background_colour()
        if self.contract is None:
            raise UsageError(
                f"fit is {self.fit!r}, and nothing says which size pictures shall have.",
                kind="bad-fit",
                hint='give the contract of a classifier, such as composite.plan.contract, or fit="none".',
            )
        if not is_grey_or_colour(self.contract):
            raise Incompatible(
                f"pictures are grey or RGB, and the modules take {size_text(self.contract)} {self.contract.colour}.",
                kind="no-adapter",
                hint="give the images as an .npz file with x.",
                wanted=list(self.contract.shape),
            )

    def background_colour(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        from PIL import ImageColor  # arrays need no Pillow

        try:
            red, green, blue, *alpha = ImageColor.getrgb(self.background)
            if alpha:
                raise ValueError
        except ValueError:
            raise UsageError(
                f"the background is {self.background!r}, which is no opaque colour.",
                kind="bad-background",
                hint="name one, such as white, black or #808080.",
            ) from None
        return red, green, blue

    def picture(self, image: Image, what: str) -> tuple[Images, list[str]]:
        """The pixels (height, width, channels) of an opened picture called ``what``, and what was done to get them.

        uint8, or float32 where the contract's value range is not 0..255. Raises InvalidData for what cannot be
        converted, with ``none`` also for several frames, transparency and other modes than grey and RGB.
        """
        from PIL import ImageOps

        done: list[str] = []
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != _WITH_PREVIEW:
            if self.fit == "none":
                raise _several_frames(what, frames)
            done.append("first frame taken")
        # TIFF files are turned while they are read, so the tag is looked at first.
        if image.getexif().get(_ORIENTATION, 1) in range(2, 9):
            done.append("turned upright")
        image = ImageOps.exif_transpose(image)
        image = self._exact(image, what) if self.fit == "none" else self._converted(image, what, done)
        image = self._resampled(image, done)
        pixels = np.asarray(image, np.uint8)
        return self._ranged(pixels[..., np.newaxis] if pixels.ndim == 2 else pixels), done

    def array(self, images: Images) -> tuple[Images, list[str]]:
        """Raw images (N, H, W, C) of another size or colour resampled as pictures are, and what was done.

        Values keep their range. Those that fit, floats and channels that no picture has are given back as they are.
        """
        contract = self.contract
        if self.fit == "none" or contract is None or images.shape[1:] == contract.shape:
            return images, []
        if images.dtype != np.uint8 or images.shape[3] not in (1, 2, 3, 4):
            return images, []
        from PIL import Image

        result = np.empty((len(images), *contract.shape), np.uint8)
        done: list[str] = []
        for row, image in enumerate(images):
            done = []
            opened = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
            opened = self._resampled(self._converted(opened, "the image", done), done)
            result[row] = np.asarray(opened).reshape(contract.shape)
        return result, done

    def _exact(self, image: Image, what: str) -> Image:
        """Grey or RGB with nothing lost. Raises InvalidData, kind ``bad-mode``."""
        mode = image.mode
        if mode in _EXACT:
            if not _is_transparent(image):
                return image.convert(_EXACT[mode])
            mode = f"{mode} with transparent pixels"
        raise _bad_mode(what, mode, 'fit it: --fit resize (fit="resize") converts what is not grey (L) or RGB.')

    def _converted(self, image: Image, what: str, done: list[str]) -> Image:
        """Grey or RGB as the contract wants it, composed on the background where it is transparent."""
        assert self.contract is not None
        if image.mode in _SIXTEEN_BITS:
            image = _in_eight_bits(image, what)
            done.append("16 bits brought to 8")
        elif image.mode == "F":
            raise _bad_mode(what, "F (floats)", "convert it to 8 bits: nothing says which of its values is white.")
        image = self._composed(image, done)
        wanted = "L" if self.contract.channels == 1 else "RGB"
        mode = _EXACT.get(image.mode, "RGB")
        if image.mode not in _EXACT:
            done.append(f"{image.mode} converted to RGB")
        image = image.convert(mode)
        if mode != wanted and not (wanted == "L" and _is_grey(image)):
            done.append("grey made RGB" if wanted == "RGB" else "RGB made grey")
        return image.convert(wanted)

    def _composed(self, image: Image, done: list[str]) -> Image:
        """Without transparency."""
        from PIL import Image

        if not image.has_transparency_data:
            return image
        see_through = image.convert("RGBA")
        if see_through.getchannel("A").getextrema()[0] == 255:
            return see_through.convert("RGB")
        done.append(f"composed on {self.background}")
        under = Image.new("RGBA", image.size, (*self.background_colour(), 255))
        return Image.alpha_composite(under, see_through).convert("RGB")

    def _resampled(self, image: Image, done: list[str]) -> Image:
        """In the size that is wanted; nothing is resampled where it has that."""
        from PIL import Image, ImageOps

        contract, fit = self.contract, self.fit
        if fit == "none" or contract is None or image.size == (contract.width, contract.height):
            return image
        size, method = (contract.width, contract.height), Image.Resampling.BILINEAR
        done.append(f"{_DONE[fit]} to {contract.height}x{contract.width}")
        if fit == "resize":
            return image.resize(size, method)
        if fit == "crop":
            return ImageOps.fit(image, size, method)
        ratio = min(size[0] / image.width, size[1] / image.height)
        width, height = (max(1, min(most, round(have * ratio))) for have, most in zip(image.size, size, strict=True))
        left, above = (size[0] - width) // 2, (size[1] - height) // 2
        border = (left, above, size[0] - width - left, size[1] - height - above)
        return ImageOps.expand(image.resize((width, height), method), border, fill=0)

    def _ranged(self, pixels: NDArray[np.uint8]) -> Images:
        """In the colour order and the value range of the contract."""
        contract = self.contract
        if self.fit == "none" or contract is None:
            return pixels
        pixels = pixels[..., ::-1] if contract.colour == "bgr" else pixels
        low, high = contract.value_range
        if (low, high) == (0, 255):
            return pixels
        return (low + pixels.astype(np.float32) * np.float32((high - low) / 255)).astype(np.float32)


def _in_eight_bits(image: Image, what: str) -> Image:
    """A grey picture of 16 bits in 8: Pillow's own conversion makes everything above 255 white."""
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _DEEPEST:
        raise _bad_mode(what, f"{image.mode} with values {values.min()}..{values.max()}", "convert it to 8 bits.")
    grey = Image.fromarray(((values * 255 + _DEEPEST // 2) // _DEEPEST).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _is_grey(image: Any) -> bool:
    """Whether an RGB picture has no colour, so that grey loses nothing."""
    pixels = np.asarray(image)
    return bool((pixels == pixels[..., :1]).all())


def _is_transparent(image: Any) -> bool:
    """Whether a picture without a channel for it has transparent pixels: by its palette, or by one colour of it."""
    return bool(image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255)


def _several_frames(what: str, frames: int) -> InvalidData:
    return InvalidData(
        f"{what} holds {frames} frames; one picture a file is supported.",
        kind="several-frames",
        hint='save each frame as a picture of its own; --fit resize (fit="resize") takes the first.',
        frames=frames,
    )


def _bad_mode(what: str, mode: str, hint: str) -> InvalidData:
    return InvalidData(f"{what} has the colour mode {mode}.", kind="bad-mode", hint=hint, mode=mode)
