"""Some images of each class set aside, to choose and measure by what is made with the others."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modhub.data.images import ImageData
from modhub.errors import InvalidData

#: Images of a class that are set aside: at most so many, and so large a share of them.
_HELD_OUT: Final = 150
_HELD_OUT_SHARE: Final = 0.15
_FEWEST: Final = 8


def parted(data: ImageData, seed: int) -> tuple[ImageData, ImageData]:
    """Shuffled images to fit on, and some of each class to choose and measure by. Raises InvalidData."""
    order = np.random.default_rng([seed, 0]).permutation(len(data))
    held: list[NDArray[np.int64]] = []
    for column, label in enumerate(data.classes):
        own = order[data.y[order] == column]
        if len(own) < _FEWEST:
            raise InvalidData(
                f"{data.name} has {len(own)} images of {label!r}; {_FEWEST} of each class are the least.",
                kind="too-few-images",
                hint="give more images: a thousand or more make a good compact network.",
            )
        held.append(own[: min(_HELD_OUT, max(2, int(_HELD_OUT_SHARE * len(own))))])
    aside = np.concatenate(held)
    return data.take(order[~np.isin(order, aside)]), data.take(aside)
