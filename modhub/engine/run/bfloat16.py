"""A trunk that computes in bfloat16, for inference alone: masks are never derived in it.

Images come and features go in float32, so that preprocessing and heads keep their precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modhub.engine.library import keras, ops
from modhub.engine.run.network import Network, Visitor


class ReducedNetwork(Network):
    """A Network whose layers hold their weights, and compute, in bfloat16. A visitor sees bfloat16 outputs."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.layers = {name: _reduced(layer) for name, layer in self.layers.items()}

    def advance(
        self, tensors: Mapping[str, Any], visit: Visitor | None = None, *, start: int = 0, stop: int | None = None
    ) -> dict[str, Any]:
        """As in Network, in bfloat16: tensors that came through float32 lose nothing."""
        reduced = {name: ops.cast(tensor, "bfloat16") for name, tensor in tensors.items()}
        return super().advance(reduced, visit, start=start, stop=stop)

    def run(self, images: Any, visit: Visitor | None = None) -> Any:
        """The features (N, F) float32 of preprocessed images (N, H, W, C)."""
        return ops.cast(super().run(images, visit), "float32")


def _reduced(layer: keras.Layer) -> keras.Layer:
    made = type(layer).from_config({**layer.get_config(), "dtype": "bfloat16"})
    made.trainable = False
    made.build(_shape(layer.get_build_config()))
    made.set_weights(layer.get_weights())
    return made


def _shape(built: Mapping[str, Any]) -> Any:
    return built["input_shape"] if "input_shape" in built else next(iter(built["shapes_dict"].values()))
