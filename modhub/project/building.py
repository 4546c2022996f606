"""From a lock to the classifier itself."""

from __future__ import annotations

from collections.abc import Mapping

from modhub.composition.composite import Backend, Composite
from modhub.composition.plan import Member, Verifier, make_plan
from modhub.module import Module
from modhub.refs import ModuleRef
from modhub.resolve import LockedProject


def composed(locked: LockedProject, modules: Mapping[ModuleRef, Module], backend: Backend) -> Composite:
    """The classifier of a lock whose modules are at hand. Raises Incompatible, Conflict."""
    column = {label: number for number, (label, _) in enumerate(locked.classes)}
    plan = make_plan(
        [Member(modules[pin.ref], label) for label, pin in locked.classes],
        adapt=locked.adapt,
        size=locked.size,
        verifiers=[
            Verifier(tuple(column[label] for label in stage.classes), tuple(modules[pin.ref] for pin in stage.modules))
            for stage in locked.stages
        ],
        mode=locked.mode,
        dtype=locked.dtype,
    )
    return Composite(plan, backend, locked.reject)
