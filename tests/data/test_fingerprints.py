"""A data set has one fingerprint, wherever it lies: the bytes that registry_schema/FORMAT.md describes, hashed."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modhub
from modhub.data.batches import spool_batches
from modhub.data.forms import form_of, source_of
from modhub.data.images import ImageData, load_data
from modhub.data.picture_reader import PictureReader
from modhub.data.rows import data_fingerprint
from tests.small_origins import quadrant_modules, quadrants

CLASSES = ("cat", "dog", "été")


def by_hand(x, y, classes=CLASSES):
    """FORMAT.md, word by word, on all bytes at once."""
    kind = "uint8" if x.dtype == np.uint8 else "float32"
    header = {"classes": list(classes), "dtype": kind, "shape": list(x.shape)}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    images = x.astype("<u1" if kind == "uint8" else "<f4").tobytes(order="C")
    return "sha256:" + hashlib.sha256(text + images + y.astype("<i8").tobytes()).hexdigest()


def data(count=40, dtype=np.uint8):
    random = np.random.default_rng(count)
    return random.integers(0, 256, (count, 4, 5, 3)).astype(dtype), random.integers(0, 3, count)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(["u1", "<f4", ">f4"]), st.integers(1, 60), st.booleans(), st.sampled_from(["<i8", ">i8"]))
def test_it_is_what_the_format_says(dtype, count, backwards, integers):
    x, y = data(count, dtype)
    y = y.astype(integers)
    if backwards:
        x, y = x[:, ::-1].transpose(0, 2, 1, 3), y[::-1]
    assert data_fingerprint(x, y, CLASSES) == by_hand(x, y)


def test_more_images_than_are_read_at_a_time():
    x, y = np.random.default_rng(0).random((40, 200, 300, 3), np.float32), np.arange(40) % 3
    assert x.nbytes > 16 * 2**20
    assert data_fingerprint(x, y, CLASSES) == by_hand(x, y)


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f4"])
def test_it_is_the_same_wherever_the_data_lies(tmp_path, dtype):
    x, y = data(dtype=dtype)
    np.savez(tmp_path / "one.npz", x=x, y=y, classes=np.array(CLASSES))
    batches = [(x[:7], y[:7]), (x[7:], y[7:])]
    found = {
        source_of(x, y, CLASSES).fingerprint,
        spool_batches(batches, CLASSES).fingerprint,
        form_of(tmp_path / "one.npz").source(CLASSES, PictureReader()).fingerprint,
        load_data(tmp_path / "one.npz").fingerprint,
        ImageData(x, y, CLASSES, "another name", paths=("p",) * 40).fingerprint,
    }
    assert found == {by_hand(x, y)}


def test_several_shards_are_the_list_of_each(tmp_path):
    x, y = data()
    parts = [(slice(0, 7), "a"), (slice(7, 40), "b")]
    for rows, name in parts:
        np.savez(tmp_path / f"{name}.npz", x=x[rows], y=y[rows], classes=np.array(CLASSES))
    listed = json.dumps([by_hand(x[rows], y[rows]) for rows, _ in parts], separators=(",", ":")).encode()
    expected = f"sha256:{hashlib.sha256(listed).hexdigest()}"
    assert form_of(tmp_path).source(CLASSES, PictureReader()).fingerprint == expected


def test_other_images_labels_or_classes_have_another_one():
    x, y = data()
    others = [(x[::-1], y), (x, y[::-1]), (x, y), (x.astype(np.float32), y)]
    classes = [CLASSES, CLASSES, ("dog", "cat", "été"), CLASSES]
    found = [data_fingerprint(*other, names) for other, names in zip(others, classes, strict=True)]
    assert len({data_fingerprint(x, y, CLASSES), *found}) == 5


def test_a_decomposition_records_the_one_that_a_lockfile_or_an_evaluation_names():
    given = quadrants()
    made = quadrant_modules()
    named = ImageData(given.x, given.y, given.classes, "quadrants").fingerprint
    assert made.dataset.fingerprint == named == by_hand(given.x, given.y, given.classes)
    assert modhub.evaluate(made, (given.x, given.y, given.classes)).fingerprint == named
