"""Letters: a to j in the fonts that matplotlib ships, each drawn with its own rotation, shear, scale, weight and noise.

Everything comes from one seed, so the same version of matplotlib and Pillow gives the same images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from modhub.data.images import ImageData
from modhub.demo.raster import BITMAP, Splits, count_blocks, enlarge, missing_extra

CLASSES: Final = tuple("abcdefghij")

_FONTS: Final = (
    "DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Oblique", "DejaVuSerif", "DejaVuSerif-Italic",
    "STIXGeneral", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10", "cmti10",
)  # fmt: skip
_CANVAS: Final = 96
_GLYPH: Final = 56
# A digit in its bitmap of 32 is 24 wide at the median and fills the height.
_WIDEST: Final = 24
# Without ascender or descender: stretched to the full height their strokes are thick already.
_SHORT: Final = "ace"


def load_letters(*, seed: int = 0, per_class: tuple[int, int, int] = (110, 27, 45)) -> Splits:
    """Letters as grey images (N, 16, 16, 1) uint8; ``per_class`` images to train, to validate and to test.

    Raises ModhubError (``missing-extra``) without matplotlib.
    """
    fonts = _fonts()
    rng = np.random.default_rng(seed)
    names = ("letters_train", "letters_validation", "letters_test")
    return Splits(*(_draw_many(rng, fonts, count, name) for count, name in zip(per_class, names, strict=True)))


def _fonts() -> list[ImageFont.FreeTypeFont]:
    try:
        from matplotlib import get_data_path  # in the extra ``demo``
    except ImportError as error:
        raise missing_extra("matplotlib") from error
    folder = Path(get_data_path()) / "fonts" / "ttf"
    return [ImageFont.truetype(folder / f"{name}.ttf", _GLYPH) for name in _FONTS]


def _draw_many(rng: np.random.Generator, fonts: list[ImageFont.FreeTypeFont], per_class: int, name: str) -> ImageData:
    labels = rng.permutation(np.repeat(np.arange(len(CLASSES)), per_class))
    images = [_draw(rng, fonts[rng.integers(len(fonts))], CLASSES[label]) for label in labels]
    return ImageData(np.stack(images), labels.astype(np.int64), CLASSES, name)


def _draw(rng: np.random.Generator, font: ImageFont.FreeTypeFont, letter: str) -> NDArray[np.uint8]:
    """One letter: drawn large, distorted, fitted into the bitmap as the digits are, counted and enlarged."""
    middle = np.full(2, _CANVAS / 2)
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    stroke = 0 if letter in _SHORT else int(rng.integers(0, 3))
    ImageDraw.Draw(canvas).text(tuple(middle), letter, fill=255, font=font, anchor="mm", stroke_width=stroke)
    angle, shear = np.deg2rad(rng.normal(0, 7)), rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) @ np.diag(np.exp(rng.normal(0, 0.08, 2)))
    offset = middle - matrix @ middle
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    drawn = canvas.transform(canvas.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    return enlarge(count_blocks(_bitmap(rng, drawn.filter(ImageFilter.GaussianBlur(rng.uniform(1.0, 2.0))))))


def _bitmap(rng: np.random.Generator, drawn: Image.Image) -> NDArray[np.bool_]:
    """The drawing cut to its strokes and fitted to the height of a bitmap (32, 32), with a wavering edge."""
    box = drawn.point(lambda level: 255 * (level > 80)).getbbox() or (0, 0, *drawn.size)
    width, height = box[2] - box[0], box[3] - box[1]
    size = max(1, min(_WIDEST, round(width * BITMAP / height))), BITMAP
    left = (BITMAP - size[0]) // 2 + int(rng.integers(-2, 3))
    page = Image.new("L", (BITMAP, BITMAP))
    page.paste(drawn.resize(size, Image.Resampling.BILINEAR, box=box), (left, 0))
    # Bounded below the threshold, so that the noise moves edges and never speckles the background.
    noise = np.clip(rng.normal(0, 30, (BITMAP, BITMAP)), -60, 60)
    return np.asarray(page, np.float64) + noise > rng.uniform(65, 110)
