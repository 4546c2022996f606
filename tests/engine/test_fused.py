"""Fused: one trunk under the union of the masks, as by hand; equal to isolated where masks are equal, and exported so.

bfloat16: near float32, never the same, and the head stays exact.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import keras
import numpy as np
import pytest

import modhub
from modhub.composition.recipe import DTYPES
from modhub.engine.read.reader import read_model
from modhub.engine.run.bfloat16 import ReducedNetwork
from modhub.engine.run.fused import FusedRunner
from modhub.engine.run.isolated import MaskedNetwork, OriginRunner
from modhub.engine.run.masks import on_all_sites, union_of
from modhub.engine.run.network import Network, preprocess
from modhub.engine.run.plan import PlanRunner
from modhub.engine.run.trunks import trunk_of
from modhub.errors import UsageError
from modhub.ops.explain import explain
from modhub.package.decomposition import with_digests
from modhub.package.module import MarginHead, Origin, PackedMasks
from modhub.spec.contract import contract_of
from tests.engine.test_running import IMAGES, margins_by_hand, masked_modules
from tests.small_origins import (
    bar_modules,
    bars,
    decomposed,
    quadrant_modules,
    quadrants,
    quadrants_model,
    with_random_masks,
)
from tests.thinning import spread


def conv_modules():
    """Masks on the outputs of convolutions, before they meet a residual sum."""
    decomposition = decomposed(quadrants_model(), quadrants(), "shapes/quadrants", observe="conv", backtrack="none")
    return [with_random_masks(module, seed) for seed, module in enumerate(decomposition.modules)]


def by_hand(modules, images):
    """Margins (N, modules) float64: each module alone, but with every node that any of them keeps."""
    union = {site: modules[0].keep[site].copy() for site in modules[0].keep}
    for module in modules[1:]:
        for site in union:
            union[site] |= module.keep[site]
    joint = PackedMasks.of(union)
    return np.stack([margins_by_hand(replace(module, keep=joint), images) for module in modules], axis=1)


@pytest.mark.parametrize(("make", "batch_size"), spread(list(product([masked_modules, conv_modules], [1, 7, 256])), 3))
def test_fused_margins_are_those_by_hand_and_not_the_isolated_ones(make, batch_size):
    modules = make()
    margins = modhub.compose(modules, mode="fused").predict(IMAGES, batch_size).margins
    np.testing.assert_allclose(margins, by_hand(modules, IMAGES), atol=1e-4, rtol=1e-5)
    assert margins.dtype == np.float32
    isolated = modhub.compose(modules).predict(IMAGES).margins
    assert np.abs(margins - isolated).max() > 0.1


def test_the_union_is_of_the_modules_composed_and_not_of_their_release():
    one, two, three, _ = masked_modules()
    pair = modhub.compose([one, two], mode="fused").predict(IMAGES).margins
    np.testing.assert_allclose(pair, by_hand([one, two], IMAGES), atol=1e-4, rtol=1e-5)
    more = modhub.compose([one, two, three], mode="fused").predict(IMAGES).margins
    assert np.abs(pair - more[:, :2]).max() > 0.1


def test_a_union_keeps_what_any_keeps():
    modules = masked_modules()
    union = union_of(modules)
    for site, mask in union.items():
        np.testing.assert_array_equal(mask, sum(module.keep[site].astype(int) for module in modules) > 0)
    assert any(not mask.all() for mask in union.values())


@pytest.mark.parametrize("mode", ["isolated", "fused"])
def test_modules_of_one_origin_may_have_masks_on_different_sites(mode):
    """Some with masks on what convolutions give, some on what ReLUs give; where one has no mask it keeps everything."""
    mixed = [conv_modules()[0], masked_modules()[1], conv_modules()[2]]
    assert set(mixed[0].keep) != set(mixed[1].keep)
    assert mixed[0].origin.fingerprint == mixed[1].origin.fingerprint
    for order in (mixed, mixed[::-1]):
        composite = modhub.compose(order, mode=mode)
        full = on_all_sites(order)
        exact = np.stack([margins_by_hand(module, IMAGES) for module in order], axis=1)
        wanted = exact if mode == "isolated" else by_hand(full, IMAGES)
        found = composite.predict(IMAGES).margins
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-5)
        np.testing.assert_allclose(
            composite.to_keras().predict(IMAGES.astype(np.float32), verbose=0), wanted, atol=1e-3
        )


def test_equal_bits_on_different_sites_are_different_masks():
    bits = np.array([True, False, True])
    one, other = PackedMasks.of({"a": bits, "b": bits}), PackedMasks.of({"a": bits, "c": bits})
    assert one.key() != other.key()
    assert one.key() == PackedMasks.of({"a": bits.copy(), "b": bits}).key()


def test_equal_masks_fused_are_isolated():
    one, two, *_ = quadrant_modules().modules
    alike = [with_random_masks(one, 3), with_digests([replace(two, keep=with_random_masks(one, 3).keep)])[0]]
    found = modhub.compose(alike, mode="fused").agreement(IMAGES)
    assert found.labels == 1
    assert found.margin < 1e-5
    alone = modhub.compose(alike[:1], mode="fused").predict(IMAGES).margins
    np.testing.assert_allclose(alone[:, 0], margins_by_hand(alike[0], IMAGES), atol=1e-4, rtol=1e-5)


def test_full_masks_fused_are_the_origin():
    full = [
        replace(module, keep=PackedMasks.of({site: np.ones_like(mask) for site, mask in module.keep.items()}))
        for module in quadrant_modules().modules
    ]
    fused_margins = modhub.compose(with_digests(full), mode="fused").predict(IMAGES).margins
    expected = quadrants_model().predict(IMAGES / np.float32(255), verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(fused_margins.argmax(axis=1), expected)


def test_every_image_goes_through_the_trunk_once(monkeypatch):
    modules = masked_modules()
    seen = []
    run = Network.run
    monkeypatch.setattr(
        Network, "run", lambda self, images, visit=None: seen.append(images.shape) or run(self, images, visit)
    )
    monkeypatch.setattr("modhub.engine.run.fused.compiled", lambda function: function)
    FusedRunner(modules[0].origin, modules).margins(IMAGES[:5], 16)
    assert seen == [(5, 8, 8, 1)]


# With all that composites do


def test_origins_adapters_verifiers_and_changes_work_fused():
    one, two, three, _ = masked_modules()
    horizontal, vertical, _ = bar_modules().modules
    composite = modhub.compose([horizontal, one, two, vertical], mode="fused", adapt="resize", size=(10, 10))
    composite = composite.rename("horizontal", "flat").verify_with({("top left", "top right"): [two, three]})
    large = np.random.default_rng(0).integers(0, 256, (20, 10, 10, 1)).astype(np.uint8)
    ways = [way.fused for way in composite.plan.ways]
    assert ways == [True, True]
    said = PlanRunner(composite.plan).margins(large, 16)
    # Of the quadrants' origin three modules run: two members and the verifiers' third; the union is over all of them.
    adapters = {module.ref: composite.plan.adapter(module) for module in composite.plan.recognisers}
    for group in composite.plan.groups():
        own = [composite.plan.recognisers[position] for position in group]
        each = FusedRunner(own[0].origin, own, adapters[own[0].ref]).margins(large, 16)
        np.testing.assert_allclose(said[:, group], each, atol=1e-5, rtol=1e-5)
    prediction = composite.predict(large)
    assert prediction.classes == ("flat", "top left", "top right", "vertical")
    scales = [module.origin.vote.margin_scale for module in composite.plan.modules]
    np.testing.assert_allclose(np.sort(prediction.margins), np.sort(prediction.module_margins / scales), atol=1e-6)
    smaller = composite.restrict(["vertical", "flat"])
    assert (smaller.plan.settings.mode, smaller.add(three).plan.settings.mode) == ("fused", "fused")
    assert len(smaller.predict(large).labels) == 20


def test_no_images_at_all():
    modules = masked_modules()
    assert modhub.compose(modules, mode="fused").predict(IMAGES[:0]).margins.shape == (0, 4)
    assert modhub.compose(modules, mode="fused").agreement(IMAGES[:0]).images == 0


def test_agreement_is_with_the_exact_way():
    modules = masked_modules()
    composite = modhub.compose(modules, mode="fused")
    found = composite.agreement(IMAGES)
    exact = np.stack([margins_by_hand(module, IMAGES) for module in modules], axis=1)
    other = by_hand(modules, IMAGES)
    assert found.images == len(IMAGES)
    assert found.equal == (exact.argmax(axis=1) == other.argmax(axis=1)).sum() < len(IMAGES)
    assert found.margin == pytest.approx(np.abs(exact - other).max(), rel=1e-4)
    assert composite.in_mode().agreement(IMAGES).margin == 0


# Export


def test_a_fused_composite_is_exported_as_one_trunk():
    modules = masked_modules()
    composite = modhub.compose(modules, mode="fused")
    model = composite.to_keras()
    x = IMAGES.astype(np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), composite.predict(IMAGES).margins, atol=1e-4, rtol=1e-5)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    calls = sum(len(layer._inbound_nodes) for layer in convolutions)
    isolated = composite.in_mode().to_keras()
    assert calls == len(convolutions) == 2
    assert sum(len(n._inbound_nodes) for n in isolated.layers if isinstance(n, keras.layers.Conv2D)) > 2


def test_a_reduced_composite_is_not_exported():
    composite = modhub.compose(list(bar_modules().modules), dtype="bfloat16")
    with pytest.raises(UsageError, match="trunks compute in bfloat16 cannot be exported") as caught:
        composite.to_keras()
    assert caught.value.kind == "reduced-export"
    assert "--dtype float32" in str(caught.value)


# bfloat16


def in_bfloat16(array):
    """The array with 8 significant bits, rounded to even, as float32."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("mode", ["isolated", "fused"])
