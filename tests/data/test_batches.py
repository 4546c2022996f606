"""Batches written to disk are the arrays that they were taken from; what does not fit together is refused by name."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.data.batches import spool_batches
from modhub.data.forms import source_of
from modhub.data.rows import Piece, Pieced, RowSlice
from modhub.errors import InvalidData, StorageError, UsageError

CLASSES = ("cat", "dog")


def data(count=50, dtype=np.uint8, seed=0):
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (count, 4, 5, 3)).astype(dtype)
    return x, random.integers(0, 2, count)


def batches(x, y, size):
    return ((x[at : at + size], y[at : at + size]) for at in range(0, len(x), size))


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([np.uint8, np.float32, np.float64]), st.integers(1, 60), st.integers(1, 25), st.data())
def test_any_rows_of_batches_are_those_of_the_array(dtype, count, size, draw):
    x, y = data(count, dtype)
    source, expected = spool_batches(batches(x, y, size), CLASSES), source_of(x, y, CLASSES)
    rows = np.array(draw.draw(st.lists(st.integers(0, count - 1), max_size=20)), np.int64)
    start = draw.draw(st.integers(0, count))
    for taken in (rows, slice(start, start + 7), slice(None)):
        np.testing.assert_array_equal(source.images[taken], expected.images[taken])
        assert source.images[taken].dtype == expected.images.dtype
    np.testing.assert_array_equal(source.labels, y)
    assert (source.images.min(), source.images.max()) == (x.min(), x.max())
    assert source.images.shape == x.shape
    assert source.fingerprint == expected.fingerprint


def test_rows_are_read_by_several_threads_at_once():
    x, y = data(400)
    images = spool_batches(batches(x, y, 64), CLASSES).images
    chosen = [np.random.default_rng(n).integers(0, 400, 64) for n in range(64)]
    with ThreadPoolExecutor(8) as pool:
        for rows, found in zip(chosen, pool.map(images.__getitem__, chosen), strict=True):
            np.testing.assert_array_equal(found, x[rows])


def test_pieces_and_parts_are_the_whole():
    x, _ = data(30)
    pieces = [Piece(0, x[:11]), Piece(11, RowSlice(x, 11, 17)), Piece(17, RowSlice(x, 17, 30))]
    joined, rows = Pieced(pieces), np.random.default_rng(1).integers(0, 30, 100)
    np.testing.assert_array_equal(joined[rows], x[rows])
    np.testing.assert_array_equal(joined[3:25], x[3:25])
    assert (joined.shape, joined.min(), joined.max()) == (x.shape, x.min(), x.max())
    assert (pieces[2].images.min(), pieces[2].images.max()) == (x[17:].min(), x[17:].max())


def test_what_can_only_be_indexed_is_taken_batch_by_batch():
    """As keras.utils.PyDataset, which does not end when it is iterated."""
    x, y = data(30)

    class Numbered:
        __iter__ = None

        def __len__(self):
            return 3

        def __getitem__(self, number):
            return x[number * 10 : number * 10 + 10], y[number * 10 : number * 10 + 10]

    np.testing.assert_array_equal(spool_batches(Numbered(), CLASSES).images[:], x)


WRONG = [
    (lambda x, y: iter(()), InvalidData, "there was not one batch. Hint: an iterator that was used up"),
    (lambda x, y: 7, UsageError, "the data has the type int."),
    (lambda x, y: [x], UsageError, "batch 0: it is a ndarray, not a pair of images and labels."),
    (
        lambda x, y: [(x, y), (x[:, :2], y)],
        InvalidData,
        "batch 1: images have the size 2x5x3, those before them 4x5x3.",
    ),
    (
        lambda x, y: [(x, y), (x / 2, y)],
        InvalidData,
        "batch 1: images have the dtype float32, those before them uint8.",
    ),
    (lambda x, y: [(x, y), (x, y[:-1])], InvalidData, "batch 1: y has 49 labels for 50 images."),
    (lambda x, y: [(x, y + 1)], InvalidData, "batch 0: y has the label 2 at image"),
    (lambda x, y: [(x, np.eye(3)[y])], InvalidData, "one-hot labels have a column for each of the 2 classes."),
    (lambda x, y: [(x, np.eye(2)[y] / 2)], InvalidData, "at image 0, which is not one-hot."),
    (lambda x, y: [(np.full_like(x, np.nan, float), y)], InvalidData, "batch 0: x has NaN or infinite values in 50"),
]


@pytest.mark.parametrize(("make", "kind", "message"), WRONG)
def test_wrong_batches_are_refused(make, kind, message):
    with pytest.raises(kind) as caught:
        source_of(make(*data()), None, CLASSES)
    assert message in str(caught.value)


def test_images_without_labels_are_refused():
    with pytest.raises(UsageError) as caught:
        source_of(data()[0], None, CLASSES)
    assert str(caught.value).startswith("the data has images, but no labels.")


def test_a_full_disk_is_said_to_be_one(monkeypatch):
    def fails(*arguments, **options):
        return open("/dev/full", "w+b", buffering=0)  # noqa: PTH123

    monkeypatch.setattr(tempfile, "TemporaryFile", fails)
    with pytest.raises(StorageError) as caught:
        spool_batches(batches(*data(), 10), CLASSES)
    assert "images cannot be written in" in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert "TMPDIR" in str(caught.value)


# Data that never ends


class Endless:
    """As keras.preprocessing.image's iterators: a length, and no end."""

    def __init__(self, x, y, length):
        self.x, self.y, self.length, self.read = x, y, length, 0

    def __len__(self):
        if self.length is None:
            raise NotImplementedError
        return self.length

    def __iter__(self):
        return self

    def __next__(self):
        self.read += 1
        return self.x, self.y


