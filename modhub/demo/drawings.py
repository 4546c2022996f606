"""Drawn pictures of things that the starter registry's networks know: for trying it out without a photo at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

#: Pixels along one side.
_SIDE: Final = 256
_Pen = ImageDraw.ImageDraw


def load_drawings() -> dict[str, Image.Image]:
    """By class name: RGB pictures of 256 x 256 pixels, of three classes of CIFAR-10 and four of CIFAR-100.

    The same on every call. Not of either data set, and no network was fitted to them.

    >>> from modhub.demo.drawings import load_drawings
    >>> list(load_drawings())
    ['airplane', 'ship', 'truck', 'orange', 'plate', 'road', 'sunflower']
    """
    drawn = {}
    for name, (background, draw) in _DRAWINGS.items():
        picture = Image.new("RGB", (_SIDE, _SIDE), background)
        draw(ImageDraw.Draw(picture))
        # Photos have no edges as sharp as a pen's.
        drawn[name] = picture.filter(ImageFilter.GaussianBlur(2))
    return drawn


def _airplane(pen: _Pen) -> None:
    pen.ellipse((30, 112, 226, 148), fill="#ebeef2")
    pen.polygon([(110, 130), (160, 130), (110, 216), (86, 216)], fill="#c8cdd4")
    pen.polygon([(110, 124), (160, 124), (120, 60), (100, 60)], fill="#d2d6dc")
    pen.polygon([(36, 124), (64, 120), (40, 76), (24, 76)], fill="#be2828")


def _ship(pen: _Pen) -> None:
    pen.rectangle((0, 160, 256, 256), fill="#1e4678")
    pen.polygon([(24, 140), (232, 140), (200, 186), (56, 186)], fill="#3c1e1e")
    pen.rectangle((80, 100, 180, 140), fill="#f0f0f0")
    pen.rectangle((110, 64, 140, 100), fill="#c82828")


def _truck(pen: _Pen) -> None:
    pen.rectangle((0, 190, 256, 256), fill="#6e6e6e")
    pen.rectangle((24, 60, 168, 180), fill="#ebebeb")
    pen.polygon([(172, 100), (214, 100), (236, 140), (236, 184), (172, 184)], fill="#be1e1e")
    pen.polygon([(184, 110), (208, 110), (222, 138), (184, 138)], fill="#3c5064")
    for x in (56, 110, 200):
        pen.ellipse((x - 20, 166, x + 20, 206), fill="#191919")
        pen.ellipse((x - 8, 178, x + 8, 194), fill="#b4b4b4")


def _orange(pen: _Pen) -> None:
    pen.ellipse((40, 40, 216, 216), fill="#f48c10")
    pen.ellipse((80, 72, 120, 112), fill="#fcb450")
    pen.ellipse((120, 48, 136, 60), fill="#5a7828")


def _plate(pen: _Pen) -> None:
    pen.ellipse((30, 30, 226, 226), fill="#f0f0ee")
    pen.ellipse((70, 70, 186, 186), fill="#e1e1de", outline="#c8c8c8", width=3)


def _road(pen: _Pen) -> None:
    pen.rectangle((0, 120, 256, 256), fill="#50823c")
    pen.polygon([(118, 120), (138, 120), (230, 256), (26, 256)], fill="#5a5a5f")
    pen.line((128, 130, 128, 256), fill="white", width=4)


def _sunflower(pen: _Pen) -> None:
    for angle in np.linspace(0, 2 * np.pi, 20, endpoint=False):
        x, y = 128 + 70 * np.cos(angle), 120 + 70 * np.sin(angle)
        pen.ellipse((x - 28, y - 28, x + 28, y + 28), fill="#f5c814")
    pen.ellipse((76, 68, 180, 172), fill="#502d0f")


_DRAWINGS: Final[Mapping[str, tuple[str, Callable[[_Pen], None]]]] = {
    "airplane": ("#78aae1", _airplane),
    "ship": ("#96bee1", _ship),
    "truck": ("#becdd7", _truck),
    "orange": ("white", _orange),
    "plate": ("#78553c", _plate),
    "road": ("#82b4e6", _road),
    "sunflower": ("#3c6e32", _sunflower),
}
