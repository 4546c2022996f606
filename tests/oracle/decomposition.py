"""All stages for one class after another, with what each stage added and removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modhub.spec.architecture import Architecture
from tests.oracle import masks
from tests.oracle.backtracking import backtrack
from tests.oracle.forward import features, logits
from tests.oracle.masks import Masks, Observation


@dataclass(frozen=True)
class OracleModule:
    """The recogniser of one class. ``stages`` counts nodes a site: concern, tangled, last_conv, input, kept."""

    concern: Masks
    keep: Masks
    kernel: np.ndarray
    bias: np.ndarray
    stages: dict[str, tuple[int, ...]]
    concerned: int
    unconcerned: int
    jaccard: float | None


def decompose(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    observation: Observation,
    *,
    observe: str,
    reach: str,
    rule: str,
    delta: float | str,
) -> list[OracleModule]:
    """One module a class. ``reach`` is ``none``, ``last-conv`` or ``input``."""
    sites = masks.sites(architecture, observe)
    modules = []
    for c in range(len(observation.counts)):
        kernel, bias = masks.two_outputs(weights["head/kernel"], weights.get("head/bias"), c)
        concern = masks.concern(observation, c, sites)
        tangled = masks.tangle(observation, c, concern)
        last_conv = keep = tangled
        if reach != "none":
            last_conv = keep = backtrack(
                architecture, weights, kernel, tangled, reach="last-conv", rule=rule, delta=delta
            )
        if reach == "input":
            keep = backtrack(architecture, weights, kernel, tangled, reach="input", rule=rule, delta=delta)
        steps = [concern, tangled, last_conv, keep]
        nodes = [[int(sum(step[site].flat)) for site in sites] for step in steps]
        stages = {
            "concern": tuple(nodes[0]),
            "tangled": tuple(after - before for before, after in zip(nodes[0], nodes[1], strict=True)),
            "last_conv": tuple(before - after for before, after in zip(nodes[1], nodes[2], strict=True)),
            "input": tuple(before - after for before, after in zip(nodes[2], nodes[3], strict=True)),
            "kept": tuple(nodes[3]),
        }
        modules.append(
            OracleModule(
                concern=concern,
                keep=keep,
                kernel=kernel,
                bias=bias,
                stages=stages,
                concerned=observation.counts[c],
                unconcerned=masks.unconcerned_taken(observation, c),
                jaccard=masks.jaccard(observation, keep),
            )
        )
    return modules


def margin(
    architecture: Architecture, weights: Mapping[str, np.ndarray], module: OracleModule, image: np.ndarray
) -> float:
    """``(w_c - w_uc) . h + (b_c - b_uc)`` with the module's masks on."""
    h = features(architecture, weights, image, module.keep)
    concerned, unconcerned = logits(module.kernel, module.bias, h)
    return concerned - unconcerned
