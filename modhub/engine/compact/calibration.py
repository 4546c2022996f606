"""How much too low the losses of channels are, which add up squares of errors as if no two of them were alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modhub.compaction.ordering import LayerStatistics, RemovalOrder, calibrated, change_without
from modhub.engine.library import ops
from modhub.spec.architecture import HEAD, Architecture, Call
from modhub.spec.layer_record import LayerRecord
from modhub.spec.layers import Conv2D

_Singles = NDArray[np.float32]

#: Shares of a group's channels that go together to see what that changes.
_SHARES: Final = (1 / 8, 3 / 8, 3 / 4)
#: At most so many changed layers are looked at; groups with the fewest readers are, and the others are taken as those.
_MOST_READERS: Final = 400
_LEAST_RATIO, _MOST_RATIO = 0.25, 25.0

#: By the call that reads a group, or ``HEAD``, what it sees.
SeenByReader: TypeAlias = Mapping[str, LayerStatistics]


@dataclass(frozen=True, eq=False)
class ReaderChanged:
    """A layer that reads the tensor ``source``, with weights ``kernel`` and ``bias`` added to its own."""

    at: str
    source: str
    layer: LayerRecord | None
    kernel: _Singles
    bias: _Singles

    def added(self, tensors: Mapping[str, Any]) -> Any:
        source = tensors[self.source]
        if not isinstance(self.layer, Conv2D):
            return ops.matmul(source, self.kernel) + self.bias
        kernel = self.kernel.reshape(*self.layer.kernel_size, source.shape[-1], -1)
        convolved = ops.conv(source, kernel, self.layer.strides, self.layer.padding, dilation_rate=self.layer.dilation)
        return convolved + self.bias


@dataclass(frozen=True)
class Removal:
    """The first ``count`` channels of the order of a group gone."""

    group: str
    count: int

    @property
    def name(self) -> str:
        return f"{self.count} of {self.group}"


def tried_removals(orders: Mapping[str, RemovalOrder], seen: Mapping[str, SeenByReader]) -> list[Removal]:
    """Some numbers of channels gone from each group, from those with the fewest readers on."""
    found: list[Removal] = []
    looked_at = 0
    for group in sorted(orders, key=lambda group: len(seen[group])):
        most = len(orders[group].order) - 1
        counts = sorted({int(np.clip(round(share * (most + 1)), 1, most)) for share in _SHARES})
        looked_at += len(counts) * len(seen[group])
        if looked_at > _MOST_READERS:
            break
        found += [Removal(group, count) for count in counts]
    return found


def changed_readers(
    architecture: Architecture, removal: Removal, orders: Mapping[str, RemovalOrder], seen: SeenByReader
) -> list[ReaderChanged]:
    """The layers that read a group, with what makes up for the channels that are gone."""
    calls = {call.id: call for call in architecture.calls}
    gone = orders[removal.group].order[: removal.count]
    return [_changed(architecture, calls.get(at), change_without(each, gone)) for at, each in seen.items()]


def _changed(architecture: Architecture, call: Call | None, change: NDArray[np.float64]) -> ReaderChanged:
    kernel, bias = change[:-1].astype(np.float32), change[-1].astype(np.float32)
    if call is None:
        return ReaderChanged(HEAD, architecture.features, None, kernel, bias)
    return ReaderChanged(call.id, call.inputs[0], architecture.layer_of(call), kernel, bias)


def calibrated_orders(
    orders: Mapping[str, RemovalOrder], removals: Iterable[Removal], losses: Mapping[str, float]
) -> dict[str, RemovalOrder]:
    """All orders with their losses as ``losses`` says by the names of ``removals``."""
    ratios: dict[str, dict[int, float]] = {}
    for removal in removals:
        known = float(orders[removal.group].losses[removal.count])
        ratio = losses[removal.name] / known if known > 0 else 1.0
        ratios.setdefault(removal.group, {})[removal.count] = float(np.clip(ratio, _LEAST_RATIO, _MOST_RATIO))
    usual = float(np.median([ratio for own in ratios.values() for ratio in own.values()])) if ratios else 1.0
    return {name: calibrated(order, ratios.get(name, {0: usual})) for name, order in orders.items()}
