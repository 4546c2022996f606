"""What a Keras model was trained on, as a person says it, checked against images and turned into an input contract."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from modhub.data.arrays import channel_values, rescale_factor
from modhub.data.given import ChannelNumbers
from modhub.data.rows import ImageRows
from modhub.errors import InvalidData, UsageError
from modhub.spec.contract import contract_of
from modhub.spec.input_contract import InputContract, TrainedColor


def picture_contract(model: Any) -> InputContract | None:
    """The uint8 images, grey or RGB, that pictures become for a Keras model, or the arrays that it takes instead.

    None where its input says no size.
    """
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if len(shapes) != 1 or len(shapes[0]) not in (2, 3, 4) or None in shapes[0][1:]:
        return None
    return contract_of(np.zeros((1, *shapes[0][1:]), np.uint8), rescale=1.0, mean=None, std=None)


def trained_contract(
    images: ImageRows,
    input_shape: Sequence[int | None],
    *,
    rescale: float,
    mean: ChannelNumbers | None,
    std: ChannelNumbers | None,
    color: TrainedColor = "rgb",
) -> InputContract:
    """The contract of a model of ``input_shape`` (H, W, C), None where any size will do, trained on raw ``images``.

    Arrays have other axes. ``(x * rescale - mean) / std`` is what it takes, with ``color`` ``bgr`` of images turned
    around. Raises InvalidData, kind ``wrong-shape``, for images of another size, and UsageError for a rescale, mean,
    std or color that cannot be.
    """
    shape = images.shape[1:]
    if len(shape) != len(input_shape) or any(
        extent not in (None, actual) for extent, actual in zip(input_shape, shape, strict=True)
    ):
        raise InvalidData(
            f"the images are {'x'.join(map(str, shape))}, "
            f"but the model takes {'x'.join('any' if extent is None else str(extent) for extent in input_shape)}.",
            kind="wrong-shape",
            hint=_in_a_row(shape, input_shape) or "give the images that the model was trained on.",
            got=list(shape),
            wanted=list(input_shape),
        )
    factor, is_bgr = rescale_factor(rescale), _is_bgr(color, shape)
    numbers = {"mean": channel_values(mean, "mean"), "std": channel_values(std, "std")}
    try:
        return contract_of(images, rescale=factor, **numbers, is_bgr=is_bgr)
    except ValidationError:
        raise UsageError(
            f"mean {mean} and std {std} do not fit {'images' if len(shape) == 3 else 'arrays'} of {shape[-1]} "
            "channels.",
            hint="give one number, or one a channel.",
        ) from None


def _in_a_row(shape: Sequence[int], wanted: Sequence[int | None]) -> str | None:
    """What to do with images for a network that takes their numbers in a row."""
    is_flat = len(wanted) == 1 and len(shape) > 1 and wanted[0] in (None, prod(shape))
    return "put the numbers of each in a row: x.reshape(len(x), -1)." if is_flat else None


def _is_bgr(color: TrainedColor, shape: Sequence[int]) -> bool:
    if color not in get_args(TrainedColor):
        raise UsageError(f"color is {color!r}.", kind="bad-option", hint=f"use {' or '.join(get_args(TrainedColor))}.")
    if color == "bgr" and (len(shape) != 3 or shape[2] != 3):
        raise UsageError(
            f"color is 'bgr', and the model takes {'x'.join(map(str, shape))}, which has no order of colours.",
            kind="bad-option",
            hint="leave it out; it is for images of three channels.",
        )
    return color == "bgr"
