"""A composite as a user handles it: parts in, new composites out, images checked at the door."""

from __future__ import annotations

import numpy as np
import pytest

import modhub
from modhub.errors import Conflict, InvalidData, NotFound, UsageError
from tests.small_origins import bar_modules, bars, quadrant_modules, quadrants


@pytest.fixture(scope="module")
def quarters():
    return modhub.compose(list(quadrant_modules().modules))


def test_names_modules_and_composites_may_be_mixed(tmp_path):
    registry = str(tmp_path / "registry")
    modhub.publish(bar_modules(), version="1.0.0", registry=registry)
    corner = modhub.compose(quadrant_modules().modules[3])
    mixed = modhub.compose([quadrant_modules().modules[0], "lines/bars:vertical", corner], registry=registry)
    assert mixed.classes == ["top left", "vertical", "bottom right"]
    assert len(mixed) == 3
    assert repr(mixed) == "<Composite of top left, vertical, bottom right>"


def test_two_origins_that_know_one_class_have_distinct_labels(quarters):
    both = quarters.add(bar_modules().modules[2])
    assert both.classes == [
        "shapes/quadrants:top-left",
        "top right",
        "bottom left",
        "bottom right",
        "lines/bars:top-left",
    ]
    labels = both.predict(quadrants().x).labels
    assert set(labels) <= set(both.classes)


def test_swap_remove_and_add_give_new_composites(quarters):
    quarters = quarters.in_vote("raw")
    before = quarters.predict(quadrants().x).margins
    swapped = quarters.swap("top left", bar_modules().modules[2])
    assert swapped.classes == quarters.classes
    after = swapped.predict(quadrants().x).margins
    np.testing.assert_array_equal(after[:, 1:], before[:, 1:])
    assert np.abs(after[:, 0] - before[:, 0]).max() > 0.1
    alone = modhub.compose(bar_modules().modules[2]).predict(quadrants().x).margins
    np.testing.assert_allclose(after[:, 0], alone[:, 0], atol=1e-5, rtol=1e-5)
    back = swapped.swap("top left", quarters.modules[0])
    assert back.plan == quarters.plan
    np.testing.assert_array_equal(back.predict(quadrants().x).margins, before)
    removed = quarters.remove("bottom left")
    assert removed.classes == ["top left", "top right", "bottom right"]
    np.testing.assert_array_equal(removed.predict(quadrants().x).margins, before[:, [0, 1, 3]])
    assert removed.add(quarters.modules[2]).classes == ["top left", "top right", "bottom right", "bottom left"]
    assert quarters.classes == ["top left", "top right", "bottom left", "bottom right"]


def test_rejecting_survives_changes():
    may = modhub.compose(list(bar_modules().modules), reject=True)
    noise = np.zeros((4, 8, 8, 1), np.uint8)
    assert may.predict(noise).labels == ["none of these"] * 4
    assert may.remove("vertical").reject
    assert may.swap("vertical", quadrant_modules().modules[0]).reject
    assert "none of these" not in modhub.compose(list(bar_modules().modules)).predict(noise).labels


def test_the_composite_is_right_where_its_modules_are(quarters):
    data = quadrants(each=10, seed=77)
    found = quarters.predict(data.x)
    assert np.mean(np.array(found.labels) == np.array(data.classes)[data.y]) > 0.9


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((8, 8, 1), np.uint8),
            "the images have the shape (8, 8, 1); wanted (N, 8, 8, 1). Hint: a single image",
        ),
        (np.zeros((2, 8, 7), np.uint8), "the images have the shape (2, 8, 7); wanted (N, 8, 8, 1)."),
        (
            np.zeros((2, 8, 8, 3), np.uint8),
            "the images are 8x8x3; the modules take 8x8x1. Hint: bring them to that size",
        ),
        (np.zeros((2, 9, 8, 1), np.uint8), "the images are 9x8x1; the modules take 8x8x1."),
        (np.full((2, 8, 8, 1), np.nan), "the images hold NaN or infinity, first in image 0 (2 images in all)."),
        (bars().x / 255, "the images hold floats up to "),
        (bars().x.astype(float) - 200, "the images hold values -200"),
        (bars().x.astype(int) * 2, "the images hold values 0..3"),
        (bars().x.astype(str), "the images have the dtype <U3."),
    ],
)
def test_images_that_modules_do_not_take_are_refused(quarters, images, message):
    with pytest.raises(InvalidData) as caught:
        quarters.predict(images)
    assert message in str(caught.value)


def test_floats_up_to_one_get_the_reason(quarters):
    with pytest.raises(InvalidData) as caught:
        quarters.predict((bars().x / 255).astype(np.float32))
    assert caught.value.kind == "already-rescaled"
    assert "the modules take raw values 0..255. Hint: pass the raw images: modules rescale by themselves." in str(
        caught.value
    )


def test_black_images_and_dark_whole_numbers_are_raw(quarters):
    assert len(quarters.predict(np.zeros((2, 8, 8, 1), np.float32))) == 2
    assert len(quarters.predict(np.ones((2, 8, 8, 1), np.uint8))) == 2


def test_a_batch_size_below_one(quarters):
    with pytest.raises(UsageError, match=r"batch_size is 0. Hint: use at least 1."):
        quarters.predict(bars().x, batch_size=0)


@pytest.mark.parametrize(
    ("refs", "error", "message"),
    [
        ([], UsageError, 'no modules were given. Hint: name at least one, for example compose(["c10:cat"'),
        ([None], UsageError, "a part has the type NoneType; compose takes names, modules and composites."),
        (["cifar10/r56:cat", 3], UsageError, "a part has the type int; compose takes names, modules and composites."),
        (None, UsageError, "a part has the type NoneType; compose takes names, modules and composites."),
        (5, UsageError, "a part has the type int; compose takes names, modules and composites."),
        ("", UsageError, "an empty name was given. Hint: names look like namespace/model:class@version"),
    ],
)
def test_what_is_no_list_of_parts_is_refused(refs, error, message):
    with pytest.raises(error) as caught:
        modhub.compose(refs)
    assert message in str(caught.value)


def test_a_swap_takes_one_module(tmp_path, quarters):
    registry = str(tmp_path / "registry")
    modhub.publish(bar_modules(), version="1.0.0", registry=registry)
    composite = modhub.compose(list(quadrant_modules().modules), registry=registry)
    with pytest.raises(UsageError) as caught:
        composite.swap("top left", "lines/bars")
    assert str(caught.value).startswith("lines/bars names 3 modules; a swap takes one. Hint: name the class as well")
    with pytest.raises(NotFound, match="did you mean"):
        composite.swap("top lift", "lines/bars:vertical")
    with pytest.raises(Conflict, match="is named twice"):
        quarters.swap("top left", quarters.modules[1])
