"""The one way in which both demonstration data sets become images, so that they differ in nothing but the strokes.

scikit-learn's digits are 32x32 bitmaps whose 4x4 blocks were counted: 8x8 cells of 0 to 16, the figure filling the
height. Letters go through the same counting, and both through the same enlargement to 16x16 grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modhub.data.images import ImageData
from modhub.errors import ModhubError

#: Pixels along one side of a bitmap, cells along one side of its counts, pixels along one side of an image.
BITMAP: Final = 32
CELLS: Final = 8
SIDE: Final = 16


@dataclass(frozen=True)
class Splits:
    """One origin's data: to train on, to choose by, to report on. Disjoint, each with every class."""

    train: ImageData
    validation: ImageData
    test: ImageData


def missing_extra(package: str) -> ModhubError:
    return ModhubError(
        f"the demonstration needs {package}, which is not installed.",
        kind="missing-extra",
        hint="pip install 'modhub[demo]'.",
        package=package,
    )


def count_blocks(bitmap: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A bitmap (32, 32) as the number of set pixels in each 4x4 block, (8, 8), 0 to 16."""
    block = BITMAP // CELLS
    counts: NDArray[Any] = bitmap.reshape(CELLS, block, CELLS, block).sum(axis=(1, 3))
    return counts.astype(np.uint8)


def enlarge(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Counts (8, 8), 0 to 16, as a grey image (16, 16, 1), 0 to 255, white on black."""
    grey = Image.fromarray(np.round(cells * (255 / 16)).astype(np.uint8))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC))[..., np.newaxis]
