"""A plan as one keras.Model made of standard layers only, so that it loads in an interpreter without modhub.

Every layer states its dtype, because the process's policy (mixed precision, another floatx) would decide otherwise.
Masks are frozen EinsumDense layers that multiply by a constant: a Lambda or a custom layer would need code to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from modhub.composition.plan import Plan
from modhub.engine.export.formats import input_name
from modhub.engine.library import keras, ops
from modhub.engine.run.adapters import through_layers, turned_around
from modhub.engine.run.isolated import equal_masks
from modhub.engine.run.masks import on_all_sites, union_of
from modhub.engine.run.network import Network, is_bgr
from modhub.errors import UsageError
from modhub.package.module import Masks, Module
from modhub.spec.input_contract import InputContract
from modhub.spec.keras_model import KerasModel

_AXES = "hwcd"


def to_keras(plan: Plan, *, name: str = "composite") -> KerasModel:
    """Raw images (N, H, W, C), or arrays, to the vote's margins float32 (N, k), columns in the plan's order."""
    if plan.settings.dtype != "float32":
        raise UsageError(
            f"a composite whose trunks compute in {plan.settings.dtype} cannot be exported.",
            kind="reduced-export",
            hint="export composite.in_mode(mode), or with --dtype float32: bfloat16 is a way to run, not to store.",
            dtype=plan.settings.dtype,
        )
    images = keras.Input(plan.contract.shape, dtype="float32", name=input_name(plan.contract))
    columns: list[Any] = [None] * len(plan.recognisers)
    for number, (positions, way) in enumerate(zip(plan.groups(), plan.ways, strict=True)):
        modules = [plan.recognisers[position] for position in positions]
        adapter, prefix = plan.adapter(modules[0]), f"o{number}_"
        own = images if adapter is None else through_layers(images, adapter, prefix)
        _add_origin(own, prefix, modules, positions, columns, plan.divisors, fused=way.fused)
    members = columns[: len(plan.labels)]
    margins = members[0] if len(members) == 1 else keras.layers.Concatenate(dtype="float32", name="margins")(members)
    start = len(members)
    for verifier in plan.recipe.stages:
        votes = keras.layers.Concatenate(dtype="float32")(columns[start : start + len(verifier.columns)])
        margins = _decided(margins, votes, verifier.columns)
        start += len(verifier.columns)
    return cast(KerasModel, keras.Model(images, margins, name=name))


def _decided(margins: Any, votes: Any, columns: Sequence[int]) -> Any:
    """One stage of ``votes.decided``: the margins (N, k) in which ``votes`` (N, columns) give out those of a stage."""
    width = margins.shape[1]
    # Not argmax, whose handling of -0.0 takes operators that ONNX lacks.
    winner = ops.top_k(margins, 1)[1]
    asked = ops.any(ops.equal(ops.cast(winner, "int32"), np.array([columns], np.int32)), axis=1, keepdims=True)
    here = ops.take(margins, np.array(columns, np.int32), axis=1)
    largest_first = -ops.sort(-here, axis=1)
    rank = ops.argsort(ops.argsort(-votes, axis=1), axis=1)
    given_out = ops.take_along_axis(largest_first, rank, axis=1)
    place = {column: width + position for position, column in enumerate(columns)}
    order = np.array([place.get(column, column) for column in range(width)], np.int32)
    return ops.where(asked, ops.take(ops.concatenate([margins, given_out], axis=1), order, axis=1), margins)


def _add_origin(
    images: Any,
    prefix: str,
    modules: list[Module],
    columns: list[int],
    outputs: list[Any],
    divisors: Sequence[float],
    *,
    fused: bool,
) -> None:
    origin, modules = modules[0].origin, on_all_sites(modules)
    network = Network(origin.architecture, origin.weights, prefix=prefix)
    x = _preprocessed(images, origin.contract, prefix)
    every = list(range(len(modules)))
    groups = [(union_of(modules), every)] if fused else [(modules[g[0]].keep, g) for g in equal_masks(modules)]
    for number, (masks, group) in enumerate(groups):
        features = _masked(network, x, masks, f"{prefix}m{number}_")
        for position in group:
            head = modules[position].head
            dense = keras.layers.Dense(1, trainable=False, dtype="float32", name=f"margin_{columns[position]}")
            outputs[columns[position]] = dense(features)
            divisor = divisors[columns[position]]
            weights = (head.margin_kernel[:, None] / divisor, np.array([head.margin_bias]) / divisor)
            dense.set_weights([weight.astype(np.float32) for weight in weights])


def _preprocessed(images: Any, contract: InputContract, prefix: str) -> Any:
    """``(x * rescale - mean) / std`` as Rescaling layers, behind one that turns RGB into BGR where that is wanted."""
    x = turned_around(images, prefix) if is_bgr(contract) else images
    if contract.rescale != 1.0:
        x = keras.layers.Rescaling(contract.rescale, dtype="float32", name=f"{prefix}rescale")(x)
    if contract.mean is not None:
        offset = [-value for value in contract.mean]
        x = keras.layers.Rescaling(1.0, _plain(offset), dtype="float32", name=f"{prefix}mean")(x)
    if contract.std is not None:
        scale = [1.0 / value for value in contract.std]
        x = keras.layers.Rescaling(_plain(scale), dtype="float32", name=f"{prefix}std")(x)
    return x


def _plain(numbers: list[float]) -> Any:
    return numbers[0] if len(numbers) == 1 else numbers


def _masked(network: Network, images: Any, masks: Masks, prefix: str) -> Any:
    number = 0

    def visit(call: str, output: Any) -> Any:
        nonlocal number
        if call not in masks or (mask := masks[call]).all():
            return output
        number += 1
        return _mask_layer(mask, f"{prefix}mask{number}")(output)

    return network.run(images, visit)


def _mask_layer(mask: NDArray[np.bool_], name: str) -> keras.Layer:
    axes = _AXES[: mask.ndim]
    layer = keras.layers.EinsumDense(
        f"b{axes},{axes}->b{axes}", output_shape=mask.shape, trainable=False, dtype="float32", name=name
    )
    layer.build((None, *mask.shape))
    layer.set_weights([mask.astype(np.float32)])
    return layer
