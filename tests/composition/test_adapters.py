"""Adapters: the same images that Pillow makes, said in words, and never made where nothing fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from modhub.composition.adapters import adapter_between, joint_contract
from modhub.composition.recipe import ClassifierSettings
from modhub.errors import Incompatible, UsageError
from tests.composition.made_by_hand import CONTRACT

GREY = CONTRACT.model_copy(update={"channels": 1, "colour": "grey"})


def contract(height=32, width=32, base=CONTRACT, **changes):
    return base.model_copy(update={"height": height, "width": width, **changes})


def applied(adapter, images):
    """The adapter on images (N, H, W, C), literally."""
    x = np.asarray(images, np.float64)
    if adapter.rows is not None:
        x = np.einsum("hH,nHwc->nhwc", adapter.rows, x - adapter.black)
        x = np.einsum("wW,nhWc->nhwc", adapter.columns, x) + adapter.black
    if adapter.colour is not None:
        x = x @ adapter.colour
    return x * adapter.scale + adapter.offset


def image(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)


def by_pillow(pixels, make):
    """``make`` on each channel as an image of floats, so that nothing is rounded; (h, w, C)."""
    channels = [make(Image.fromarray(pixels[:, :, c].astype(np.float32))) for c in range(pixels.shape[2])]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


BILINEAR = Image.Resampling.BILINEAR
SIZES = st.tuples(*[st.integers(1, 40)] * 4)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(SIZES)
def test_resize_is_pillows(sizes):
    height, width, to_height, to_width = sizes
    adapter = adapter_between(contract(height, width), contract(to_height, to_width), "resize", what="m")
    pixels = image(height, width)
    expected = by_pillow(pixels, lambda channel: channel.resize((to_width, to_height), BILINEAR))
    found = pixels if adapter is None else applied(adapter, pixels[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("sizes", [(64, 64, 32, 32), (48, 64, 32, 32), (20, 64, 32, 32), (8, 6, 33, 20)])
def test_crop_is_pillows_fit(sizes):
    height, width, to_height, to_width = sizes
    adapter = adapter_between(contract(height, width), contract(to_height, to_width), "crop", what="m")
    pixels = image(height, width)
    expected = by_pillow(pixels, lambda channel: ImageOps.fit(channel, (to_width, to_height), BILINEAR))
    np.testing.assert_allclose(applied(adapter, pixels[None])[0], expected, atol=1e-2)


@pytest.mark.parametrize("sizes", [(64, 64, 32, 32), (48, 64, 32, 32), (20, 64, 32, 32), (8, 6, 32, 20)])
def test_letterbox_keeps_all_and_fills_up_with_black(sizes):
    height, width, to_height, to_width = sizes
    adapter = adapter_between(contract(height, width), contract(to_height, to_width), "letterbox", what="m")
    pixels = image(height, width)
    ratio = min(to_height / height, to_width / width)
    small = (round(width * ratio), round(height * ratio))
    left, top = (to_width - small[0]) // 2, (to_height - small[1]) // 2
    expected = np.zeros((to_height, to_width, 3))
    expected[top : top + small[1], left : left + small[0]] = by_pillow(pixels, lambda c: c.resize(small, BILINEAR))
    np.testing.assert_allclose(applied(adapter, pixels[None])[0], expected, atol=1e-3)


def test_black_is_the_low_end_of_the_range():
    low = contract(2, 4, value_range=(-1.0, 1.0))
    adapter = adapter_between(low, contract(4, 4, value_range=(-1.0, 1.0)), "letterbox", what="m")
    adapted = applied(adapter, np.full((1, 2, 4, 3), 0.5))
    np.testing.assert_allclose(adapted[0, :, 0, 0], [-1, 0.5, 0.5, -1])


def test_colour_to_grey_is_pillows_and_back_repeats():
    pixels = image(8, 8)
    adapter = adapter_between(contract(8, 8), contract(8, 8, base=GREY), "resize", what="m")
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_allclose(applied(adapter, pixels[None])[0, :, :, 0], expected, atol=0.51)
    back = adapter_between(contract(8, 8, base=GREY), contract(8, 8), "resize", what="m")
    np.testing.assert_array_equal(applied(back, pixels[None, :, :, :1])[0], np.repeat(pixels[:, :, :1], 3, axis=2))


def test_images_stay_rgb_whatever_the_network_was_trained_on():
    pixels = image(8, 8)
    bgr = contract(8, 8, colour="bgr")
    assert adapter_between(contract(8, 8), bgr, "resize", what="m") is None
    to_grey = [adapter_between(c, contract(8, 8, base=GREY), "resize", what="m") for c in (contract(8, 8), bgr)]
    np.testing.assert_array_equal(*(applied(adapter, pixels[None]) for adapter in to_grey))
    assert joint_contract([bgr, contract(4, 4)]).colour == "rgb"


def test_the_value_range_is_mapped_end_to_end():
    adapter = adapter_between(contract(), contract(value_range=(-1.0, 1.0)), "resize", what="m")
    np.testing.assert_allclose(applied(adapter, np.array([[[[0.0]]], [[[127.5]]], [[[255.0]]]])).ravel(), [-1, 0, 1])
    assert str(adapter) == "0..255 -> -1..1"


def test_what_fits_needs_no_adapter():
    other = contract(rescale=1.0, mean=(0.5,), std=(0.2,), dtype="float32")
    assert adapter_between(contract(), other, "resize", what="m") is None


@pytest.mark.parametrize(
    ("given_", "wanted", "how", "words"),
    [
        (contract(64, 64), contract(), "resize", "resize 64x64 -> 32x32 (4 pixels become one)"),
        (contract(16, 16), contract(), "resize", "resize 16x16 -> 32x32 (75% of the pixels are interpolated)"),
        (contract(32, 64), contract(), "resize", "resize 32x64 -> 32x32 (2 pixels become one; stretched)"),
        (contract(32, 64), contract(), "crop", "crop 32x64 -> 32x32 (cuts off 50% of the image)"),
        (
            contract(32, 64),
            contract(),
            "letterbox",
            "letterbox 32x64 -> 32x32 (4 pixels become one; 50% of it is black)",
        ),
        (contract(), contract(base=GREY), "crop", "rgb -> grey (drops colour)"),
        (contract(base=GREY), contract(value_range=(0.0, 1.0)), "crop", "grey -> rgb, 0..255 -> 0..1"),
    ],
)
def test_it_says_what_it_does_and_costs(given_, wanted, how, words):
    assert str(adapter_between(given_, wanted, how, what="m")) == words


def test_other_channels_are_not_adapted():
    five = contract(channels=5, colour="other")
    with pytest.raises(Incompatible) as caught:
        adapter_between(contract(), five, "resize", what="me/sat:field")
    assert caught.value.kind == "no-adapter"
    assert str(caught.value) == (
        "me/sat:field takes 32x32x5 other, and no adapter makes that of 32x32x3 rgb. "
        "Hint: grey and colour images can be adapted, other channels cannot."
    )


def test_the_composite_takes_the_largest_image_with_most_channels():
    joint = joint_contract([contract(32, 32), contract(64, 48, base=GREY), contract(32, 32, value_range=(0.0, 1.0))])
    assert (joint.shape, joint.colour, joint.value_range) == ((64, 48, 3), "rgb", (0.0, 255.0))
    assert joint_contract([contract(32, 32)], (20, 30)).shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("adapt", "size", "message"),
    [
        ("stretch", None, "adapt is 'stretch'; it may be resize, crop, letterbox or nothing."),
        (None, (64, 64), "the size 64x64 was given without adapt."),
        ("resize", (0, 64), "the size is (0, 64); wanted height and width, 1 to 65536 pixels each."),
        ("resize", (64, 64, 3), "the size is (64, 64, 3); wanted height and width, 1 to 65536 pixels each."),
    ],
)
def test_wrong_options(adapt, size, message):
    with pytest.raises(UsageError) as caught:
        ClassifierSettings(adapt, size).checked()
    assert str(caught.value).startswith(message)
