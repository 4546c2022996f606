"""A composite's Keras model as a TensorFlow function: for SavedModel, and on the way to ONNX.

Keras files need masks in the shape of standard layers; a graph may say what it means, a product with a constant. That
makes a third of the nodes, and ONNX converts and runs several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modhub.engine.keras_backend import install_line, is_installed
from modhub.engine.library import keras
from modhub.errors import UnsupportedModel


def traced(model: keras.Model) -> tuple[Any, Any]:
    """A tf.function from raw images float32 (N, H, W, C), or arrays, to margins float32 (N, k), and its TensorSpec.

    Raises UnsupportedModel, kind ``needs-tensorflow``, where Keras runs on another backend.
    """
    if keras.backend.backend() != "tensorflow":
        raise UnsupportedModel(
            f"SavedModel and ONNX are written from TensorFlow's graph, but Keras runs on {keras.backend.backend()}.",
            kind="needs-tensorflow",
            hint=f"{_way_to_tensorflow()}, or choose --format keras.",
            backend=keras.backend.backend(),
        )
    import tensorflow as tf  # keras may run on another backend

    plain = keras.models.clone_model(model, clone_function=_plain)
    given = model.inputs[0]
    images = tf.TensorSpec((None, *given.shape[1:]), tf.float32, name=given.name)

    def margins(images: Any) -> Any:
        return tf.identity(plain(images, training=False), name="margins")

    return tf.function(margins, input_signature=[images], autograph=False), images


def _way_to_tensorflow() -> str:
    choose = "set KERAS_BACKEND=tensorflow"
    return choose if is_installed("tensorflow") else f"{install_line('tensorflow')} and {choose}"


def write_saved_model(model: keras.Model, classes: Sequence[str], folder: Path) -> None:
    """Write a SavedModel with two signatures.

    ``serving_default``: the input, by the name that the model's has, to ``margins`` (N, k) and ``labels`` (N,),
    strings. ``classes``: nothing to ``classes`` (k,), strings.
    """
    import tensorflow as tf

    margins, images = traced(model)
    names = [name.encode() for name in classes]
    served = tf.Module()
    served.held = [variable.value for variable in model.variables]

    def serve(images: Any) -> dict[str, Any]:
        found = margins(images)
        return {"margins": found, "labels": tf.gather(tf.constant(names), tf.argmax(found, axis=1))}

    def listed() -> dict[str, Any]:
        return {"classes": tf.constant(names)}

    signatures = {
        "serving_default": tf.function(serve, input_signature=[images], autograph=False),
        "classes": tf.function(listed, input_signature=[], autograph=False),
    }
    tf.saved_model.save(served, str(folder), signatures=signatures)


class _Product(keras.layers.Layer):
    """What a mask's EinsumDense computes, as a product with its kernel."""

    def __init__(self, mask: keras.layers.EinsumDense) -> None:
        super().__init__(name=mask.name, dtype="float32", trainable=False)
        self._mask = mask

    def call(self, images: Any) -> Any:
        return images * self._mask.kernel[None]


class _Normalized(keras.layers.Layer):
    """What a Normalization computes, of constants: its own are tensors that ONNX would ask for as inputs."""

    def __init__(self, layer: keras.layers.Normalization) -> None:
        super().__init__(name=layer.name, dtype="float32", trainable=False)
        self._mean = np.asarray(layer.mean, np.float32)
        self._deviation = np.maximum(
            np.sqrt(np.asarray(layer.variance, np.float32)), np.float32(keras.config.epsilon())
        )

    def call(self, images: Any) -> Any:
        return (images - self._mean) / self._deviation


def _plain(layer: keras.Layer) -> keras.Layer:
    if type(layer) is keras.layers.Normalization:
        return _Normalized(layer)
    if isinstance(layer, keras.layers.EinsumDense) and _is_product(layer.equation):
        return _Product(layer)
    return layer


def _is_product(equation: str) -> bool:
    """``bhwc,hwc->bhwc``: every element times one of its own."""
    factors, result = equation.split("->")
    image, mask = factors.split(",")
    return image == result == f"b{mask}"
