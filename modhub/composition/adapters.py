"""Adapters: how an image of a composite becomes the image that one of its modules takes. Pure: matrices, no images.

Every adapter is linear in the image: a matrix along its rows, one along its columns, one across its channels, a scale
and an offset. So it runs on any backend, exports as standard layers, and says exactly what it does. The matrices of
rows and columns are Pillow's own, which averages when it makes an image smaller (antialiasing).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.recipe import Adapt
from modhub.errors import Incompatible
from modhub.spec.contract import input_text, is_grey_or_colour, mismatches, range_text
from modhub.spec.input_contract import ImageContract, InputContract

Matrix = NDArray[np.float64]

#: Luma of ITU-R BT.601, which Pillow's conversion to grey uses.
_LUMA: Final = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Adapter:
    """From raw images (N, H, W, C) of one contract to raw images (N, h, w, c) of another.

    ``rows`` (h, H), ``columns`` (w, W) and ``colour`` (C, c) are float64, None where nothing changes. ``black`` is what
    the letterbox fills with, in the first contract's range. Then ``x * scale + offset`` changes the value range.
    ``steps`` says in words what happens, ``costs`` what is lost by it.
    """

    rows: Matrix | None
    columns: Matrix | None
    colour: Matrix | None
    black: float
    scale: float
    offset: float
    steps: tuple[str, ...]
    costs: tuple[str, ...]

    def __str__(self) -> str:
        return str(AdapterSteps(self.steps, self.costs))


def joint_contract(contracts: Iterable[InputContract], size: tuple[int, int] | None = None) -> ImageContract:
    """The images that a composite with adapters takes, so that no module sees less than it could.

    The size is that of the module with most pixels, or ``size`` (height, width); channels, colour order and value range
    are those of the first module with most channels. Raises Incompatible, kind ``no-adapter``, for arrays.
    """
    every = [image_contract(contract, what="one of the modules") for contract in contracts]
    largest = max(every, key=lambda contract: contract.height * contract.width)
    colour = max(every, key=lambda contract: contract.channels)
    height, width = size or (largest.height, largest.width)
    return colour.model_copy(update={"height": height, "width": width, "colour": colour.given_colour})


def image_contract(contract: InputContract, *, what: str) -> ImageContract:
    """``contract`` again. Raises Incompatible, kind ``no-adapter``, where ``what`` takes arrays and no images."""
    if isinstance(contract, ImageContract):
        return contract
    raise Incompatible(
        f"adapters are for images, and {what} takes {input_text(contract)}.",
        kind="no-adapter",
        hint="leave adapt and size out, and take modules of equal inputs.",
        module=what,
        wanted=list(contract.shape),
    )


def adapter_between(given: InputContract, wanted: InputContract, adapt: Adapt, *, what: str) -> Adapter | None:
    """The adapter from images of ``given`` to images of ``wanted``; None when they fit as they are.

    Raises Incompatible, kind ``no-adapter``, for arrays, and for channels that are neither grey nor colour; ``what``
    names the module.
    """
    given, wanted = image_contract(given, what="the classifier"), image_contract(wanted, what=what)
    said = steps_between(given, wanted, adapt, what=what)
    if said is None:
        return None
    rows = columns = None
    if given.shape[:2] != wanted.shape[:2]:
        rows, columns = _resampling(given.shape[:2], wanted.shape[:2], adapt)
    (low, high), (to_low, to_high) = given.value_range, wanted.value_range
    scale = (to_high - to_low) / (high - low)
    return Adapter(
        rows, columns, _colour(given, wanted, what), low, scale, to_low - low * scale, said.steps, said.costs
    )


@dataclass(frozen=True)
class AdapterSteps:
    """An adapter in words: its ``steps``, and the ``costs``, what is lost by them."""

    steps: tuple[str, ...]
    costs: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.steps) + (f" ({'; '.join(self.costs)})" if self.costs else "")


def steps_between(given: ImageContract, wanted: ImageContract, adapt: Adapt, *, what: str) -> AdapterSteps | None:
    """What ``adapter_between`` does, in words and without making it. Raises as it does."""
    if not mismatches(given, wanted):
        return None
    steps: list[str] = []
    costs: list[str] = []
    if given.shape[:2] != wanted.shape[:2]:
        steps.append(f"{adapt} {_extent(given)} -> {_extent(wanted)}")
        costs += _size_costs(given, wanted, adapt)
    if _colour(given, wanted, what) is not None:
        steps.append(f"{given.given_colour} -> {wanted.given_colour}")
        costs += ["drops colour"] if wanted.channels < given.channels else []
    if given.value_range != wanted.value_range:
        steps.append(f"{range_text(given)} -> {range_text(wanted)}")
    return AdapterSteps(tuple(steps), tuple(costs))


def _extent(contract: ImageContract) -> str:
    return f"{contract.height}x{contract.width}"


def _colour(given: ImageContract, wanted: ImageContract, what: str) -> Matrix | None:
    if given.given_colour == wanted.given_colour and given.channels == wanted.channels:
        return None
    for contract in (given, wanted):
        if not is_grey_or_colour(contract):
            raise Incompatible(
                f"{what} takes {input_text(wanted)}, and no adapter makes that of {input_text(given)}.",
                kind="no-adapter",
                hint="grey and colour images can be adapted, other channels cannot.",
                module=what,
                given=list(given.shape),
                wanted=list(wanted.shape),
            )
    return np.ones((1, 3)) if given.colour == "grey" else np.array(_LUMA)[:, np.newaxis]


def _resampling(given: tuple[int, int], wanted: tuple[int, int], adapt: Adapt) -> tuple[Matrix, Matrix]:
    """The matrices (h, H) and (w, W) along both axes."""
    if adapt == "resize":
        return _resize_matrix(given[0], wanted[0]), _resize_matrix(given[1], wanted[1])
    ratios = [out / have for have, out in zip(given, wanted, strict=True)]
    if adapt == "crop":
        ratio = max(ratios)
        parts = [min(out / ratio, have) for have, out in zip(given, wanted, strict=True)]
        first, second = (
            _resize_matrix(have, out, ((have - part) / 2, (have + part) / 2))
            for have, out, part in zip(given, wanted, parts, strict=True)
        )
        return first, second
    ratio = min(ratios)
    first, second = (
        _padded(_resize_matrix(have, max(1, min(out, round(have * ratio)))), out)
        for have, out in zip(given, wanted, strict=True)
    )
    return first, second


@cache
def _resize_matrix(given: int, wanted: int, box: tuple[float, float] | None = None) -> Matrix:
    """What Pillow's bilinear, antialiased resize of one axis is as a matrix (wanted, given): its answer to a unit."""
    from PIL import Image  # only where images are resized

    low, high = box or (0, given)
    unit = Image.fromarray(np.eye(given, dtype=np.float32))
    resized = unit.resize((given, wanted), Image.Resampling.BILINEAR, box=(0, low, given, high))
    matrix = np.asarray(resized, np.float64)
    matrix.setflags(write=False)
    return matrix


def _padded(matrix: Matrix, wanted: int) -> Matrix:
    before = (wanted - len(matrix)) // 2
    return np.pad(matrix, ((before, wanted - len(matrix) - before), (0, 0)))


def _size_costs(given: ImageContract, wanted: ImageContract, adapt: Adapt) -> list[str]:
    height, width = (out / have for have, out in zip(given.shape[:2], wanted.shape[:2], strict=True))
    if adapt == "resize":
        seen, ratio = 1.0, height * width
        bent = [] if height == width else ["stretched"]
    else:
        ratio = (max if adapt == "crop" else min)(height, width) ** 2
        seen = min(height, width) / max(height, width)
        lost = {"crop": f"cuts off {1 - seen:.0%} of the image", "letterbox": f"{1 - seen:.0%} of it is black"}
        bent = [] if seen == 1 else [lost[adapt]]
    if ratio < 1:
        return [f"{1 / ratio:.3g} pixels become one", *bent]
    return [f"{1 - 1 / ratio:.0%} of the pixels are interpolated", *bent] if ratio > 1 else bent
