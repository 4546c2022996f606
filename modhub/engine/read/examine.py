"""What a model would be decomposed as, without any data: for ``decompose --dry-run``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from modhub.compaction.costs import costs_of
from modhub.decomposition.sites import find_sites
from modhub.engine.library import keras
from modhub.engine.read.check import check_weights_finite
from modhub.engine.read.reader import read_model
from modhub.limits import MIB


@dataclass(frozen=True)
class Examined:
    """A model as it was read: image shape (rows, columns, channels), classes, layer calls, sites, nodes, weights.

    ``operations`` are multiplications and additions for one image, two a weight used; ``weight_bytes`` in float32;
    ``lowered`` says, a line each, which layers become others that compute the same.
    """

    name: str
    input_shape: tuple[int, ...]
    classes: int
    head: str
    calls: int
    sites: int
    nodes: int
    weights: int
    weight_bytes: int
    operations: int
    lowered: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``--json`` prints them."""
        return asdict(self) | {"input_shape": list(self.input_shape), "lowered": list(self.lowered)}

    def fields(self) -> Iterator[tuple[str, str]]:
        """Titles and values, as people read them."""
        yield "network", self.name
        yield "images" if len(self.input_shape) == 3 else "arrays", "x".join(map(str, self.input_shape))
        yield "classes", f"{self.classes} ({self.head})"
        yield "layers", f"{self.calls:,}"
        yield "masks", f"{self.nodes:,} nodes at {self.sites} ReLUs" if self.sites else _NO_RELU
        yield "weights", f"{self.weights:,} ({self.weight_bytes / MIB:.1f} MiB)"
        cost = f"{self.operations / 1e9:.2f} billion" if self.operations >= _BILLIONS else f"{self.operations:,}"
        yield "cost", f"{cost} operations an {'image' if len(self.input_shape) == 3 else 'array'}"
        if self.lowered:
            yield "rewritten", f"{len(self.lowered)} layers, into others that compute the same"


#: Operations from which on they are told in billions.
_BILLIONS = 5_000_000
_NO_RELU = "none: without a ReLU each module is the whole network with a head of its own"


def examine(model: keras.Model) -> Examined:
    """What ``model`` would be decomposed as. Raises UnsupportedModel, with all obstacles."""
    reading = read_model(model)
    check_weights_finite(reading.weights)
    architecture = reading.architecture
    costs = costs_of(architecture, len(reading.weights["head/bias"]))
    count = sum(value.size for value in reading.weights.values())
    return Examined(
        name=str(model.name),
        input_shape=architecture.input_shape,
        classes=len(reading.weights["head/bias"]),
        head=architecture.head,
        calls=len(architecture.calls),
        sites=len(find_sites(architecture, "relu")),
        nodes=costs.nodes,
        weights=count,
        weight_bytes=4 * count,
        operations=2 * costs.flops,
        lowered=reading.lowered,
    )
