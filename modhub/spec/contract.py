"""Do inputs fit? Pure comparisons of input contracts with each other and with images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modhub.errors import Incompatible, InvalidData
from modhub.spec.manifest import InputContract


@dataclass(frozen=True)
class Mismatch:
    """One field in which two contracts disagree, with both values as people write them."""

    field: str
    first: str
    second: str


@dataclass(frozen=True)
class NamedContract:
    """A module's name, and what images it takes."""

    name: str
    contract: InputContract


def mismatches(first: InputContract, second: InputContract) -> list[Mismatch]:
    """Why one raw image cannot serve both, most telling first; empty when it can.

    Preprocessing (rescale, mean, std) may differ, since each module does its own, and so may the dtype: whole numbers
    are floats too.
    """
    return [
        Mismatch(field, a, b)
        for field, a, b in zip(_FIELDS, image_key(first), image_key(second), strict=True)
        if a != b
    ]


def image_key(contract: InputContract) -> tuple[str, str, str]:
    """Equal for contracts that one raw image serves: size with channels, value range, colour order, as texts."""
    return size_text(contract), range_text(contract), contract.colour


#: What messages call the parts of an ``image_key``.
_FIELDS = ("input", "value range", "colour order")


_ADAPT = 'adapt="resize" (--adapt resize) gives each module an adapter; or take modules of equal inputs.'
_CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}


def is_grey_or_colour(contract: InputContract) -> bool:
    """Whether an adapter can change its channels."""
    return _CHANNELS.get(contract.colour) == contract.channels


def _channels_fit(first: InputContract, second: InputContract) -> bool:
    same = (first.colour, first.channels) == (second.colour, second.channels)
    return same or (is_grey_or_colour(first) and is_grey_or_colour(second))


def check_same_input(name: str, contract: InputContract, other: str, other_contract: InputContract) -> None:
    """Raise Incompatible naming both modules and both values unless one image can serve both."""
    differing = mismatches(contract, other_contract)
    if differing:
        reasons = ", ".join(f"{m.field} {m.first} vs {m.second}" for m in differing)
        raise Incompatible(
            f"cannot compose {name} with {other}: {reasons}.",
            kind="input-mismatch",
            hint=_ADAPT if _channels_fit(contract, other_contract) else "take modules of equal inputs.",
            modules=[name, other],
            mismatches=[vars(m) for m in differing],
        )


def size_text(contract: InputContract) -> str:
    """``32x32x3``: rows, columns, channels."""
    return f"{contract.height}x{contract.width}x{contract.channels}"


def range_text(contract: InputContract) -> str:
    """``0..255``."""
    low, high = contract.value_range
    return f"{low:g}..{high:g}"


#: Ranges that data sets are distributed in; anything else is taken as observed.
_USUAL_RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))


def contract_of(
    images: Any, *, rescale: float, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> InputContract:
    """The contract that raw ``images`` (inputs, H, W, C), uint8 or float, speak for.

    uint8 means 0..255. Floats get the first usual range that holds them (0..1, 0..255, -1..1), else what is observed.
    """
    _, height, width, channels = images.shape
    if images.dtype == "uint8":
        dtype, value_range = "uint8", (0.0, 255.0)
    else:
        dtype = "float32"
        low, high = float(images.min()), float(images.max())
        fitting = [r for r in _USUAL_RANGES if r[0] <= low and high <= r[1]]
        value_range = fitting[0] if fitting else (low, high if high > low else low + 1.0)
    return InputContract(
        height=height,
        width=width,
        channels=channels,
        dtype=dtype,
        value_range=value_range,
        colour={1: "grey", 3: "rgb"}.get(channels, "other"),
        rescale=rescale,
        mean=mean,
        std=std,
    )


def check_images(images: Any, contract: InputContract, *, what: str = "the images") -> None:
    """Raise InvalidData unless ``images`` (N, H, W, C) are raw images that ``contract`` takes.

    Checks rank, shape, dtype, NaN and infinity, and the value range; floats that never exceed 1 are an error for a
    0..255 contract, because they have been rescaled by hand.
    """
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) != 4:
        raise InvalidData(
            f"{what} have the shape {shape}; wanted (N, {contract.height}, {contract.width}, {contract.channels}).",
            kind="wrong-shape",
            hint="a single image needs a first axis: images[None]; a grey one a last: images[..., None].",
        )
    if shape[1:] != contract.shape:
        raise InvalidData(
            f"{what} are {'x'.join(map(str, shape[1:]))}; the modules take {size_text(contract)}.",
            kind="wrong-shape",
            hint='bring them to that size; predict, evaluate and explain do so with fit="resize" (--fit resize).',
            got=list(shape[1:]),
            wanted=list(contract.shape),
        )
    check_values(images, what=what)
    _check_range(images, contract, what)


def check_values(images: Any, *, what: str) -> None:
    """Raise InvalidData for a dtype that is no number, and for NaN or infinity."""
    if images.dtype.kind not in "uif":
        raise InvalidData(f"{what} have the dtype {images.dtype}.", kind="wrong-dtype", hint="use uint8 or float32.")
    if images.dtype.kind != "f" or not images.size:
        return
    # min and max carry a NaN through, and need no copy of the images.
    if not (abs(float(images.min())) < float("inf") and abs(float(images.max())) < float("inf")):
        bad = [number for number, image in enumerate(images) if not (image - image == 0).all()]
        raise InvalidData(
            f"{what} hold NaN or infinity, first in image {bad[0]} ({len(bad)} images in all).",
            kind="not-finite",
            hint="leave those images out, or repair them.",
        )


def _check_range(images: Any, contract: InputContract, what: str) -> None:
    if not images.size:
        return
    low, high = contract.value_range
    smallest, largest = float(images.min()), float(images.max())
    if images.dtype.kind == "f" and low >= 0 and high > 1 and 0 < largest <= 1:
        raise InvalidData(
            f"{what} hold floats up to {largest:g}; the modules take raw values {range_text(contract)}.",
            kind="already-rescaled",
            hint="pass the raw images: modules rescale by themselves.",
        )
    slack = 1e-4 * (high - low)
    if (low, high) in _USUAL_RANGES and (smallest < low - slack or largest > high + slack):
        raise InvalidData(
            f"{what} hold values {smallest:g}..{largest:g}; the modules take {range_text(contract)}.",
            kind="wrong-range",
            hint="pass images in the range of the data that the network was decomposed with.",
        )
