"""What a network takes, as a person gives it, and how its modules preprocess it: images, or arrays of numbers."""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator

from modhub.spec.schema import Divisor32, Extent, Float32, Length, Stored

#: In which order an image has its channels: of a contract, the order that the network was trained on.
ColourOrder = Literal["rgb", "bgr", "grey", "other"]
#: In which order of colours a network was trained, as people say it; images are given as RGB either way.
TrainedColor = Literal["rgb", "bgr"]
#: Axes of an array, behind the one that counts the inputs, at most.
_MOST_AXES: Final = 2


class _Preprocessed(Stored):
    """What all contracts have in common: the raw numbers, and ``(x * rescale - mean) / std``.

    Inputs are raw: of ``dtype``, inside ``value_range``. ``mean`` and ``std`` have one number, or one for each place of
    the last axis, in units after rescaling.
    """

    dtype: Literal["uint8", "float32"]
    value_range: tuple[Float32, Float32]
    rescale: Float32 = 1.0
    mean: tuple[Float32, ...] | None = None
    std: tuple[Divisor32, ...] | None = None


class ImageContract(_Preprocessed):
    """Images: rows, columns, channels. ``colour`` is what the network was trained on.

    The images that people give are RGB whatever it was trained on: for ``bgr`` the modules turn the channels around
    first, and ``mean`` and ``std`` are in that order.
    """

    height: Extent
    width: Extent
    channels: Extent
    colour: ColourOrder

    @model_validator(mode="after")
    def _fits(self) -> Self:
        return _checked(self, self.channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, channels."""
        return self.height, self.width, self.channels

    @property
    def since(self) -> int:
        """The first format of a release that has such a contract."""
        return 3 if self.colour == "bgr" else 1

    @property
    def given_colour(self) -> ColourOrder:
        """The order of the channels in the images that people give."""
        return "rgb" if self.colour == "bgr" else self.colour


class ArrayContract(_Preprocessed):
    """Arrays of numbers: rows of a table or flat images (values,), signals (steps, channels), maps (rows, columns)."""

    kind: Literal["array"] = "array"
    shape: Annotated[tuple[Length, ...], Field(min_length=1, max_length=_MOST_AXES)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        return _checked(self, self.shape[-1])

    @property
    def since(self) -> int:
        """The first format of a release that has such a contract."""
        return 3


_Contract = TypeVar("_Contract", bound=_Preprocessed)


def _checked(contract: _Contract, channels: int) -> _Contract:
    for numbers in (contract.mean, contract.std):
        if numbers is not None and len(numbers) not in (1, channels):
            raise ValueError(f"{len(numbers)} numbers for {channels} channels")
    if not contract.value_range[0] < contract.value_range[1]:
        raise ValueError("an empty value range")
    return contract


def _kind_of(value: Any) -> str:
    """Contracts of images are as old as modhub and say no kind."""
    found = value.get("kind", "image") if isinstance(value, dict) else getattr(value, "kind", "image")
    return str(found)


InputContract = Annotated[
    Annotated[ImageContract, Tag("image")] | Annotated[ArrayContract, Tag("array")], Discriminator(_kind_of)
]
