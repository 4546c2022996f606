"""Modules of other input sizes and verifying stages, run and exported: the same answers as by hand."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

import modhub
from modhub import compose
from modhub.errors import Incompatible, InvalidData
from modhub.package.decomposition import with_digests
from modhub.package.module import PackedMasks
from tests.small_origins import Data, bar_modules, bars, fitted_model, plain_features, quadrant_modules, quadrants


def large_colour() -> Data:
    """The quadrants' images twice as large, in three channels."""
    data = quadrants()
    return Data(np.repeat(data.x.repeat(2, axis=1).repeat(2, axis=2), 3, axis=3), data.y, data.classes)


@pytest.fixture(scope="module")
def large():
    data = large_colour()
    model = fitted_model(data, plain_features, seed=5)
    return modhub.decompose(model, data.x, data.y, classes=data.classes, name="shapes/large", rescale=1 / 255)


IMAGES = np.random.default_rng(3).integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)


def shrunk(images):
    """Colour 16x16 to grey 8x8 as Pillow does it, without rounding: (N, 8, 8, 1) float32."""
    made = []
    for pixels in images.astype(np.float32):
        channels = [
            np.asarray(Image.fromarray(pixels[:, :, c]).resize((8, 8), Image.Resampling.BILINEAR)) for c in range(3)
        ]
        made.append((np.stack(channels, axis=2) @ np.array([0.299, 0.587, 0.114]))[..., None])
    return np.stack(made).astype(np.float32)


def test_each_module_sees_the_image_through_its_own_adapter(large):
    small = list(quadrant_modules().modules)
    both = compose([*small, *large.modules], adapt="resize")
    assert both.plan.contract.shape == (16, 16, 3)
    found = both.predict(IMAGES)
    alone = [compose(small).predict(shrunk(IMAGES)).margins, compose(list(large.modules)).predict(IMAGES).margins]
    np.testing.assert_allclose(found.module_margins[:, :4], alone[0], atol=1e-3)
    np.testing.assert_allclose(found.module_margins[:, 4:], alone[1], atol=1e-4)
    scaled = np.hstack([alone[0] / small[0].origin.vote.margin_scale, alone[1] / large.origin.vote.margin_scale])
    np.testing.assert_allclose(found.margins, scaled, atol=1e-3)


def test_without_adapt_nothing_is_adapted(large):
    with pytest.raises(Incompatible, match="input 8x8x1 vs 16x16x3, colour order grey vs rgb"):
        compose([quadrant_modules().modules[0], large.modules[0]])


def test_the_composites_size_may_be_chosen(large):
    both = compose([quadrant_modules().modules[0], large.modules[1]], adapt="letterbox", size=(8, 12))
    assert both.predict(IMAGES[:, :8, :12]).margins.shape == (12, 2)
    with pytest.raises(InvalidData, match="16x16x3; the modules take 8x12x3"):
        both.predict(IMAGES)


def test_operations_keep_the_adapter(large):
    both = compose([*quadrant_modules().modules[:2], large.modules[2]], adapt="resize")
    assert both.remove("top right").plan.settings.adapt == "resize"
    assert both.add(bar_modules().modules[0]).predict(IMAGES).margins.shape == (12, 4)
    assert both.swap("top left", large.modules[0]).rename("top left", "corner").classes[0] == "corner"


@pytest.mark.parametrize("adapt", ["resize", "crop", "letterbox"])
def test_exported_adapters_answer_alike(large, adapt, tmp_path):
    both = compose([*quadrant_modules().modules[:2], *large.modules[:1]], adapt=adapt, size=(14, 18))
    images = np.random.default_rng(4).integers(0, 256, (6, 14, 18, 3)).astype(np.uint8)
    both.to_keras().save(tmp_path / "both.keras")
    loaded = keras.models.load_model(tmp_path / "both.keras", safe_mode=True)
    np.testing.assert_allclose(
        loaded.predict(images.astype(np.float32), verbose=0), both.predict(images).margins, atol=1e-4
    )


