"""Do inputs fit? Pure comparisons of input contracts with each other and with images and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

from modhub.errors import Incompatible, InvalidData
from modhub.spec.input_contract import ArrayContract, ImageContract, InputContract


@dataclass(frozen=True)
class Mismatch:
    """One field in which two contracts disagree, with both values as people write them."""

    field: str
    first: str
    second: str


@dataclass(frozen=True)
class NamedContract:
    """A module's name, and what it takes."""

    name: str
    contract: InputContract


def mismatches(first: InputContract, second: InputContract) -> list[Mismatch]:
    """Why one raw input cannot serve both, most telling first; empty when it can.

    Preprocessing (rescale, mean, std, the order of colours) may differ, since each module does its own, and so may the
    dtype: whole numbers are floats too.
    """
    if isinstance(first, ImageContract) != isinstance(second, ImageContract):
        return [Mismatch("input", _given_text(first), _given_text(second))]
    return [
        Mismatch(field, *texts)
        for field, a, b, *texts in zip(
            _FIELDS, input_key(first), input_key(second), _texts(first), _texts(second), strict=True
        )
        if a != b
    ]


def input_key(contract: InputContract) -> tuple[str, str, str]:
    """Equal for contracts that one raw input serves: shape, value range, kind or colour order, as texts.

    Arrays of numbers have the range that was observed unless it is a usual one, and two observations are never equal:
    so those count as one range.
    """
    shape, values, kind = _texts(contract)
    is_observed = isinstance(contract, ArrayContract) and contract.value_range not in _USUAL_RANGES
    return shape, "observed" if is_observed else values, kind


def _texts(contract: InputContract) -> tuple[str, str, str]:
    if isinstance(contract, ArrayContract):
        return input_text(contract), range_text(contract), contract.kind
    return size_text(contract), range_text(contract), contract.given_colour


#: What messages call the parts of an ``input_key``.
_FIELDS: Final = ("input", "value range", "colour order")


_ADAPT: Final = 'adapt="resize" (--adapt resize) gives each module an adapter; or take modules of equal inputs.'
_CHANNELS: Final = {"grey": 1, "rgb": 3, "bgr": 3}


def is_grey_or_colour(contract: InputContract) -> bool:
    """Whether it takes images, and an adapter can change their channels."""
    return isinstance(contract, ImageContract) and _CHANNELS.get(contract.colour) == contract.channels


def _channels_fit(first: InputContract, second: InputContract) -> bool:
    if not isinstance(first, ImageContract) or not isinstance(second, ImageContract):
        return False
    same = (first.given_colour, first.channels) == (second.given_colour, second.channels)
    return same or (is_grey_or_colour(first) and is_grey_or_colour(second))


def check_same_input(name: str, contract: InputContract, other: str, other_contract: InputContract) -> None:
    """Raise Incompatible naming both modules and both values unless one input can serve both."""
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
    """``32x32x3``: rows, columns, channels; of arrays the axes."""
    return "x".join(map(str, contract.shape))


def input_text(contract: InputContract) -> str:
    """``32x32x3 rgb``, as people give images; ``array of 784``."""
    is_turned = not isinstance(contract, ArrayContract) and contract.colour == "bgr"
    return _given_text(contract) + (" (turned to bgr)" if is_turned else "")


def _given_text(contract: InputContract) -> str:
    """The same for contracts of one ``input_key`` and one value range."""
    if isinstance(contract, ArrayContract):
        return f"array of {size_text(contract)}"
    return f"{size_text(contract)} {contract.given_colour}"


def range_text(contract: InputContract) -> str:
    """``0..255``."""
    low, high = contract.value_range
    return f"{low:g}..{high:g}"


#: Ranges that data sets are distributed in; anything else is taken as observed.
_USUAL_RANGES: Final = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))


