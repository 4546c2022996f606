"""Kinds of layer without weights that move, join or merge elements, reading at most one element of each input."""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from collections.abc import Sequence
from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from modhub.limits import MAX_EXTENT
from modhub.spec.layer_record import Border, LayerRecord, Misfit, Pair, Reads, Shape, image_shape, some_shapes
from modhub.spec.schema import Length


class Add(LayerRecord):
    """The sum of tensors of one shape."""

    reads: ClassVar[Reads] = "merge"
    takes_many: ClassVar[bool] = True

    kind: Literal["add"] = "add"

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        if any(shape != inputs[0] for shape in inputs):
            raise Misfit(f"adds tensors of different shapes {some_shapes(inputs)}")
        return inputs[0]


class Merge(LayerRecord):
    """Product, difference, mean or maximum of tensors, element by element; axes of length 1 are repeated.

    ``subtract`` takes two tensors, the others two or more.
    """

    reads: ClassVar[Reads] = "merge"
    takes_many: ClassVar[bool] = True
    since: ClassVar[int] = 2

    kind: Literal["multiply", "subtract", "average", "maximum"]

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        if len(inputs) < 2 or (self.kind == "subtract" and len(inputs) != 2):
            raise Misfit(f"reads {len(inputs)} tensors, but {self.kind} takes two")
        if len({len(shape) for shape in inputs}) > 1:
            raise Misfit(f"merges tensors of the shapes {some_shapes(inputs)}")
        extents = [{extent for extent in axis if extent != 1} for axis in zip(*inputs, strict=True)]
        if any(len(found) > 1 for found in extents):
            raise Misfit(f"merges tensors of the shapes {some_shapes(inputs)}")
        return tuple(next(iter(found), 1) for found in extents)


class Concatenate(LayerRecord):
    """``axis`` counts the axes of one image: 0 is the height, 2 the channels."""

    # Each output element reads one element of one input; which one, the axis says.
    reads: ClassVar[Reads] = "rearrangement"
    takes_many: ClassVar[bool] = True

    kind: Literal["concatenate"] = "concatenate"
    axis: Annotated[int, Field(ge=0, le=2)]

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        first, axis = inputs[0], self.axis
        rest = first[:axis] + first[axis + 1 :]
        if any(
            len(shape) != len(first) or axis >= len(shape) or shape[:axis] + shape[axis + 1 :] != rest
            for shape in inputs
        ):
            raise Misfit(f"joins tensors of unfitting shapes {some_shapes(inputs)} along axis {axis}")
        return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])


class Flatten(LayerRecord):
    """All elements in one row, the last axis running fastest."""

    reads: ClassVar[Reads] = "rearrangement"

    kind: Literal["flatten"] = "flatten"

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        return (prod(inputs[0]),)

    def arranged(self, elements: Any) -> Any:
        return elements.reshape(-1)


class Reshape(LayerRecord):
    """The same elements, the last axis running fastest, in another shape."""

    reads: ClassVar[Reads] = "rearrangement"

    kind: Literal["reshape"] = "reshape"
    target_shape: Annotated[tuple[Length, ...], Field(min_length=1, max_length=3)]

    @property
    def format(self) -> int:
        return 1 if max(self.target_shape) <= MAX_EXTENT else 2

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        if prod(self.target_shape) != prod(inputs[0]):
            raise Misfit(f"cannot reshape {inputs[0]} to {self.target_shape}")
        return self.target_shape

    def arranged(self, elements: Any) -> Any:
        return elements.reshape(self.target_shape)


class Permute(LayerRecord):
    """The axes of one image in another order, as numpy's transpose: ``dims`` counts them from 0."""

    reads: ClassVar[Reads] = "rearrangement"
    since: ClassVar[int] = 2

    kind: Literal["permute"] = "permute"
    dims: Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(min_length=1, max_length=3)]

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        if sorted(self.dims) != list(range(len(inputs[0]))):
            raise Misfit(f"cannot put the axes of {inputs[0]} in the order {self.dims}")
        return tuple(inputs[0][axis] for axis in self.dims)

    def arranged(self, elements: Any) -> Any:
        return elements.transpose(self.dims)


class ZeroPadding2D(LayerRecord):
    """Zeros around the image: ``padding`` is ((top, bottom), (left, right))."""

    reads: ClassVar[Reads] = "rearrangement"

    kind: Literal["zero_padding2d"] = "zero_padding2d"
    padding: tuple[tuple[Border, Border], tuple[Border, Border]]

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        shape = image_shape(inputs[0], self.kind)
        return shape[0] + sum(self.padding[0]), shape[1] + sum(self.padding[1]), shape[2]

    def arranged(self, elements: Any) -> Any:
        import numpy as np  # light commands read architectures and never ask this

        return np.pad(elements, (*self.padding, (0, 0)), constant_values=-1)


class Cropping2D(LayerRecord):
    """The image without borders: ``cropping`` is ((top, bottom), (left, right))."""

    reads: ClassVar[Reads] = "rearrangement"
    since: ClassVar[int] = 2

    kind: Literal["cropping2d"] = "cropping2d"
    cropping: tuple[tuple[Border, Border], tuple[Border, Border]]

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        shape = image_shape(inputs[0], self.kind)
        return shape[0] - sum(self.cropping[0]), shape[1] - sum(self.cropping[1]), shape[2]

    def arranged(self, elements: Any) -> Any:
        (top, bottom), (left, right) = self.cropping
        return elements[top : elements.shape[0] - bottom, left : elements.shape[1] - right]


class UpSampling2D(LayerRecord):
    """Every position ``size`` times in rows and columns."""

    reads: ClassVar[Reads] = "rearrangement"
    since: ClassVar[int] = 2

    kind: Literal["upsampling2d"] = "upsampling2d"
    size: Pair

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        shape = image_shape(inputs[0], self.kind)
        return shape[0] * self.size[0], shape[1] * self.size[1], shape[2]

    def arranged(self, elements: Any) -> Any:
        return elements.repeat(self.size[0], axis=0).repeat(self.size[1], axis=1)
