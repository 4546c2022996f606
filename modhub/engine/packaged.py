"""The engine's half of kinds of layer that installed packages bring: read from Keras, and made for it.

Only packages that a person installed are ever looked at, by what they say of themselves (``spec.packaged_layers``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.engine.library import keras
from modhub.errors import UsageError, plain
from modhub.spec.packaged_layers import PackagedLayer, provided, record_of

#: Weights by the names that the record's ``weight_shapes`` gives.
NamedWeights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class KerasHalf:
    """How Keras computes a packaged kind.

    ``layers`` are the classes that are read into it; ``read`` gives the record of one with its weights by name;
    ``make`` gives, for a record and a name, a Keras layer in float32 whose weights are attributes of the same names
    once it is built. What the layer computes must not depend on ``training``.
    """

    layers: tuple[type[keras.Layer], ...]
    read: Callable[[Any], tuple[PackagedLayer, NamedWeights]]
    make: Callable[[Any, str], keras.Layer]


@cache
def half_of(record: type[PackagedLayer]) -> KerasHalf:
    """The engine's half of a kind. Raises UsageError, kind ``bad-layer-package``, where there is none."""
    module, _, name = record.engine.partition(":")
    try:
        half = getattr(import_module(module), name)
        # It is anybody's code.
    except Exception as error:
        raise _bad(record, plain(str(error)) or type(error).__name__) from error
    if not isinstance(half, KerasHalf):
        raise _bad(record, f"it is a {type(half).__name__}")
    return half


def half_for(layer: Any) -> KerasHalf | None:
    """The half that reads a layer's very class, None where no installed package does. Raises as ``half_of``."""
    for entry in provided().values():
        half = half_of(record_of(entry))
        if type(layer) in half.layers:
            return half
    return None


def _bad(record: type[PackagedLayer], reason: str) -> UsageError:
    return UsageError(
        f"{record.engine} is not the engine's half of {record.__name__}: {reason}.",
        kind="bad-layer-package",
        hint="upgrade or uninstall the package that brings it.",
    )
