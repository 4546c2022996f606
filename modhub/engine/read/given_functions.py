"""Activations that are not named: a function or a layer that some layer was given, ``activation=keras.ops.relu``.

They are applied to a symbolic tensor, which records what they are made of. Functions of TensorFlow take no such tensor;
those of them that Keras has under another name stand for Keras' own.
"""

from __future__ import annotations

from typing import Any, Final

from modhub.engine.library import keras

#: TensorFlow's names of functions that Keras has, by Keras' names.
_OF_TENSORFLOW: Final = {
    "softmax_v2": "softmax",
    "swish": "silu",
    "leaky_relu": "leaky_relu",
    **{name: name for name in ("relu", "relu6", "silu", "tanh", "sigmoid", "elu", "selu", "gelu", "softplus",
                               "softsign", "softmax", "exp", "identity", "log_sigmoid")},
}  # fmt: skip
_RENAMED: Final = {"exp": "exponential", "identity": "linear"}


def given_activation(layer: Any) -> Any:
    """What ``layer`` was given as its activation where that is no function of ``keras.activations``; else None."""
    function = getattr(layer, "activation", None) if isinstance(layer, keras.layers.Layer) else None
    return None if function is None or _is_named(function) else function


def _is_named(function: Any) -> bool:
    return function is getattr(keras.activations, getattr(function, "__name__", ""), None)


def outcome_of(function: Any, tensor: Any) -> Any:
    """The symbolic tensor that ``function`` makes of ``tensor``; None where it cannot be followed."""
    try:
        found = _as_kerass(function)(tensor)
    # Whatever a function does with a tensor that has no numbers.
    except Exception:
        return None
    return found if isinstance(found, keras.KerasTensor) else None


def _as_kerass(function: Any) -> Any:
    name = getattr(function, "__name__", "")
    if getattr(function, "__module__", "").split(".")[0] != "tensorflow" or name not in _OF_TENSORFLOW:
        return function
    name = _OF_TENSORFLOW[name]
    return getattr(keras.activations, _RENAMED.get(name, name))


def is_harmless(function: Any) -> bool:
    """Whether a function that a file names may be called: one of Keras' activations or operations, or a layer."""
    if function is None or isinstance(function, keras.layers.Layer):
        return True
    module = getattr(function, "__module__", "")
    return module.startswith(("keras.src.activations.", "keras.src.ops.nn", "keras.src.ops.numpy"))
