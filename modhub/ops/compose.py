"""Compose modules of any origins into one classifier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from modhub.composition.composite import Composite, composite_of_parts
from modhub.composition.recipe import Adapt, Dtype, GivenSettings, Mode, Size, Voting
from modhub.installation.backend import InstalledBackend
from modhub.installation.context import RegistryUrls
from modhub.ops.load import kept_classifier
from modhub.package.decomposition import Decomposition
from modhub.package.module import Module
from modhub.spec.folder_refs import classifier_ref, path_ref

#: A name as ``modhub install`` takes it, for example ``cifar10/r56:cat``; an alias or a range will do.
Ref = str
#: What a classifier can be composed of; a path is that of a folder of modules, or of a classifier's file.
Composable = Ref | Path | Module | Composite | Decomposition


def compose(
    refs: Composable | Iterable[Composable],
    *,
    registry: RegistryUrls = None,
    cache: str | Path | None = None,
    adapt: Adapt | None = None,
    size: Size | None = None,
    mode: Mode | None = None,
    dtype: Dtype | None = None,
    vote: Voting | None = None,
    reject: bool | None = None,
) -> Composite:
    """A classifier of modules of any origins. No training.

    ``refs``: names, modules, composites and decompositions, one or several; what is not installed is installed first. A
    folder that ``modhub decompose`` wrote can be tried out before it is published: ``"net.modules"``,
    ``"net.modules:cat"``, or a ``Path``; so can a classifier that was saved, ``"pets.modhub"``.
    ``adapt`` lets modules that take other images than the composite see them through an adapter: ``resize`` stretches,
    ``crop`` keeps the middle, ``letterbox`` keeps all and fills up with black; ``print(composite.plan)`` shows which,
    and what it costs. The composite then takes images of ``size`` (height, width), by default the largest that a module
    takes. With ``reject`` it answers "none of these" when no module is positive.

    ``mode``: ``isolated`` runs every module under its own masks, exactly as if it ran alone; ``fused`` all modules of
    one network at once, under the union of their masks, in one forward pass however many they are, which is an
    approximation (``composite.agreement(images)`` measures it); ``auto`` fuses where the release records that at least
    99.9 % of labels stay, see ``print(composite.plan)``. ``dtype``: trunks compute in ``float32`` or ``bfloat16``.

    ``vote``: modules of several networks vote ``scaled``, each margin divided by its network's ``margin_scale``, since
    networks differ in how large their margins are; ``raw`` counts margins as they are, as the paper does. Where a
    release records no scale, all vote raw, and the plan says so.

    What is not named stays as the composites among ``refs`` have it, and is ``isolated``, ``float32``, ``scaled``,
    without adapters and without rejecting where there are none. Where two composites differ in it, that is a Conflict,
    kind ``settings-differ``.

    Raises NotFound, Incompatible, Conflict, UsageError.

    >>> import modhub
    >>> pets = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog", "cifar100/r20:apple"])
    >>> pets.classes
    ['cat', 'dog', 'apple']
    >>> modhub.compose([pets, "cifar10/r20:ship"], mode="fused").plan.settings.mode
    'fused'
    """
    parts = [part for each in listed(refs) for part in _parts(each, registry, cache)]
    given = GivenSettings(adapt=adapt, size=size, reject=reject, mode=mode, dtype=dtype, vote=vote)
    return composite_of_parts(parts, InstalledBackend(registry, cache), given)


def _parts(
    part: Ref | Module | Composite | Decomposition, registry: RegistryUrls, cache: str | Path | None
) -> Sequence[Ref | Module | Composite]:
    """What one part brings into a classifier: a file what it keeps, labels, stages and settings too."""
    if isinstance(part, Decomposition):
        return part.modules
    kept = classifier_ref(part) if isinstance(part, str) else None
    if kept is None:
        return [part]
    composite = kept_classifier(kept.file, registry=registry, cache=cache)
    return [composite if kept.label is None else composite.restrict([kept.label])]


def listed(parts: Composable | Iterable[Composable]) -> list[Ref | Module | Composite | Decomposition]:
    """One or several as a list, paths as refs."""
    given = list(parts) if isinstance(parts, Iterable) and not isinstance(parts, str) else [parts]
    return [path_ref(each) if isinstance(each, Path) else each for each in given]
