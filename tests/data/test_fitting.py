"""A picture is fitted to a classifier exactly as an adapter fits one module's images to another's."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modhub.composition.adapters import adapter_between
from modhub.composition.recipe import ADAPTS
from modhub.data.fitting import Fitting
from modhub.data.given import FITS, Fit
from modhub.errors import Incompatible, InvalidData, UsageError
from modhub.spec.contract import contract_of
from modhub.spec.input_contract import InputContract

EXTENT = st.integers(1, 40)


def contract(height: int, width: int, channels: int = 3) -> InputContract:
    return contract_of(np.zeros((1, height, width, channels), np.uint8), rescale=1.0, mean=None, std=None)


def test_the_words_are_the_adapters() -> None:
    assert FITS == (*ADAPTS, "none") == get_args(Fit)


@given(st.sampled_from(ADAPTS), EXTENT, EXTENT, EXTENT, EXTENT)
def test_the_meaning_is_the_adapters(fit: Fit, height: int, width: int, rows: int, columns: int) -> None:
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    given, wanted = contract(height, width), contract(rows, columns)
    found, done = Fitting(fit, wanted).picture(Image.fromarray(pixels), "it")
    adapter = adapter_between(given, wanted, fit, what="it")  # type: ignore[arg-type]
    if adapter is None:
        assert np.array_equal(found, pixels)
        assert done == []
        return
    expected = np.einsum("hwc,Hh,Ww->HWc", pixels, adapter.rows, adapter.columns)
    # Pillow rounds to whole numbers after each axis.
    assert np.abs(found - expected).max() <= 1.5
    assert len(done) == 1
    assert np.array_equal(Fitting(fit, wanted).array(pixels[None])[0][0], found)


def test_pictures_are_rgb_in_the_value_range_of_the_contract() -> None:
    pixels = np.array([[[250, 100, 0]]], np.uint8)
    for low, high in ((0.0, 1.0), (-1.0, 1.0)):
        wanted = contract(1, 1).model_copy(update={"colour": "bgr", "value_range": (low, high), "dtype": "float32"})
        found, _ = Fitting("resize", wanted).picture(Image.fromarray(pixels), "it")
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0, 0], low + np.array([250, 100, 0]) / 255 * (high - low), atol=1e-6)


def test_grey_and_colour_become_each_other() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    grey, done = Fitting("resize", contract(4, 5, 1)).picture(Image.fromarray(colour), "it")
    assert np.array_equal(grey[..., 0], np.asarray(Image.fromarray(colour).convert("L")))
    assert done == ["RGB made grey"]
    back, done = Fitting("resize", contract(4, 5)).picture(Image.fromarray(grey[..., 0]), "it")
    assert np.array_equal(back, np.repeat(grey, 3, axis=2))
    assert done == ["grey made RGB"]
    assert Fitting("resize", contract(4, 5, 1)).picture(Image.fromarray(back), "it")[1] == [], "nothing is lost"


def test_arrays_that_fit_stay_themselves_and_floats_are_refused() -> None:
    for dtype in (np.uint8, np.float32):
        images = np.zeros((2, 4, 5, 3), dtype)
        assert Fitting("crop", contract(4, 5)).array(images)[0] is images
    for images in (np.zeros((2, 9, 9, 3), np.float32), np.zeros((2, 9, 9, 7), np.uint8)):
        with pytest.raises(InvalidData, match="and the modules take 4x5x3; only uint8 images of 1 to 4 channels"):
            Fitting("crop", contract(4, 5)).array(images)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="fit is 'squeeze'"):
        Fitting("squeeze")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nothing says which size"):
        Fitting("resize")
    with pytest.raises(UsageError, match="'nothing', which is no opaque colour"):
        Fitting("resize", contract(4, 4), "nothing")


def test_channels_that_no_picture_has_come_as_arrays_that_fit() -> None:
    two = Fitting("resize", contract(4, 4, 2))
    images = np.zeros((1, 4, 4, 2), np.uint8)
    assert two.array(images)[0] is images
    for refused in (lambda: two.array(images[:, 1:]), lambda: two.picture(Image.new("RGB", (4, 4)), "it")):
        with pytest.raises(Incompatible, match="the modules take 4x4x2 other"):
            refused()
