"""From a lock to the classifier itself, and to one Keras file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modhub.composition.composite import Backend, Composite
from modhub.composition.plan import Member, Verifier, make_plan
from modhub.errors import StorageError, UsageError
from modhub.module import Module
from modhub.refs import ModuleRef
from modhub.registry import files
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
    )
    return Composite(plan, backend, locked.reject)


def check_out(out: Path) -> None:
    """Raise UsageError, before any work, when a Keras model cannot be written to ``out``."""
    if out.suffix != ".keras":
        raise UsageError(
            f"{str(out)!r} is not the name of a Keras model, which ends in .keras.", hint=f"use {out.stem}.keras."
        )
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UsageError(
            f"{out} is a folder." if out.is_dir() else f"there is no folder {out.parent}.",
            hint="name a file in a folder that exists.",
        )


def write_keras(composite: Composite, out: Path) -> None:
    """Write the classifier as one Keras model, all of it or nothing; equal ones have equal bytes.

    Raises StorageError.
    """
    from modhub.engine.artifacts import described, keras_bytes

    data = keras_bytes(composite.to_keras(), described(composite.plan))
    try:
        files.overwrite(out.absolute(), data, durable=False)
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror or error}.",
            kind="not-writable",
            hint="free some space, or choose another place.",
            path=str(out),
        ) from error
