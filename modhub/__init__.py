"""modhub: cut a trained Keras classifier into one module per class; publish, install and compose modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

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
else:
    # ``import modhub`` alone costs nothing.
    __getattr__ = on_first_use(
        __name__,
        {
            "Check": "modhub.evaluation.gate",
            "Composite": "modhub.composition.composite",
            "Decomposition": "modhub.package.decomposition",
            "Evaluation": "modhub.evaluation.evaluation",
            "ModhubError": "modhub.errors",
            "Module": "modhub.module",
            "Prediction": "modhub.composition.votes",
            "Project": "modhub.project",
            "Update": "modhub.updating.result",
            "compose": "modhub.api",
            "decompose": "modhub.api",
            "evaluate": "modhub.evaluating",
            "explain": "modhub.explaining",
            "export": "modhub.exporting",
            "info": "modhub.searching",
            "install": "modhub.api",
            "load": "modhub.api",
            "lock": "modhub.api",
            "meter": "modhub.energy",
            "publish": "modhub.api",
            "search": "modhub.searching",
            "update": "modhub.api",
            "yank": "modhub.api",
        },
    )

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


def __dir__() -> list[str]:
    return sorted(__all__)
