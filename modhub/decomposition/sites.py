"""Where masks sit: the sites of an architecture, for both readings of "active" (docs/algorithm.md, Sites)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from modhub.spec.architecture import INPUT, Architecture, Call, shapes_of
from modhub.spec.layer_record import Shape
from modhub.spec.layers import BatchNormalization, Conv2D, Dense, Identity, ReLU, is_relu
from modhub.spec.manifest import Observe


@dataclass(frozen=True)
class Site:
    """The output of one layer call, ``shape`` per image."""

    id: str
    shape: Shape

    @property
    def nodes(self) -> int:
        return prod(self.shape)


def find_sites(architecture: Architecture, observe: Observe) -> tuple[Site, ...]:
    """The sites in execution order.

    ``relu``: every ReLU's output. ``conv``, the paper's literal reading: every convolution's own output, taken after a
    batch normalisation that is its only reader, and the ReLU outputs of hidden dense layers.
    """
    shapes = shapes_of(architecture)
    chosen = _relu_outputs(architecture) if observe == "relu" else _conv_outputs(architecture)
    return tuple(Site(call.id, shapes[call.id]) for call in architecture.calls if call.id in chosen)


def _relu_outputs(architecture: Architecture) -> set[str]:
    return {call.id for call in architecture.calls if is_relu(architecture.layer_of(call))}


def _conv_outputs(architecture: Architecture) -> set[str]:
    readers = architecture.consumers()
    by_id = {call.id: call for call in architecture.calls}
    chosen: set[str] = set()
    for call in architecture.calls:
        layer = architecture.layer_of(call)
        if isinstance(layer, Conv2D):
            following = readers[call.id]
            normalised = (
                layer.activation == "linear"
                and len(following) == 1
                and call.id != architecture.features
                and isinstance(architecture.layer_of(following[0]), BatchNormalization)
            )
            chosen.add(following[0].id if normalised else call.id)
        elif is_relu(layer) and (isinstance(layer, Dense) or _follows_dense(architecture, by_id, call)):
            chosen.add(call.id)
    return chosen


def _follows_dense(architecture: Architecture, by_id: dict[str, Call], call: Call) -> bool:
    """Whether a ReLU layer reads a dense layer, directly or through normalisation or dropout."""
    if not isinstance(architecture.layer_of(call), ReLU):
        return False
    source = call.inputs[0]
    while source != INPUT:
        layer = architecture.layer_of(by_id[source])
        if isinstance(layer, Dense):
            return True
        if not isinstance(layer, (BatchNormalization, Identity)):
            return False
        source = by_id[source].inputs[0]
    return False
