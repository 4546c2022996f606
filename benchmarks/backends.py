"""What the benchmarks ask of the backend that Keras runs on: a bare pass, the device's name, its peak of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def bare_pass(model: Any, rescale: float) -> Callable[[Any], Any]:
    """``model`` on raw images uint8 (B, H, W, C), compiled as the backend can: the least that an answer costs."""
    from keras import ops

    def run(images: Any) -> Any:
        return model(ops.cast(images, "float32") * np.float32(rescale), training=False)

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)
        step = tf.function(run, input_signature=[signature], jit_compile=False, autograph=False)
    elif backend == "jax":
        import jax

        step = jax.jit(run)
    else:
        import torch

        def step(images: Any) -> Any:
            with torch.no_grad():
                return run(ops.convert_to_tensor(images))

    return lambda images: ops.convert_to_numpy(step(images))


def named() -> dict[str, str]:
    """The backend and what it computes on, as figures keep them."""
    return {"backend": keras.backend.backend(), "device": device()}


def device() -> str:
    """The name of what computes."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(found[0])["device_name"]) if found else "cpu"


def device_peak() -> int:
    """The most bytes that this process had on the accelerator at once; 0 without one."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return int((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))
    if backend == "torch":
        import torch

        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]) if found else 0