def contract_of(
    images: Any,
    *,
    rescale: float,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    is_bgr: bool = False,
) -> InputContract:
    """The contract that raw ``images`` (inputs, H, W, C), uint8 or float, speak for; arrays have other axes.

    uint8 means 0..255. Floats get the first usual range that holds them (0..1, 0..255, -1..1), else what is observed.
    ``is_bgr`` says that the network was trained on BGR, of images that are RGB.
    """
    shape = tuple(images.shape[1:])
    values: dict[str, Any] = {"rescale": rescale, "mean": mean, "std": std}
    if images.dtype == "uint8":
        values |= {"dtype": "uint8", "value_range": (0.0, 255.0)}
    else:
        low, high = float(images.min()), float(images.max())
        fitting = [r for r in _USUAL_RANGES if r[0] <= low and high <= r[1]]
        observed = (low, high if high > low else low + 1.0)
        values |= {"dtype": "float32", "value_range": fitting[0] if fitting else observed}
    if len(shape) != 3:
        return ArrayContract(shape=shape, **values)
    height, width, channels = shape
    colour = "bgr" if is_bgr else {1: "grey", 3: "rgb"}.get(channels, "other")
    return ImageContract(height=height, width=width, channels=channels, colour=colour, **values)


def check_images(images: Any, contract: InputContract, *, what: str = "the images") -> None:
    """Raise InvalidData unless ``images`` (N, H, W, C), or arrays (N, ...), are raw inputs that ``contract`` takes.

    Checks rank, shape, dtype, NaN and infinity, and the value range; floats that never exceed 1 are an error for a
    0..255 contract, because they have been rescaled by hand.
    """
    shape = tuple(getattr(images, "shape", ()))
    if isinstance(contract, ArrayContract):
        _check_axes(shape, contract, what)
    elif len(shape) != 4:
        raise InvalidData(
            f"{what} have the shape {shape}; wanted (N, {', '.join(map(str, contract.shape))}).",
            kind="wrong-shape",
            hint="a single image needs a first axis: images[None]; a grey one a last: images[..., None].",
        )
    elif shape[1:] != contract.shape:
        raise InvalidData(
            f"{what} are {'x'.join(map(str, shape[1:]))}; the modules take {size_text(contract)}.",
            kind="wrong-shape",
            hint='bring them to that size; predict, evaluate and explain do so with fit="resize" (--fit resize).',
            got=list(shape[1:]),
            wanted=list(contract.shape),
        )
    check_values(images, what=what)
    _check_range(images, contract, what)


def _check_axes(shape: tuple[int, ...], contract: ArrayContract, what: str) -> None:
    if shape[1:] == contract.shape and shape:
        return
    hint = f"give one array of {size_text(contract)} an input, the first axis counting them."
    if shape == contract.shape:
        hint = "a single input needs a first axis: x[None]."
    elif len(shape) > 1 and len(contract.shape) == 1 and prod(shape[1:]) == contract.shape[0]:
        hint = "put the numbers of each in a row: x.reshape(len(x), -1)."
    raise InvalidData(
        f"{what} have the shape {shape}; wanted (N, {', '.join(map(str, contract.shape))}): the modules take arrays.",
        kind="wrong-shape",
        hint=hint,
        got=list(shape[1:]),
        wanted=list(contract.shape),
    )


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
    is_ranged = isinstance(contract, ImageContract) or (low, high) in _USUAL_RANGES
    if images.dtype.kind == "f" and is_ranged and low >= 0 and high > 1 and 0 < largest <= 1:
        raise InvalidData(
            f"{what} hold floats up to {largest:g}; the modules take raw values {range_text(contract)}.",
            kind="already-rescaled",
            hint="pass the raw images: modules rescale by themselves.",
        )
    # Rows of a table that nobody has seen may well exceed what was; those that were never rescaled do so by far.
    slack = (1 if isinstance(contract, ArrayContract) and contract.dtype == "float32" else 1e-4) * (high - low)
    if (low, high) in _USUAL_RANGES and (smallest < low - slack or largest > high + slack):
        raise InvalidData(
            f"{what} hold values {smallest:g}..{largest:g}; the modules take {range_text(contract)}.",
            kind="wrong-range",
            hint="pass images in the range of the data that the network was decomposed with.",
        )
