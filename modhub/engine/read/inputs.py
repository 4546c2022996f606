"""What a Keras model was trained on, as a person says it, checked against images and turned into an input contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from modhub.data.arrays import channel_values, rescale_factor
from modhub.data.given import ChannelNumbers
from modhub.data.rows import ImageRows
from modhub.errors import InvalidData, UsageError
from modhub.spec.contract import contract_of
from modhub.spec.manifest import InputContract


def picture_contract(model: Any) -> InputContract | None:
    """The uint8 images, grey or RGB, that pictures become for a Keras model; None where its input says no size."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:]:
        return None
    return contract_of(np.zeros((1, *shapes[0][1:]), np.uint8), rescale=1.0, mean=None, std=None)


def trained_contract(
    images: ImageRows,
    input_shape: Sequence[int | None],
    *,
    rescale: float,
    mean: ChannelNumbers | None,
    std: ChannelNumbers | None,
) -> InputContract:
    """The contract of a model of ``input_shape`` (H, W, C), None where any size will do, trained on raw ``images``.

    ``(x * rescale - mean) / std`` is what it takes. Raises InvalidData, kind ``wrong-shape``, for images of another
    size, and UsageError for a rescale, mean or std that cannot be.
    """
    shape = images.shape[1:]
    if len(shape) != len(input_shape) or any(
        extent not in (None, actual) for extent, actual in zip(input_shape, shape, strict=True)
    ):
        raise InvalidData(
            f"the images are {'x'.join(map(str, images.shape[1:]))}, "
            f"but the model takes {'x'.join('any' if extent is None else str(extent) for extent in input_shape)}.",
            kind="wrong-shape",
            hint="give the images that the model was trained on.",
            got=list(images.shape[1:]),
            wanted=list(input_shape),
        )
    factor = rescale_factor(rescale)
    try:
        return contract_of(images, rescale=factor, mean=channel_values(mean, "mean"), std=channel_values(std, "std"))
    except ValidationError:
        raise UsageError(
            f"mean {mean} and std {std} do not fit images of {images.shape[3]} channels.",
            hint="give one number, or one a channel.",
        ) from None
