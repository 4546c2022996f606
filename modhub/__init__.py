"""modhub: cut a trained Keras classifier into one module per class; publish, install and compose modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modhub.deferred import on_first_use

if TYPE_CHECKING:
    from modhub.composition.composite import Composite
    from modhub.composition.votes import Prediction
    from modhub.energy.machine import meter
    from modhub.errors import ModhubError
    from modhub.evaluation.evaluation import Evaluation
    from modhub.ops.check import Check
    from modhub.ops.compose import compose
    from modhub.ops.decompose import decompose
    from modhub.ops.evaluate import evaluate
    from modhub.ops.explain import explain
    from modhub.ops.export import export
    from modhub.ops.install import install, lock
    from modhub.ops.publish import load, publish, yank
    from modhub.ops.search import info, search
    from modhub.ops.update import update
    from modhub.package.decomposition import Decomposition
    from modhub.package.module import Module
    from modhub.project.project import Project
    from modhub.updating.result import Update
else:
    # ``import modhub`` alone costs nothing.
    __getattr__ = on_first_use(
        __name__,
        {
            "Check": "modhub.ops.check",
            "Composite": "modhub.composition.composite",
            "Decomposition": "modhub.package.decomposition",
            "Evaluation": "modhub.evaluation.evaluation",
            "ModhubError": "modhub.errors",
            "Module": "modhub.package.module",
            "Prediction": "modhub.composition.votes",
            "Project": "modhub.project.project",
            "Update": "modhub.updating.result",
            "compose": "modhub.ops.compose",
            "decompose": "modhub.ops.decompose",
            "evaluate": "modhub.ops.evaluate",
            "explain": "modhub.ops.explain",
            "export": "modhub.ops.export",
            "info": "modhub.ops.search",
            "install": "modhub.ops.install",
            "load": "modhub.ops.publish",
            "lock": "modhub.ops.install",
            "meter": "modhub.energy.machine",
            "publish": "modhub.ops.publish",
            "search": "modhub.ops.search",
            "update": "modhub.ops.update",
            "yank": "modhub.ops.publish",
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
