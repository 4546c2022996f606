"""What Keras computes on."""

from __future__ import annotations

from functools import cache

from modhub.engine.library import keras, ops


@cache
def has_accelerator() -> bool:
    """Whether Keras computes on anything but processors."""
    if keras.backend.backend() == "torch":
        # Keras lists no devices there, but puts every tensor where it computes.
        return bool(ops.zeros(()).device.type != "cpu")
    return any(not device.startswith("cpu") for device in keras.distribution.list_devices())
