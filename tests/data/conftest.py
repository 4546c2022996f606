"""Small labelled images for the data tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """Six RGB images of 4 rows and 5 columns, all different."""
    return np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


@pytest.fixture
def save_npz(tmp_path: Path) -> Callable[..., Path]:
    def save(**arrays: object) -> Path:
        path = tmp_path / "pets.npz"
        np.savez(path, **arrays)
        return path

    return save


@pytest.fixture
def pets(tmp_path: Path, pixels: NDArray[np.uint8]) -> Path:
    """A folder with dog/ (4 images) and cat/ (2 images), and things that are no images."""
    folder = tmp_path / "pets"
    for name, images in {"dog": pixels[:4], "cat": pixels[4:]}.items():
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(images):
            Image.fromarray(image).save(folder / name / f"{i}.PNG")
        (folder / name / "notes.txt").write_text("not an image")
        (folder / name / "._0.png").write_bytes(b"resource fork")
    (folder / ".cache").mkdir()
    return folder
