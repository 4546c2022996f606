"""The networks behind what is to be made compact, each with the classes that are wanted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modhub.composition.composite import Composite
from modhub.data.given import ChannelNumbers
from modhub.data.rows import with_shape
from modhub.engine.read.check import check_weights_finite
from modhub.engine.read.inputs import trained_contract
from modhub.engine.read.reader import read_model
from modhub.errors import Incompatible, UsageError
from modhub.package.decomposition import trunk_fingerprint
from modhub.package.module import Module, Weights
from modhub.package.weights_blob import weights_digest
from modhub.spec.architecture import Architecture
from modhub.spec.contract import check_same_input, input_text
from modhub.spec.input_contract import InputContract
from modhub.spec.keras_model import KerasModel


@dataclass(frozen=True, eq=False)
class Trunk:
    """A network and which outputs of its head are wanted: ``columns`` of its classes, whose labels stand at ``places``
    among those of the whole classifier. ``fingerprint`` is that of the origin, ``modules`` are the digests of the
    modules that were given."""

    name: str
    fingerprint: str
    architecture: Architecture
    weights: Weights
    contract: InputContract
    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    modules: tuple[str, ...] = ()


def trunk_of_model(
    model: KerasModel,
    name: str,
    images: NDArray[Any],
    *,
    rescale: float,
    mean: ChannelNumbers | None,
    std: ChannelNumbers | None,
) -> Trunk:
    """A Keras model, all of whose classes are wanted. Raises UnsupportedModel."""
    reading = read_model(model)
    check_weights_finite(reading.weights)
    images = with_shape(images, reading.architecture.input_shape)
    contract = trained_contract(images, reading.architecture.input_shape, rescale=rescale, mean=mean, std=std)
    fingerprint = trunk_fingerprint(reading.architecture, weights_digest(reading.weights), contract)
    columns = np.arange(len(reading.weights["head/bias"]))
    return Trunk(name, fingerprint, reading.architecture, reading.weights, contract, columns, columns)


def trunks_of_composite(composite: Composite) -> list[Trunk]:
    """The networks of a composite. Raises Incompatible when they take different images or modules were
    updated, and UsageError for stages."""
    plan = composite.plan
    if plan.recipe.stages:
        raise UsageError(
            "a composite whose answers are decided again by verifying modules is not one network.",
            kind="stages",
            hint="make its classes compact without them, and verify the compact modules instead.",
        )
    found = []
    for places in plan.groups():
        modules = [plan.modules[place] for place in places]
        _check_unchanged(modules)
        _check_distinct([module.index for module in modules], [plan.labels[place] for place in places])
        origin = modules[0].origin
        columns = np.array([module.index for module in modules], np.int64)
        found.append(
            Trunk(
                origin.name,
                origin.fingerprint,
                origin.architecture,
                origin.weights,
                origin.contract,
                columns,
                np.array(places, np.int64),
                tuple(module.digest for module in modules),
            )
        )
    for other in found[1:]:
        check_same_input(found[0].name, found[0].contract, other.name, other.contract)
    if found[0].contract.shape != plan.contract.shape:
        raise Incompatible(
            f"the classifier takes {input_text(plan.contract)}, and its network {found[0].name} takes "
            f"{input_text(found[0].contract)}: what brings images from one to the other is no part of a network.",
            kind="adapter",
            hint="compose it without adapt and size, of modules that take the same images.",
        )
    return found


def _check_unchanged(modules: Sequence[Module]) -> None:
    """A compact network is made of its origin's head, which says nothing of what updates did to a module's own."""
    for module in modules:
        for step in module.derived_from:
            if step.strategy is not None:
                raise Incompatible(
                    f"{module.ref} was updated ({step.strategy}) after it was decomposed, and a compact network would "
                    "be made as if it never had been.",
                    kind="updated-module",
                    hint="make the network compact first, and update its modules.",
                    module=module.ref,
                    strategy=step.strategy,
                )


def _check_distinct(indices: Sequence[int], labels: Sequence[str]) -> None:
    for place, index in enumerate(indices):
        first = indices.index(index)
        if first < place:
            raise Incompatible(
                f"{labels[first]!r} and {labels[place]!r} are the same output of one network.",
                kind="same-output",
                hint="leave one of them out.",
            )
