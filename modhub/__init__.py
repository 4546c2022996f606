"""modhub: cut a trained Keras classifier into one module per class; publish, install and compose modules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modhub.api import compose, decompose, info, install, load, lock, publish, search, yank
    from modhub.composition.composite import Composite
    from modhub.composition.votes import Prediction
    from modhub.errors import ModhubError
    from modhub.module import Module
    from modhub.package.decomposition import Decomposition

__all__ = [
    "Composite",
    "Decomposition",
    "ModhubError",
    "Module",
    "Prediction",
    "compose",
    "decompose",
    "info",
    "install",
    "load",
    "lock",
    "publish",
    "search",
    "yank",
]

_HOMES = {
    "Composite": "modhub.composition.composite",
    "Decomposition": "modhub.package.decomposition",
    "ModhubError": "modhub.errors",
    "Module": "modhub.module",
    "Prediction": "modhub.composition.votes",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use: ``import modhub`` alone costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'modhub' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "modhub.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
