"""Pictures turned upright, converted and resampled: all of it Pillow's, see ``fitting`` for what the words mean."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps

from modhub.data.arrays import Images
from modhub.data.given import Fit
from modhub.errors import InvalidData, UsageError
from modhub.spec.input_contract import ImageContract

#: What messages and reports call a resampling that was done.
_DONE: Final = {"resize": "resized", "crop": "cropped", "letterbox": "letterboxed"}
#: Cameras put a preview behind the photograph, which is none of a sequence.
_WITH_PREVIEW: Final = "MPO"
#: The modes that lose nothing as grey or RGB: bilevel and palette pictures are stored in fewer bits.
_EXACT: Final = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
_SIXTEEN_BITS: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION: Final = 0x0112
_DEEPEST: Final = 65_535


def opaque_colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour as Pillow names it. Raises UsageError, kind ``bad-background``."""
    try:
        red, green, blue, *alpha = ImageColor.getrgb(name)
        if alpha:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"the background is {name!r}, which is no opaque colour.",
            kind="bad-background",
            hint="name one, such as white, black or #808080.",
        ) from None
    return red, green, blue


def exact_picture(image: Image.Image, what: str) -> tuple[NDArray[np.uint8], list[str]]:
    """An opened picture of which nothing is lost, upright: uint8 (height, width, channels), and what was done.

    Raises InvalidData, kinds ``several-frames`` and ``bad-mode``.
    """
    if (frames := _frames(image)) > 1:
        raise InvalidData(
            f"{what} holds {frames} frames; one picture a file is supported.",
            kind="several-frames",
            hint='save each frame as a picture of its own; --fit resize (fit="resize") takes the first.',
            frames=frames,
        )
    image, done = _upright(image)
    mode = image.mode
    if mode not in _EXACT or _is_transparent(image):
        mode = f"{mode} with transparent pixels" if mode in _EXACT else mode
        raise _bad_mode(what, mode, 'fit it: --fit resize (fit="resize") converts what is not grey (L) or RGB.')
    return _pixels(image.convert(_EXACT[mode])), done


def fitted_picture(
    image: Image.Image, what: str, fit: Fit, contract: ImageContract, background: str
) -> tuple[Images, list[str]]:
    """An opened picture as the images of ``contract`` are, and what was done. Raises InvalidData, kind ``bad-mode``."""
    first = ["first frame taken"] if _frames(image) > 1 else []
    image, turned = _upright(image)
    image, done = _as_wanted(image, what, fit, contract, background)
    return _ranged(_pixels(image), contract), [*first, *turned, *done]


def fitted_array(
    images: Images, fit: Fit, contract: ImageContract, background: str
) -> tuple[NDArray[np.uint8], list[str]]:
    """uint8 images (N, H, W, C) of 1 to 4 channels as the images of ``contract`` are, in their own value range."""
    result = np.empty((len(images), *contract.shape), np.uint8)
    every: dict[str, None] = {}
    for row, image in enumerate(images):
        opened = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        fitted, done = _as_wanted(opened, "the image", fit, contract, background)
        result[row] = _pixels(fitted)
        every |= dict.fromkeys(done)
    return result, list(every)


def _frames(image: Image.Image) -> int:
    return 1 if image.format == _WITH_PREVIEW else int(getattr(image, "n_frames", 1))


def _upright(image: Image.Image) -> tuple[Image.Image, list[str]]:
    # TIFF files are turned while they are read, so the tag is looked at first.
    done = ["turned upright"] if image.getexif().get(_ORIENTATION, 1) in range(2, 9) else []
    return ImageOps.exif_transpose(image), done


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    pixels = np.asarray(image, np.uint8)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _as_wanted(
    image: Image.Image, what: str, fit: Fit, contract: ImageContract, background: str
) -> tuple[Image.Image, list[str]]:
    """Grey or RGB as the contract wants it, composed on the background, in the size that it wants."""
    done: list[str] = []
    if image.mode in _SIXTEEN_BITS:
        image = _in_eight_bits(image, what)
        done.append("16 bits brought to 8")
    elif image.mode == "F":
        raise _bad_mode(what, "F (floats)", "convert it to 8 bits: nothing says which of its values is white.")
    if _is_transparent(image):
        image = _composed(image, background)
        done.append(f"composed on {background}")
    elif image.has_transparency_data:
        image = image.convert("RGB")
    if image.mode not in _EXACT:
        done.append(f"{image.mode} converted to RGB")
    image = image.convert(_EXACT.get(image.mode, "RGB"))
    wanted = "L" if contract.channels == 1 else "RGB"
    if image.mode != wanted and not (wanted == "L" and _is_grey(image)):
        done.append("grey made RGB" if wanted == "RGB" else "RGB made grey")
    image = image.convert(wanted)
    if image.size != (contract.width, contract.height):
        image = _resampled(image, fit, contract)
        done.append(f"{_DONE[fit]} to {contract.height}x{contract.width}")
    return image, done


def _composed(image: Image.Image, background: str) -> Image.Image:
    under = Image.new("RGBA", image.size, (*opaque_colour(background), 255))
    return Image.alpha_composite(under, image.convert("RGBA")).convert("RGB")


def _resampled(image: Image.Image, fit: Fit, contract: ImageContract) -> Image.Image:
    size, method = (contract.width, contract.height), Image.Resampling.BILINEAR
    if fit == "resize":
        return image.resize(size, method)
    if fit == "crop":
        return ImageOps.fit(image, size, method)
    ratio = min(size[0] / image.width, size[1] / image.height)
    width, height = (max(1, min(most, round(have * ratio))) for have, most in zip(image.size, size, strict=True))
    left, above = (size[0] - width) // 2, (size[1] - height) // 2
    border = (left, above, size[0] - width - left, size[1] - height - above)
    return ImageOps.expand(image.resize((width, height), method), border, fill=0)


def _ranged(pixels: NDArray[np.uint8], contract: ImageContract) -> Images:
    """In the value range of the contract."""
    low, high = contract.value_range
    if (low, high) == (0, 255):
        return pixels
    return (low + pixels.astype(np.float32) * np.float32((high - low) / 255)).astype(np.float32)


def _in_eight_bits(image: Image.Image, what: str) -> Image.Image:
    """A grey picture of 16 bits in 8: Pillow's own conversion makes everything above 255 white."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _DEEPEST:
        raise _bad_mode(what, f"{image.mode} with values {values.min()}..{values.max()}", "convert it to 8 bits.")
    grey = Image.fromarray(((values * 255 + _DEEPEST // 2) // _DEEPEST).astype(np.uint8))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _is_grey(image: Image.Image) -> bool:
    """Whether an RGB picture has no colour, so that grey loses nothing."""
    pixels = np.asarray(image)
    return bool((pixels == pixels[..., :1]).all())


def _is_transparent(image: Image.Image) -> bool:
    """Whether any pixel is, by a channel for it, by the palette, or by one colour."""
    if not image.has_transparency_data:
        return False
    least = image.convert("RGBA").getchannel("A").getextrema()[0]
    return isinstance(least, (int, float)) and least < 255


def _bad_mode(what: str, mode: str, hint: str) -> InvalidData:
    return InvalidData(f"{what} has the colour mode {mode}.", kind="bad-mode", hint=hint, mode=mode)
