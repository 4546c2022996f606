"""Where in its image a module sees its class: each position's part of its margin, at the last map of the network.

A part is the gradient of the margin by the map, times the map, summed over channels. Where nothing but averages and
rearrangements lie between map and head, the margin is linear in the map, and the parts add up to it, but for its bias:
that is the class activation map. Elsewhere it is a first approximation (gradient times activation).
Sources: Zhou et al., Learning deep features for discriminative localization, 2016, section 2; Ancona et al., Towards
better understanding of gradient-based attribution methods, 2018, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modhub.composition.explanation import ActivationMap
from modhub.engine.gradients import gradient
from modhub.engine.library import ops
from modhub.engine.run.network import Network, Visitor
from modhub.package.module import Head
from modhub.spec.architecture import INPUT, Architecture, shapes_of

#: Kinds of layer in whose input their output is linear, without a constant.
_LINEAR: Final = frozenset(
    {
        "global_average_pooling2d",
        "average_pooling2d",
        "flatten",
        "reshape",
        "identity",
        "permute",
        "zero_padding2d",
        "cropping2d",
        "upsampling2d",
    }
)


@dataclass(frozen=True)
class MapPlace:
    """The call whose output, rows x columns x channels, is taken apart, at ``position`` among the calls.

    ``is_exact`` when features are linear in it.
    """

    call: str
    layer: str
    position: int
    is_exact: bool


def map_place(architecture: Architecture) -> MapPlace | None:
    """The map that says most of where: as fine as features are linear in it, else the last one. None without a map."""
    shapes, calls = shapes_of(architecture), architecture.calls
    place = {call.id: number for number, call in enumerate(calls)}
    name = architecture.features
    while name != INPUT and architecture.layer_of(calls[place[name]]).kind in _LINEAR:
        name = calls[place[name]].inputs[0]
    if name != INPUT and _is_map(shapes[name]):
        return MapPlace(name, calls[place[name]].layer, place[name], True)
    found = [number for number, call in enumerate(calls) if _is_map(shapes[call.id])]
    return MapPlace(calls[found[-1]].id, calls[found[-1]].layer, found[-1], False) if found else None


def live_behind(architecture: Architecture, position: int) -> list[str]:
    """The tensors that calls behind ``position`` read and none of them makes."""
    made = {call.id for call in architecture.calls[position + 1 :]}
    read = dict.fromkeys(source for call in architecture.calls[position + 1 :] for source in call.inputs)
    return [source for source in (*read, architecture.features) if source not in made]


def seen_by(
    network: Network, place: MapPlace, live: Mapping[str, NDArray[np.float32]], keep: Visitor, head: Head
) -> ActivationMap:
    """What a module with ``head`` sees in one image: ``live`` are the tensors behind ``place``, (1, ...) each.

    ``keep`` applies its masks, which ``live`` have gone through already.
    """
    kernel = head.margin_kernel

    def margin(tensor: Any) -> Any:
        after = network.advance({**live, place.call: tensor}, keep, start=place.position + 1)
        features = after[network.architecture.features]
        return ops.sum(features * kernel)

    values = live[place.call]
    parts = (gradient(margin, values) * values)[0].sum(axis=2)
    return ActivationMap(
        layer=place.layer,
        is_exact=place.is_exact,
        parts=parts,
        bias=float(head.margin_bias),
    )


def _is_map(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] * shape[1] > 1
