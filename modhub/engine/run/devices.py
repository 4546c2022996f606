"""What Keras computes on."""

from __future__ import annotations

from functools import cache

from modhub.engine.library import keras, ops


def device_names() -> list[str]:
    """What Keras' backend computes on, the first for sure: ``cpu:0``, ``gpu:0``."""
    if keras.backend.backend() == "torch":
        return [str(ops.zeros(()).device)]
    accelerators = [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
    return accelerators or ["cpu:0"]


@cache
def has_accelerator() -> bool:
    """Whether Keras computes on anything but processors."""
    if keras.backend.backend() == "torch":
        # Keras lists no devices there, but puts every tensor where it computes.
        return bool(ops.zeros(()).device.type != "cpu")
    return any(not device.startswith("cpu") for device in keras.distribution.list_devices())
