"""A Keras model in the signatures of packages that do not import keras: what modhub and its users do with one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class KerasModel(Protocol):
    """A ``keras.Model``. What cannot be read as one is refused when it is decomposed, with UnsupportedModel."""

    @property
    def name(self) -> str:
        """What the model is called."""

    @property
    def layers(self) -> Sequence[Any]:
        """The layers, in the order in which they were made."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for a batch of inputs, as a tensor of the backend."""

    def predict(self, x: Any, batch_size: int | None = None) -> Any:
        """The outputs for all inputs ``x``, in batches, as a numpy array."""

    def save(self, filepath: Any) -> Any:
        """Write the model to a ``.keras`` file."""

    def summary(self) -> Any:
        """Print the layers."""
