"""modhub: cut a trained Keras classifier into one module per class; publish, install and compose modules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modhub.api import compose, decompose, install, load, lock, publish, update, yank
    from modhub.composition.composite import Composite
    from modhub.composition.votes import Prediction
    from modhub.energy import meter
    from modhub.errors import ModhubError
    from modhub.evaluating import evaluate
    from modhub.evaluation.evaluation import Evaluation
    from modhub.evaluation.gate import Check
    from modhub.explaining import explain
    from modhub.exporting import export
    from modhub.module import Module
    from modhub.package.decomposition import Decomposition
    from modhub.project import Project
    from modhub.searching import info, search
    from modhub.updating.result import Update

__all__ = [
    "Check",
    "Composite",
    "Decomposition",
    "Evaluation",
    "ModhubError",
    "Module",
    "Prediction",
    "Project",
    "Update",
    "compose",
    "decompose",
    "evaluate",
    "explain",
    "export",
    "info",
    "install",
    "load",
    "lock",
    "meter",
    "publish",
    "search",
    "update",
    "yank",
]

_HOMES = {
    "Check": "modhub.evaluation.gate",
    "Composite": "modhub.composition.composite",
    "Decomposition": "modhub.package.decomposition",
    "Evaluation": "modhub.evaluation.evaluation",
    "ModhubError": "modhub.errors",
    "evaluate": "modhub.evaluating",
    "explain": "modhub.explaining",
    "export": "modhub.exporting",
    "Module": "modhub.module",
    "Prediction": "modhub.composition.votes",
    "Project": "modhub.project",
    "Update": "modhub.updating.result",
    "info": "modhub.searching",
    "meter": "modhub.energy",
    "search": "modhub.searching",
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