def test_bfloat16_is_near_float32_and_not_equal(mode):
    modules = masked_modules()
    exact = modhub.compose(modules, mode=mode).predict(IMAGES).margins
    reduced = modhub.compose(modules, mode=mode, dtype="bfloat16").predict(IMAGES).margins
    assert reduced.dtype == np.float32
    difference = np.abs(reduced - exact)
    assert 0 < difference.max() < 0.05 * np.abs(exact).max()


def test_weights_are_rounded_once_and_layers_compute_in_bfloat16():
    origin = quadrant_modules().origin
    seen = {}

    def look(call, output):
        seen[call] = output
        return output

    features = ReducedNetwork(origin.architecture, origin.weights).run(preprocess(IMAGES, origin.contract), look)
    assert {keras.backend.standardize_dtype(output.dtype) for output in seen.values()} == {"bfloat16"}
    assert keras.backend.standardize_dtype(features.dtype) == "float32"
    # Of a dense layer on given inputs: weights rounded to bfloat16, one rounding behind.
    network = trunk_of(origin, "bfloat16")
    layer = network.layers["hidden"]
    for mine, theirs in zip(
        layer.get_weights(), Network(origin.architecture, origin.weights).layers["hidden"].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(mine, np.float32), in_bfloat16(theirs))


def test_the_head_is_float32():
    """Margins from reduced features: an exact product, not one of rounded numbers."""
    modules = masked_modules()
    origin = modules[0].origin
    network = MaskedNetwork(trunk_of(origin, "bfloat16"), origin.contract, modules[0].keep)
    network.set_masks(union_of(modules))
    features = network.features(IMAGES, 16)
    head = MarginHead.of([module.head for module in modules])
    found = FusedRunner(origin, modules, dtype="bfloat16").margins(IMAGES, 16)
    np.testing.assert_allclose(found, head.margins(features), atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(features, in_bfloat16(features))


def test_isolated_in_bfloat16_is_every_module_alone():
    modules = masked_modules()
    together = OriginRunner(modules[0].origin, modules, dtype="bfloat16").margins(IMAGES, 16)
    for column, module in enumerate(modules):
        alone = OriginRunner(module.origin, [module], dtype="bfloat16").margins(IMAGES, 16)
        np.testing.assert_allclose(together[:, column], alone[:, 0], atol=1e-4, rtol=1e-4)


def every_layer():
    """A network with each kind of layer that there is, and images for it."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Rescaling(2.0, offset=[-1.0, 0.0, 1.0])(image)
    normal = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
    x = layers.ZeroPadding2D(((1, 0), (0, 1)))(normal(x))
    x = layers.Conv2D(6, 3, padding="same", groups=3)(x)
    x = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))
    y = layers.AveragePooling2D(2)(layers.Conv2D(6, 3, padding="same", activation="relu")(x))
    x = layers.Add()([layers.MaxPooling2D(2)(x), layers.Dropout(0.5)(y)])
    x = layers.Concatenate()([x, y])
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x), layers.Flatten()(x)])
    x = layers.Dense(16, activation="relu")(layers.Reshape((-1,))(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(x))
    return model, np.random.default_rng(0).random((20, 8, 8, 3)).astype(np.float32)


def test_every_kind_of_layer_computes_in_bfloat16():
    model, images = every_layer()
    reading = read_model(model)
    architecture, weights = reading.architecture, reading.weights
    contract = contract_of(images, rescale=1.0, mean=None, std=None)
    origin = Origin("me", "net", ("a", "b", "c"), architecture, weights, contract, "sha256:" + "0" * 64)
    exact, reduced = (MaskedNetwork(trunk_of(origin, dtype), contract, ()).features(images, 20) for dtype in DTYPES)
    assert 0 < np.abs(exact - reduced).max() < 0.05 * np.abs(exact).max()


def test_masks_on_bars_work_reduced_too():
    modules = [with_random_masks(module, seed) for seed, module in enumerate(bar_modules().modules)]
    x = bars(each=8, seed=3).x
    found = modhub.compose(modules, mode="fused", dtype="bfloat16").agreement(x)
    exact = modhub.compose(modules, mode="fused").agreement(x)
    assert found.images == len(x)
    assert abs(found.margin - exact.margin) < 0.5


def test_what_is_not_exact_is_not_explained():
    composite = modhub.compose(masked_modules(), mode="fused")
    with pytest.raises(UsageError, match="not fused in float32") as caught:
        explain(composite, IMAGES[0])
    assert caught.value.kind == "inexact-explanation"
    assert "give --mode isolated --dtype float32" in str(caught.value)
    assert explain(composite.in_mode(), IMAGES[0]).verdict
