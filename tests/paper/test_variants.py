"""The benchmark's fast way of running many variants of a module gives what a composite of each would answer."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import variants

import modhub
from modhub.decomposition.backtrack import backtracked
from modhub.engine.run.isolated import OriginRunner
from modhub.package.module import Module, PackedMasks


def quantile(module: Module, delta: str) -> Module:
    origin = module.origin
    keep = backtracked(
        origin.architecture,
        origin.weights,
        module.head,
        module.keep,
        backtrack="last-conv",
        rule="text",
        delta=delta,
    )
    return replace(module, keep=PackedMasks.of(keep))


def test_variants_answer_as_composites() -> None:
    modules = modhub.compose(["cifar10/r20:cat", "cifar10/r20:dog", "cifar10/r20:ship"]).modules
    sets = [modules, *([quantile(module, delta) for module in modules] for delta in ("q75", "q50"))]
    sites = list(modules[0].keep)
    assert 0 < variants.first_difference(sites, [[m.keep for m in one] for one in sets]) < len(sites)
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    fast = variants.margins(modules[0].origin, sites, sets, images, batch_size=5)
    for own, one in zip(fast, sets, strict=True):
        np.testing.assert_allclose(own, OriginRunner(one[0].origin, one).margins(images, 256), atol=1e-4)
    assert np.abs(fast[0] - fast[2]).max() > 0.1, "the variants do differ"