class Pipeline(Endless):
    """As tf.data's data sets: a cardinality, and no length where that is not finite."""

    def cardinality(self):
        return np.int64(self.length)

    def __len__(self):
        raise TypeError


def test_batches_that_know_their_number_are_read_once():
    x, y = data(20)
    for made in (Endless(x, y, 3), Pipeline(x, y, 3)):
        assert len(spool_batches(made, CLASSES).labels) == 60
        assert made.read == 3


@pytest.mark.parametrize(("what", "option"), [("", "steps=N"), ("validation ", "validation_steps=N")])
def test_a_pipeline_that_repeats_for_ever_is_refused_unread(what, option):
    made = Pipeline(*data(20), -1)
    with pytest.raises(InvalidData, match=f"the {what}data repeats for ever") as caught:
        source_of(made, None, CLASSES, what=what)
    assert caught.value.kind == "endless-data"
    assert option in caught.value.hint
    assert made.read == 0
    assert len(source_of(made, None, CLASSES, what=what, steps=2).labels) == 40


@pytest.mark.parametrize("make", [Endless, Pipeline])
def test_what_says_nothing_of_its_length_ends_at_a_stated_number(make):
    x, y = np.zeros((100_000, 1, 1, 1), np.uint8), np.zeros(100_000, np.int64)
    made = make(x, y, None if make is Endless else -2)
    with pytest.raises(InvalidData, match="gave more than 2,000,000 images in 21 batches") as caught:
        spool_batches(made, CLASSES)
    assert (caught.value.kind, made.read) == ("endless-data", 21)
    assert "steps=N" in caught.value.hint
    assert len(spool_batches(make(x, y, -2), CLASSES, steps=22).labels) == 2_200_000


def test_half_of_the_free_disk_is_enough_for_what_says_nothing_of_its_length(monkeypatch):
    x, y = data(10)
    free = shutil.disk_usage(tempfile.gettempdir())._replace(free=6 * x.nbytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    with pytest.raises(InvalidData, match=r"more than half of the [0-9,]+ bytes that were free in .* in 4 batches"):
        spool_batches(Endless(x, y, None), CLASSES)
    assert len(spool_batches(Endless(x, y, None), CLASSES, steps=7).labels) == 70


def test_a_full_disk_says_that_the_data_may_be_endless(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "w+b", buffering=0))  # noqa: PTH123, SIM115
    with pytest.raises(StorageError) as caught:
        spool_batches(batches(*data(), 10), CLASSES)
    assert "After 10 images: if the data never ends, say how many batches to read with steps=N" in caught.value.hint


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "3"])
def test_steps_are_a_number_of_batches(steps):
    with pytest.raises(UsageError, match="steps is"):
        source_of(batches(*data(), 10), None, CLASSES, steps=steps)


def test_steps_for_arrays_are_refused():
    with pytest.raises(UsageError, match="does not come in batches"):
        source_of(*data(), CLASSES, steps=3)
