"""load_images: unlabelled images for prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from modhub.data.unlabelled import load_images
from modhub.errors import InvalidData, NotFound

Pixels = NDArray[np.uint8]


def test_one_file_is_one_image(pets: Path, pixels: Pixels) -> None:
    x, names = load_images(pets / "dog" / "1.PNG")
    assert np.array_equal(x, pixels[1:2])
    assert names == ("1.PNG",)


def test_a_folder_gives_its_images_by_name(pets: Path, pixels: Pixels) -> None:
    x, names = load_images(str(pets / "dog"))
    assert np.array_equal(x, pixels[:4])
    assert names == ("0.PNG", "1.PNG", "2.PNG", "3.PNG")


def test_an_npz_needs_only_x(save_npz: Callable[..., Path], pixels: Pixels) -> None:
    x, names = load_images(save_npz(x=pixels))
    assert np.array_equal(x, pixels)
    assert names[:2] == ("x[0]", "x[1]")
    assert len(names) == 6


def test_a_jpeg_is_decoded(tmp_path: Path) -> None:
    Image.new("RGB", (3, 2), (200, 10, 10)).save(tmp_path / "red.jpeg")
    x, _ = load_images(tmp_path / "red.jpeg")
    assert x.shape == (1, 2, 3, 3)
    assert abs(int(x[0, 0, 0, 0]) - 200) < 8


def test_what_cannot_be_used_says_why(pets: Path, save_npz: Callable[..., Path], pixels: Pixels) -> None:
    with pytest.raises(NotFound, match=r"no images at 'nowhere'\. Hint: give an image file, a folder"):
        load_images("nowhere")
    (pets / "empty").mkdir()
    with pytest.raises(InvalidData, match=r"empty holds no images\. Hint: images end in \.bmp"):
        load_images(pets / "empty")
    with pytest.raises(InvalidData, match=r"notes\.txt cannot be read as an image"):
        load_images(pets / "dog" / "notes.txt")
    with pytest.raises(InvalidData, match=r"has no 'x'; it has images"):
        load_images(save_npz(images=pixels))
    Image.new("RGB", (9, 9)).save(pets / "dog" / "4.png")
    with pytest.raises(InvalidData, match=r"0\.PNG is 4x5x3, 4\.png is 9x9x3"):
        load_images(pets / "dog")