def test_the_named_modules_decide_again():
    quarters = compose(list(quadrant_modules().modules))
    other = [bar_modules().modules[0], bar_modules().modules[1]]
    images = quadrants(each=10, seed=8).x
    before, asked = quarters.predict(images), compose(other).predict(images).margins
    checked = quarters.verify_with({("top left", "bottom right"): other})
    after = checked.predict(images)
    won = np.isin(before.margins.argmax(axis=1), [0, 3])
    np.testing.assert_array_equal(after.margins[~won], before.margins[~won])
    np.testing.assert_array_equal(after.indices[won], np.array([0, 3])[asked[won].argmax(axis=1)])
    assert (after.indices[won] != before.indices[won]).any()
    np.testing.assert_array_equal(after.positive, before.positive)
    np.testing.assert_array_equal(after.module_scores, before.module_scores)
    assert checked.remove("top left").predict(images).margins.shape == (len(images), 3)


def test_exported_stages_answer_alike(tmp_path):
    parts = list(quadrant_modules().modules)
    stages = {
        ("top left", "bottom right", "top right"): [*bar_modules().modules],
        ("top left", "bottom left"): parts[1:3],
    }
    checked = compose(parts).verify_with(stages)
    images = quadrants(each=10, seed=8).x
    checked.to_keras().save(tmp_path / "checked.keras")
    loaded = keras.models.load_model(tmp_path / "checked.keras", safe_mode=True)
    expected = checked.predict(images).margins
    np.testing.assert_allclose(loaded.predict(images.astype(np.float32), verbose=0), expected, atol=1e-4)
    assert (expected != compose(parts).predict(images).margins).any()


def test_a_matched_module_speaks_on_the_scale_of_the_one_it_replaces():
    quarters = compose(list(quadrant_modules().modules), vote="raw")
    old, new = quarters.modules[0], bar_modules().modules[2]
    images = quadrants(each=10, seed=8).x
    alone = compose([new]).predict(images)
    after = quarters.swap("top left", new, match=True).predict(images)
    expected = new.scale / old.scale * (alone.margins[:, 0] - new.threshold) + old.threshold
    np.testing.assert_allclose(after.margins[:, 0], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after.module_scores[:, 0], alone.module_scores[:, 0], atol=1e-4)
    np.testing.assert_array_equal(after.positive[:, 0], alone.positive[:, 0])
    assert np.abs(after.margins[:, 0] - alone.margins[:, 0]).max() > 0.1
    matched = quarters.swap("top left", new, match=True).modules[0]
    assert (matched.derived_from[-1].strategy, matched.derived_from[-1].against) == ("match", (old.digest,))
    assert matched.digest != new.digest
    back = quarters.swap("top left", new, match=True).swap("top left", old)
    assert back.plan == quarters.plan


def test_a_module_matched_with_itself_stays():
    module = bar_modules().modules[1]
    same = compose([module, bar_modules().modules[0]]).swap("vertical", module, match=True)
    images = bars(each=5, seed=8).x
    np.testing.assert_allclose(
        same.predict(images).margins[:, 0], compose([module]).predict(images).margins[:, 0], rtol=1e-5, atol=1e-5
    )


def test_merged_composites_keep_their_stages():
    one = compose(list(quadrant_modules().modules)).verify_with(
        {("top left", "top right"): [bar_modules().modules[0], bar_modules().modules[1]]}
    )
    other = compose([bar_modules().modules[2]]).rename("top left", "corner")
    both = compose([other, one])
    assert both.classes == ["corner", "top left", "top right", "bottom left", "bottom right"]
    assert [stage.columns for stage in both.plan.recipe.stages] == [(1, 2)]
    assert other.add(one).plan == both.plan


def test_all_modules_with_no_node_removed_rank_exactly_like_their_origin(large):
    data = large_colour()
    model = fitted_model(data, plain_features, seed=5)
    modules = modhub.decompose(
        model, data.x, data.y, classes=data.classes, name="shapes/large", rescale=1 / 255, backtrack="none"
    ).modules
    whole = with_digests([_all_nodes(module) for module in modules])
    images = np.random.default_rng(6).integers(0, 256, (200, 16, 16, 3)).astype(np.uint8)
    logits = np.log(model.predict(images / np.float32(255), verbose=0).astype(np.float64))
    order = np.argsort(-compose(list(whole)).predict(images).margins, axis=1)
    ranked = np.take_along_axis(logits, order, axis=1)
    assert (np.diff(ranked, axis=1) <= 1e-4).all()


def _all_nodes(module):
    full = PackedMasks.of({site: np.ones_like(mask) for site, mask in module.keep.items()})
    return replace(module, keep=full)
