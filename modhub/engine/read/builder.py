"""An architecture under construction: what the rules that read layers and operations write into.

A rule turns one call of a Keras graph into one record or into several that compute the same. The last of them has the
call's own name, so that whatever reads the call finds it; those before have names below it. Rules that find something
in the way raise, and reading goes on behind it with the shape that Keras knows, so that all obstacles are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.engine.read.graph import LayerCall
from modhub.errors import UnsupportedModel
from modhub.spec.architecture import HEAD, INPUT, Call, output_shape
from modhub.spec.layer_record import LayerRecord, Shape

Arrays = Mapping[str, NDArray[np.float32]]

#: The way out that most refusals have.
SUPPORTED: Final = (
    "convolutions of images and signals (also depthwise and separable), Dense, normalisation of batches, layers and "
    "groups, activations, pooling, merging, reshaping, padding, cropping, upsampling, Rescaling and Normalization; "
    "docs/networks.md lists them"
)


class Builder:
    """The layers, calls, weights and shapes of an architecture that is being read, by name."""

    def __init__(self, input_shape: Shape) -> None:
        self.layers: dict[str, LayerRecord] = {}
        self.calls: list[Call] = []
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.shapes: dict[str, Shape] = {INPUT: input_shape}
        #: Tensors that have a row in front which Keras' own have not: signals, see ``one_row``.
        self.one_row: set[str] = set()
        self.reshaped: dict[str, str] = {}
        #: What was rewritten into other kinds, a line each.
        self.lowered: list[str] = []

    def put(self, call: LayerCall, record: LayerRecord, weights: Arrays | None = None) -> str:
        """One record that computes the whole call."""
        return self.emit(call.id, call.name, record, call.inputs, weights)

    def emit(
        self, id: str, name: str, record: LayerRecord, inputs: Sequence[str], weights: Arrays | None = None
    ) -> str:
        """One call ``id`` of the layer ``name``, which is new or the same as before; its id again."""
        name = apart_from_head(name)
        if name not in self.layers:
            self.layers[name] = record
            self.weights |= {f"{name}/{key}": value for key, value in (weights or {}).items()}
        self.shapes[id] = output_shape(id, self.layers[name], [self.shapes[source] for source in inputs])
        self.calls.append(Call(id=id, layer=name, inputs=tuple(inputs)))
        return id

    def part(
        self, call: LayerCall, part: str, record: LayerRecord, inputs: Sequence[str], weights: Arrays | None = None
    ) -> str:
        """One of several records that compute a call together, before the last."""
        return self.emit(f"{call.id}/{part}", f"{call.name}/{part}", record, inputs, weights)

    def last(self, call: LayerCall, part: str, record: LayerRecord, inputs: Sequence[str]) -> str:
        """The last of several records that compute a call together."""
        return self.emit(call.id, f"{call.name}/{part}", record, inputs)

    def note(self, call: LayerCall, became: str) -> None:
        """Remember that a call was rewritten."""
        self.lowered.append(f"{call.name} ({call.type}): {became}")

    def shape(self, call: LayerCall) -> Shape:
        """The shape of what a call reads first."""
        return self.shapes[call.inputs[0]]

    def rank(self, call: LayerCall) -> int:
        """How many axes Keras says that it has."""
        return len(self.shape(call)) - (call.inputs[0] in self.one_row)

    def skip(self, call: LayerCall) -> None:
        """Go on behind a call that nothing reads, as far as its output's shape is known. Raises KeyError otherwise."""
        if call.shape is None or None in call.shape:
            raise KeyError(call.id)
        self.shapes[call.id] = tuple(extent for extent in call.shape if extent is not None)


def apart_from_head(name: str) -> str:
    """A layer's name that the head's weights do not have. Only nesting gives a name with a slash."""
    return f"{HEAD}/{HEAD}" if name == HEAD else name


def refuse(
    call: LayerCall, reason: str, *, kind: str = "unsupported-layer", hint: str | None = None
) -> UnsupportedModel:
    """The error for a call that ``reason`` keeps from being read."""
    return UnsupportedModel(
        f"the {'layer' if isinstance(call.layer, keras.layers.Layer) else 'operation'} {call.name!r} ({call.type}) "
        f"{reason}.",
        kind=kind,
        hint=hint or f"supported are: {SUPPORTED}.",
        layer=call.name,
        type=call.type,
    )


def array(variable: Any) -> NDArray[np.float32]:
    """A weight or a constant as float32."""
    return np.asarray(keras.ops.convert_to_numpy(variable), dtype=np.float32)


def named_weights(call: LayerCall, *names: str) -> dict[str, NDArray[np.float32]]:
    """Those of the layer's weights that it has, under Keras' own names."""
    return {name: array(getattr(call.layer, name)) for name in names if getattr(call.layer, name, None) is not None}
