"""Compose modules of any origins into one classifier."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from modhub.composition.adapters import check_adapt
from modhub.composition.composite import Composite, parts_of
from modhub.composition.modes import check_dtype, check_mode
from modhub.composition.plan import make_plan
from modhub.installation.backend import InstalledBackend
from modhub.installation.context import RegistryUrls
from modhub.package.decomposition import Decomposition
from modhub.package.module import Module

#: A name as ``modhub install`` takes it, for example ``cifar10/r56:cat``; an alias or a range will do.
Ref = str
#: What a classifier can be composed of.
Composable = Ref | Module | Composite | Decomposition


def compose(
    refs: Composable | Iterable[Composable],
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    adapt: str | None = None,
    size: tuple[int, int] | None = None,
    mode: str = "isolated",
    dtype: str = "float32",
    reject: bool = False,
) -> Composite:
    """A classifier of modules of any origins. No training.

    ``refs``: names, modules, composites and decompositions, one or several; what is not installed is installed first.
    ``adapt`` lets modules that take other images than the composite see them through an adapter: ``resize`` stretches,
    ``crop`` keeps the middle, ``letterbox`` keeps all and fills up with black; ``print(composite.plan)`` shows which,
    and what it costs. The composite then takes images of ``size`` (height, width), by default the largest that a module
    takes. With ``reject`` it answers "none of these" when no module is positive.

    ``mode``: ``isolated`` runs every module under its own masks, exactly as if it ran alone; ``fused`` all modules of
    one network at once, under the union of their masks, in one forward pass however many they are, which is an
    approximation (``composite.agreement(images)`` measures it); ``auto`` fuses where the release records that at least
    99.9 % of labels stay, see ``print(composite.plan)``. ``dtype``: trunks compute in ``float32`` or ``bfloat16``.

    Raises NotFound, Incompatible, Conflict, UsageError.

    >>> import modhub
    >>> pets = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog", "cifar100/r20:apple"])
    >>> pets.classes
    ['cat', 'dog', 'apple']
    >>> modhub.compose([pets, "cifar10/r20:ship"], mode="fused").plan.mode
    'fused'
    """
    check_adapt(adapt, size)
    check_mode(mode)
    check_dtype(dtype)
    backend = InstalledBackend(registry, cache)
    parts = [part for each in listed(refs) for part in (each.modules if isinstance(each, Decomposition) else [each])]
    members, verifiers = parts_of(parts, backend, adapt=adapt is not None)
    plan = make_plan(members, adapt=adapt, size=size, verifiers=verifiers, mode=mode, dtype=dtype)
    return Composite(plan, backend, reject)


def listed(parts: Composable | Iterable[Composable]) -> list[Composable]:
    """One or several as a list."""
    return list(parts) if isinstance(parts, Iterable) and not isinstance(parts, str) else [parts]
