"""A network as data: layers from a fixed table, their calls as a graph, and the shape of every tensor.

This is what a release stores instead of a serialised Keras model, what backtracking walks, and what the engine builds
from. Nothing here is code: a layer is one of the kinds below with bounded numbers, so reading an architecture from a
registry can neither run anything nor allocate anything. Shapes are per image, or per array of another kind, without the
batch axis, channels last.
"""

# No ``from __future__ import annotations``: pydantic would have to evaluate each annotation by itself.

from collections.abc import Sequence
from math import prod
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from modhub.errors import IntegrityError, shown
from modhub.limits import (
    MAX_LAYER_NAME_CHARS,
    MAX_LAYERS,
    MAX_TENSOR_ELEMENTS,
    MAX_WEIGHT_ELEMENTS,
)
from modhub.spec.layer_record import LayerRecord, Misfit, Shape
from modhub.spec.layers import Dense, Layer
from modhub.spec.packaged_layers import Packaged
from modhub.spec.schema import Length


def _origin_of(value: object) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "packaged:layer" if isinstance(kind, str) and "/" in kind else "own:layer"


#: A layer of modhub's own kinds, or of one that an installed package brings, which has a slash in its name.
AnyLayer = Annotated[
    Annotated[Layer, Tag("own:layer")] | Annotated[Packaged, Tag("packaged:layer")], Discriminator(_origin_of)
]
LayerName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LAYER_NAME_CHARS)]

#: The call that stands for the input itself, after the input contract's preprocessing.
INPUT: Final = "input"
#: The name among the weights of the origin's head, which is no layer here; so no layer has this name.
HEAD: Final = "head"


class Call(BaseModel):
    """One use of a layer. ``inputs`` name earlier calls, or ``input``. A layer may be called more than once."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: LayerName
    layer: LayerName
    inputs: Annotated[tuple[LayerName, ...], Field(min_length=1, max_length=1000)]


class Architecture(BaseModel):
    """The network up to its penultimate features, in execution order, and the name of its head.

    The head itself (Dense to the class logits) is not a layer here, because every module brings its own; the origin's
    is kept among the weights under ``head/kernel`` (features, classes) and ``head/bias`` (classes,).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    input_shape: Annotated[tuple[Length, ...], Field(min_length=1, max_length=3)]
    layers: Annotated[dict[LayerName, AnyLayer], Field(max_length=MAX_LAYERS)]
    calls: Annotated[tuple[Call, ...], Field(max_length=MAX_LAYERS)]
    features: LayerName
    head: Literal["softmax", "logits", "sigmoid"]

    def layer_of(self, call: Call) -> LayerRecord:
        return self.layers[call.layer]

    def consumers(self) -> dict[str, list[Call]]:
        """For every tensor (call id, or ``input``) the calls that read it, in execution order."""
        readers: dict[str, list[Call]] = {INPUT: [], **{call.id: [] for call in self.calls}}
        for call in self.calls:
            for source in dict.fromkeys(call.inputs):
                readers[source].append(call)
        return readers


#: The architecture that was asked about last, and its shapes: decomposing asks the same for every class.
_latest: list[tuple[Architecture, dict[str, Shape]]] = []


def shapes_of(architecture: Architecture) -> dict[str, Shape]:
    """The shape of every tensor, per image, by call id; ``input`` is the image.

    Raises IntegrityError when calls are out of order, shapes do not fit, or a tensor or the weights exceed the limits:
    an architecture that passes is safe to allocate.
    """
    latest = _latest[:]
    if not latest or latest[0][0] is not architecture:
        latest = [(architecture, _computed_shapes(architecture))]
        _latest[:] = latest
    return dict(latest[0][1])


def _computed_shapes(architecture: Architecture) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {INPUT: tuple(architecture.input_shape)}
    weights = 0
    built: dict[str, tuple[dict[str, Shape], int]] = {}
    for call in architecture.calls:
        if call.id in shapes:
            raise _broken(call.id, "occurs twice")
        if call.layer not in architecture.layers or call.layer == HEAD:
            raise _broken(call.id, f"names the unknown layer {shown(call.layer)}")
        missing = [source for source in call.inputs if source not in shapes]
        if missing:
            raise _broken(call.id, f"reads {shown(missing[0])}, which is not computed before it")
        layer = architecture.layers[call.layer]
        inputs = [shapes[source] for source in call.inputs]
        shape = output_shape(call.id, layer, inputs)
        if min(shape, default=0) < 1 or prod(shape) > MAX_TENSOR_ELEMENTS or max(shape) > MAX_TENSOR_ELEMENTS:
            raise _broken(call.id, f"has the output shape {shape}, beyond what is allowed")
        own = layer.weight_shapes(inputs[0])
        wanted = (own, 0 if isinstance(layer, Dense) else len(inputs[0]))
        if call.layer not in built:
            built[call.layer] = wanted
            weights += sum(prod(s) for s in own.values())
        elif own and built[call.layer] != wanted:
            raise _broken(call.id, f"calls the layer {shown(call.layer)} on the shape {inputs[0]}, unlike before")
        if weights > MAX_WEIGHT_ELEMENTS:
            raise _broken(call.id, f"brings the weights to more than {MAX_WEIGHT_ELEMENTS} numbers")
        shapes[call.id] = shape
    if architecture.features not in shapes:
        raise _broken(architecture.features, "is named as the features but never computed")
    if len(shapes[architecture.features]) != 1:
        raise _broken(architecture.features, f"is no vector but has the shape {shapes[architecture.features]}")
    return shapes


def _broken(call: str, reason: str) -> IntegrityError:
    return IntegrityError(f"the architecture is broken: {shown(call)} {reason}.", kind="bad-architecture", call=call)


def output_shape(call: str, layer: LayerRecord, inputs: Sequence[Shape]) -> Shape:
    """The shape that ``layer`` gives for ``inputs``. Raises IntegrityError naming ``call`` when they do not fit."""
    if len(inputs) != 1 and not layer.takes_many:
        raise _broken(call, f"reads {len(inputs)} tensors, but {layer.kind} takes one")
    try:
        return layer.shape_of(inputs)
    except Misfit as error:
        raise _broken(call, str(error)) from None
