"""Overlap of masks on packed bits against boolean masks, one pair at a time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.decomposition.jaccard import jaccard
from modhub.evaluation.overlap import between_modules, kept_per_layer, kept_shares
from modhub.package.module import PackedMasks
from tests.composition.made_by_hand import module


def masks(random: np.random.Generator, share: float) -> dict[str, np.ndarray]:
    """Sites of sizes that do not fill whole bytes."""
    return {site: random.random(shape) < share for site, shape in {"a": (3, 3, 3), "b": (5,), "c": (2, 2, 9)}.items()}


@given(st.lists(st.sampled_from([0.0, 0.3, 0.9, 1.0]), min_size=1, max_size=5), st.integers(0, 10**6))
@settings(deadline=None)
def test_every_pair_is_the_jaccard_index_of_its_masks(shares, seed):
    random = np.random.default_rng(seed)
    plain = [masks(random, share) for share in shares]
    modules = [module(f"cifar10/r56:class-{i}", keep=PackedMasks.of(mask)) for i, mask in enumerate(plain)]
    found = between_modules(modules)
    expected = [[jaccard(one, other) for other in plain] for one in plain]
    assert np.allclose(found, expected, rtol=1e-12)


def test_modules_of_different_networks_cannot_be_compared():
    one, two, other = (module(ref) for ref in ("cifar10/r56:cat", "cifar10/r56:dog", "cifar100/r20:apple"))
    found = between_modules([one, other, two])
    assert found[0, 2] == 1.0
    assert np.isnan(found[0, 1])
    assert np.isnan(found[1, 2])
    assert found[1, 1] == 1.0


def test_kept_nodes_per_layer():
    random = np.random.default_rng(1)
    plain = [masks(random, share) for share in (0.2, 0.8)]
    modules = [module(f"cifar10/r56:class-{i}", keep=PackedMasks.of(mask)) for i, mask in enumerate(plain)]
    rows = kept_per_layer([*modules, module("cifar100/r20:apple")])
    assert [(row.origin, row.site, row.nodes) for row in rows] == [
        ("cifar10/r56", "a", 27),
        ("cifar10/r56", "b", 5),
        ("cifar10/r56", "c", 36),
        ("cifar100/r20", "relu", 8),
    ]
    for row in rows[:3]:
        kept = [mask[row.site].mean() for mask in plain]
        assert (row.mean, row.least, row.most) == pytest.approx((np.mean(kept), min(kept), max(kept)))
    every = [np.concatenate([part.ravel() for part in mask.values()]).mean() for mask in plain]
    assert kept_shares(modules) == pytest.approx(every)


def test_forty_modules_of_a_large_network_take_moments():
    random = np.random.default_rng(0)
    shapes = {f"relu_{number}": (32, 32, 16) for number in range(20)}
    bits = {site: random.integers(0, 256, 32 * 32 * 2, dtype=np.uint8) for site in shapes}
    modules = [module(f"cifar10/r56:class-{i}", keep=PackedMasks(bits, shapes)) for i in range(40)]
    start = time.process_time()
    assert (between_modules(modules) == 1.0).all()
    assert time.process_time() - start < 2
