"""Handwritten digits: scikit-learn's ``load_digits`` (1,797 images by 43 people), enlarged to 16x16."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from modhub.data.images import ImageData
from modhub.demo.raster import Splits, enlarge, missing_extra

CLASSES: Final = tuple("0123456789")

_VALIDATION, _TEST = 0.15, 0.25


def load_digits(*, seed: int = 0) -> Splits:
    """The digits as grey images (N, 16, 16, 1) uint8, split per class by a seeded order: 60 % to train, 15 % to
    validate, 25 % to test. Raises ModhubError (``missing-extra``) without scikit-learn.
    """
    try:
        from sklearn import datasets  # in the extra ``demo``
    except ImportError as error:
        raise missing_extra("scikit-learn") from error
    bunch = datasets.load_digits()
    data = ImageData(
        np.stack([enlarge(cells.astype(np.uint8)) for cells in bunch.images]),
        bunch.target.astype(np.int64),
        CLASSES,
        "digits",
    )
    rng = np.random.default_rng(seed)
    parts: dict[str, list[int]] = {"validation": [], "test": [], "train": []}
    for label in range(len(CLASSES)):
        order = rng.permutation(np.flatnonzero(data.y == label))
        first, second = np.cumsum([round(share * len(order)) for share in (_VALIDATION, _TEST)])
        for name, chosen in zip(parts, np.split(order, [first, second]), strict=True):
            parts[name] += chosen.tolist()
    return Splits(
        **{name: replace(data.take(rng.permutation(chosen)), name=f"digits_{name}") for name, chosen in parts.items()}
    )
