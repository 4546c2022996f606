"""What every kind of layer in an architecture says of itself, in terms that need no network library.

A record has its fields and their bounds, its weights, the shape that it gives, and how its output elements read its
input elements (``reads``), from which backtracking, masks, the Jaccard indices and costs follow. The engine has the
other half, how Keras computes it (``engine/run/layers.py``) and from which Keras layers it is read (``engine/read``).
Shapes are per image, without the batch axis, channels last.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from modhub.limits import MAX_EXTENT
from modhub.spec.schema import Extent

Pair = tuple[Extent, Extent]
Border = Annotated[int, Field(ge=0, le=MAX_EXTENT)]
Shape = tuple[int, ...]

#: How the elements of a layer's output read the elements of its input.
#:
#: ``elementwise``: the one at its own place. ``window``: those in a window of rows and columns; of a convolution, all
#: channels of its group. ``contraction``: the whole last axis. ``reduction``: all rows and columns of its channel.
#: ``rearrangement``: one element or none, see ``arranged``. ``merge``: those at its own place in every input, which
#: broadcast. ``everything``: any output may read any input, which is what holds for a kind that says nothing.
Reads = Literal["elementwise", "window", "contraction", "reduction", "rearrangement", "merge", "everything"]


class Misfit(ValueError):
    """Inputs of these shapes cannot be read by this layer; the text says why and stands behind the call's name."""


class LayerRecord(BaseModel):
    """What all kinds have in common. ``reads`` is as above; ``since`` is the first format of a release that has it."""

    # An unknown field of a layer could change what it computes, so here, unlike in the manifest, it is refused.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    reads: ClassVar[Reads] = "everything"
    since: ClassVar[int] = 1
    #: How many inputs: one, or any number.
    takes_many: ClassVar[bool] = False
    #: The name in files; each kind has its own.
    kind: str

    @property
    def format(self) -> int:
        """The first format of a release that may hold this very record."""
        return self.since

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Names and shapes of the weights when the layer reads ``input_shape``; empty for layers without any."""
        return {}

    def shape_of(self, inputs: Sequence[Shape]) -> Shape:
        """The shape that it gives for ``inputs``, of which there are as many as it takes. Raises Misfit."""
        return inputs[0]

    def arranged(self, elements: Any) -> Any:
        """For a rearrangement: ``elements``, an array of int64 of one image's shape, where the output has them.

        What the output fills in by itself is -1.
        """
        raise NotImplementedError(f"{type(self).__name__} rearranges nothing")


def image_shape(shape: Shape, kind: str) -> Shape:
    """``shape`` again. Raises Misfit unless it has rows, columns and channels."""
    if len(shape) != 3:
        raise Misfit(f"reads the shape {shape}, but {kind} needs rows, columns and channels")
    return shape


def some_shapes(shapes: Sequence[Shape]) -> str:
    """As many shapes as fit into a message."""
    return f"{list(shapes[:4])}" + (f" and {len(shapes) - 4} more" if len(shapes) > 4 else "")
