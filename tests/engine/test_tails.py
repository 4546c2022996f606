"""The network's beginning runs once, up to where masks first differ, and answers stay those of each module alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from modhub.engine.run import shared_prefix
from modhub.engine.run.isolated import OriginRunner
from modhub.engine.run.network import Network
from modhub.engine.run.shared_prefix import Tails, first_difference, share_before
from modhub.engine.run.trunks import trunk_of
from modhub.package.decomposition import with_digests
from modhub.package.module import PackedMasks
from tests.engine.test_fused import conv_modules
from tests.engine.test_running import IMAGES, margins_by_hand, masked_modules
from tests.engine.test_watched import seldom_removed
from tests.small_origins import quadrant_modules, with_random_masks
from tests.thinning import spread


def late_modules():
    """Modules with one random mask in common, but for the last hidden layer, where each has its own."""
    modules = quadrant_modules().modules
    common = with_random_masks(modules[0], 5).keep
    made = []
    for seed, module in enumerate(modules):
        hidden = np.random.default_rng(seed).random(common["hidden:0"].shape) < 0.6
        made.append(replace(module, keep=PackedMasks.of({**common, "hidden:0": hidden})))
    return list(with_digests(made))


def positions(modules):
    return {call.id: position for position, call in enumerate(modules[0].origin.architecture.calls)}


@pytest.mark.parametrize(
    ("make", "batch_size"), spread(list(product([masked_modules, conv_modules, late_modules], [1, 7, 256])), 3)
)
def test_behind_one_beginning_every_module_answers_as_alone(make, batch_size):
    modules = make()
    runner = OriginRunner(modules[0].origin, modules)
    found = np.full((len(IMAGES), len(modules)), np.nan, np.float32)
    runner._fill_each(IMAGES, batch_size, found)
    expected = np.stack([margins_by_hand(module, IMAGES) for module in modules], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)


def test_masks_first_differ_where_they_do():
    late = late_modules()
    architecture = late[0].origin.architecture
    assert first_difference(architecture, [module.keep for module in late]) == positions(late)["hidden:0"]
    early = masked_modules()
    assert first_difference(architecture, [module.keep for module in early]) == positions(early)["stem:0"]
    assert first_difference(architecture, [late[0].keep] * 2) == len(architecture.calls)


def test_the_share_of_the_work_before_a_call_by_hand():
    """8x8 images: stem 3x3 to 5, pooling, a 3x3 convolution of 4x4, two elementwise calls and the sum, dense to 24."""
    modules = late_modules()
    architecture, place = modules[0].origin.architecture, positions(modules)
    stem, pool, convolution = 8 * 8 * 5 * 9, 4 * 4 * 5, 4 * 4 * 5 * 9 * 5
    elementwise, hidden = 3 * 4 * 4 * 5, 24 * 80
    flatten = 80
    every = stem + pool + convolution + elementwise + flatten + hidden
    assert share_before(architecture, 0) == 0
    assert share_before(architecture, place["pool:0"]) == pytest.approx(stem / every)
    assert share_before(architecture, place["hidden:0"]) == pytest.approx(1 - hidden / every)
    assert share_before(architecture, len(architecture.calls)) == 1


def test_the_beginning_runs_once_a_batch(monkeypatch):
    modules = late_modules()
    origin = modules[0].origin
    ran = []
    advance = Network.advance

    def counting(self, tensors, visit=None, *, start=0, stop=None):
        ran.append((start, stop))
        return advance(self, tensors, visit, start=start, stop=stop)

    monkeypatch.setattr(Network, "advance", counting)
    # Without compiling, so that every run is seen.
    monkeypatch.setattr(shared_prefix, "compiled", lambda function, after=0: function)
    running = Tails(trunk_of(origin), origin.contract, [module.keep for module in modules])
    given = [(place.start, number) for place, number, _ in running.features(IMAGES, 20)]
    assert given == [(first, number) for first in (0, 20) for number in range(4)]
    at = positions(modules)["hidden:0"]
    assert ran == [(0, at), *[(at, None)] * 4] * 2


def test_they_run_where_hits_are_too_many_and_masks_differ_late():
    """Every image activates what a module lacks, so that the shared pass would save nothing; else they are not made."""
    late, seldom = late_modules(), list(seldom_removed())
    origin = late[0].origin
    runners = [OriginRunner(origin, modules) for modules in (late, seldom)]
    for runner in runners:
        runner.margins(IMAGES, 8)
    assert ["_tails" in vars(runner) for runner in runners] == [True, False]
    assert runners[0]._most_hits == pytest.approx(
        0.75 * (1 - share_before(origin.architecture, positions(late)["hidden:0"]))
    )


def test_in_bfloat16_tensors_pass_between_both_parts_unchanged():
    modules = late_modules()
    origin = modules[0].origin
    masks = [module.keep for module in modules]
    trunk = trunk_of(origin, "bfloat16")
    found = {number: features for _, number, features in Tails(trunk, origin.contract, masks).features(IMAGES, 64)}
    for number, module in enumerate(modules):
        alone = OriginRunner(origin, [module], dtype="bfloat16")
        whole = {n: f for _, n, f in alone._tails.features(IMAGES, 64)}[0]
        np.testing.assert_allclose(found[number], whole, atol=1e-2, rtol=1e-2)
        assert found[number].dtype == np.float32
