"""The shared pass: hits as by hand, answers as of each module alone, also where a removed node is negative."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from modhub import compose
from modhub.engine.run import isolated, shared_pass
from modhub.engine.run.isolated import OriginRunner, _filled
from modhub.engine.run.network import Network, preprocess
from modhub.engine.run.shared_pass import WatchedNetwork, is_worth_watching
from modhub.package.decomposition import with_digests
from modhub.package.module import PackedMasks
from tests.small_origins import decomposed, quadrant_modules, quadrants, quadrants_model, with_random_masks
from tests.thinning import spread

IMAGES = np.concatenate([quadrants(each=8, seed=9).x, np.zeros((3, 8, 8, 1), np.uint8)])


def nearly_full(module, seed, removed=2):
    """The module without a few nodes, so that some images miss them and others do not."""
    random = np.random.default_rng(seed)
    keep = {site: np.ones_like(mask) for site, mask in module.keep.items()}
    for site in keep:
        keep[site].flat[random.choice(keep[site].size, min(removed, keep[site].size - 1), replace=False)] = False
    return with_digests([replace(module, keep=PackedMasks.of(keep))])[0]


def few_removed():
    return [nearly_full(module, seed) for seed, module in enumerate(quadrant_modules().modules)]


def conv_modules():
    """Masks on the outputs of convolutions, where a removed node may be negative."""
    decomposition = decomposed(quadrants_model(), quadrants(), "shapes/quadrants", observe="conv", backtrack="none")
    return [nearly_full(module, seed + 10) for seed, module in enumerate(decomposition.modules)]


def seldom_removed(modules=None, images=IMAGES):
    """Modules that each lack one node, a different one, which few of the images activate."""
    modules = quadrant_modules().modules if modules is None else modules
    seen = outputs_of(modules[0].origin, images)
    counts = {
        (site, node): int((seen[site].reshape(len(images), -1)[:, node] != 0).sum())
        for site, mask in modules[0].keep.items()
        for node in range(mask.size)
    }
    few = [place for place, count in counts.items() if 0 < count <= len(images) / 3]
    made = []
    for module, (lacking, node) in zip(modules, few[:: len(few) // len(modules)], strict=False):
        keep = {site: np.ones_like(mask) for site, mask in module.keep.items()}
        keep[lacking].flat[node] = False
        made.append(replace(module, keep=PackedMasks.of(keep)))
    return with_digests(made)


def outputs_of(origin, images):
    """What every layer call of the whole network gives, by call."""
    seen = {}

    def look(call, output):
        seen[call] = np.asarray(output)
        return output

    Network(origin.architecture, origin.weights).run(preprocess(images, origin.contract), look)
    return seen


def hits_by_hand(modules, images):
    seen = outputs_of(modules[0].origin, images)
    return np.array(
        [
            [any((seen[site][n][~mask] != 0).any() for site, mask in module.keep.items()) for module in modules]
            for n in range(len(images))
        ]
    )


def test_a_removed_node_that_is_negative_is_a_hit():
    one, two = conv_modules()[:2]
    seen = outputs_of(one.origin, IMAGES)
    full = {site: np.ones_like(mask) for site, mask in one.keep.items()}
    site = next(site for site in full if (seen[site] < 0).any())
    node = np.unravel_index((seen[site] < 0).sum(axis=0).argmax(), full[site].shape)
    full[site][node] = False
    (lacking,) = with_digests([replace(one, keep=PackedMasks.of(full))])
    network = WatchedNetwork(
        Network(one.origin.architecture, one.origin.weights), one.origin.contract, [lacking.keep, two.keep]
    )
    values = seen[site][(slice(None), *node)]
    assert (values < 0).sum() > 3
    np.testing.assert_array_equal(network.watch(IMAGES, 16)[1][:, 0], values != 0)
    alone = compose([lacking]).predict(IMAGES).margins
    np.testing.assert_allclose(compose([lacking, two]).predict(IMAGES).margins[:, :1], alone, atol=1e-5)


@pytest.mark.parametrize("make", [few_removed, conv_modules])
def test_hits_are_those_by_hand(make):
    modules = make()
    origin = modules[0].origin
    network = WatchedNetwork(
        Network(origin.architecture, origin.weights), origin.contract, [module.keep for module in modules]
    )
    _, hits = network.watch(IMAGES, 16)
    np.testing.assert_array_equal(hits, hits_by_hand(modules, IMAGES))
    assert 0 < hits.mean() < 1


@pytest.mark.parametrize(("make", "batch_size"), spread(list(product([few_removed, conv_modules], [1, 7, 256])), 3))
def test_together_as_alone(make, batch_size):
    modules = make()
    together = OriginRunner(modules[0].origin, modules).margins(IMAGES, batch_size)
    alone = np.stack([compose([module]).predict(IMAGES).margins[:, 0] for module in modules], axis=1)
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-5)


def test_only_hits_are_run_again(monkeypatch):
    modules = seldom_removed()
    runner = OriginRunner(modules[0].origin, modules)
    counted = []
    run = runner._network.features
    monkeypatch.setattr(
        runner._network, "features", lambda images, size: counted.append(len(images)) or run(images, size)
    )
    monkeypatch.setattr("modhub.engine.run.isolated._FIRST", len(IMAGES))
    runner.margins(IMAGES, 256)
    hits = hits_by_hand(modules, IMAGES).sum(axis=0)
    assert counted == [1 << int(np.ceil(np.log2(count))) for count in hits if count]
    assert sum(counted) < len(modules) * len(IMAGES)


def test_a_few_images_show_whether_watching_pays(monkeypatch):
    modules = seldom_removed()
    runner = OriginRunner(modules[0].origin, modules)
    watched = []
    watch = runner._watched.watch
    monkeypatch.setattr(
        runner._watched, "watch", lambda images, size: watched.append(len(images)) or watch(images, size)
    )
    runner.margins(IMAGES, 256)
    assert watched == [8, len(IMAGES) - 8]
    runner._most_hits = 0.0
    runner.margins(IMAGES, 256)
    assert watched[2:] == [8]


def test_what_is_not_worth_watching():
    modules = few_removed()
    masks = [module.keep for module in modules]
    full = PackedMasks.of({site: np.ones_like(mask) for site, mask in masks[0].items()})
    assert is_worth_watching(masks)
    assert not is_worth_watching(masks[:1])
    assert not is_worth_watching([full, full])


def test_too_much_to_watch_runs_each_by_itself(monkeypatch):
    modules = [with_random_masks(module, seed=k) for k, module in enumerate(quadrant_modules().modules)]
    shared = OriginRunner(modules[0].origin, modules).margins(IMAGES, 16)
    monkeypatch.setattr(shared_pass, "MOST_WATCHED", 100)
    alone = OriginRunner(modules[0].origin, modules)
    assert alone._watched is None
    np.testing.assert_allclose(alone.margins(IMAGES, 16), shared, atol=1e-5, rtol=1e-5)


def test_no_images_at_all():
    modules = few_removed()
    assert OriginRunner(modules[0].origin, modules).margins(IMAGES[:0], 16).shape == (0, 4)


def test_batches_are_filled_up_to_few_sizes():
    assert [_filled(count, 16) for count in (0, 1, 3, 9, 16, 17, 40)] == [0, 1, 4, 16, 16, 17, 40]
    assert _filled(11, 10) == 11
    assert isolated._filled(9, 10) == 10
