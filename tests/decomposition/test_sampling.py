"""Which inputs are observed: shares, segments that tile every class, batches that hold them all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modhub.decomposition.sampling import Segment, class_order, draw, pack, segments

counts_of_classes = st.lists(st.integers(1, 40), min_size=2, max_size=8)
derandomized = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def sample_of(counts, *, samples_per_class=1000, seed=0):
    labels = np.random.default_rng(sum(counts)).permutation(np.repeat(np.arange(len(counts)), counts))
    return labels, draw(labels, len(counts), samples_per_class, seed)


# Drawing


@derandomized
@given(counts_of_classes, st.integers(1, 50), st.integers(0, 5))
def test_a_sample_holds_each_classes_own_inputs_once(counts, most, seed):
    labels, sample = sample_of(counts, samples_per_class=most, seed=seed)
    assert sample.counts == tuple(min(count, most) for count in counts)
    for cls, own in enumerate(sample.indices):
        assert len(set(own.tolist())) == len(own)
        assert (labels[own] == cls).all()


@derandomized
@given(counts_of_classes, st.integers(1, 30), st.integers(0, 5))
def test_a_smaller_sample_is_the_beginning_of_a_larger_one(counts, most, seed):
    _, small = sample_of(counts, samples_per_class=most, seed=seed)
    _, large = sample_of(counts, seed=seed)
    for few, many in zip(small.indices, large.indices, strict=True):
        np.testing.assert_array_equal(few, many[: len(few)])


def test_the_order_depends_on_seed_class_and_count_only():
    np.testing.assert_array_equal(class_order(50, 3, 7), class_order(50, 3, 7))
    orders = {class_order(50, cls, seed).tobytes() for cls in (3, 4) for seed in (7, 8)}
    assert len(orders) == 4
    assert sorted(class_order(50, 3, 7)) == list(range(50))


def test_other_classes_do_not_disturb_a_classes_order():
    """The same images of class 1 in the same order among themselves, other classes fewer and elsewhere."""
    labels = np.array([1, 0, 1, 2, 1, 1, 0, 2])
    fewer = np.array([1, 1, 1, 0, 1, 2])
    one, other = draw(labels, 3, 1000, 5).indices[1], draw(fewer, 3, 1000, 5).indices[1]
    rank = {index: rank for rank, index in enumerate(np.flatnonzero(labels == 1).tolist())}
    rank_fewer = {index: rank for rank, index in enumerate(np.flatnonzero(fewer == 1).tolist())}
    assert [rank[index] for index in one.tolist()] == [rank_fewer[index] for index in other.tolist()]


# Shares


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ((10, 10), (10, 10)),
        ((10, 4), (10, 4)),
        ((100,) * 10 + (99,), (10,) * 10 + (9,)),
        ((5, 5, 5, 5, 5, 5, 5), (1,) * 7),
        ((3, 9, 31), (1, 4, 15)),
    ],
)
def test_the_share_is_the_count_over_the_other_classes_and_at_least_one(counts, shares):
    assert sample_of(counts)[1].shares == shares


def test_unconcerned_inputs_are_the_first_of_every_other_class():
    _, sample = sample_of((6, 2, 9))
    expected = np.concatenate([sample.indices[0][:4], sample.indices[1][:4]])
    np.testing.assert_array_equal(sample.unconcerned(2), expected)
    assert sample.short_of(2) == {1: 2}
    assert sample.short_of(0) == {1: 2}
    assert sample.short_of(1) == {}


# Segments


@derandomized
@given(counts_of_classes)
def test_segments_tile_every_classes_order_once(counts):
    _, sample = sample_of(counts)
    parts = segments(sample)
    for cls, count in enumerate(sample.counts):
        own = [part for part in parts if part.cls == cls]
        assert [part.start for part in own] == [0, *(part.stop for part in own[:-1])]
        assert own[-1].stop == count
        assert all(part.start < part.stop for part in own)


@derandomized
@given(counts_of_classes)
def test_the_first_n_of_a_class_are_whole_segments(counts):
    """So that OR over rows of segments gives exactly "active in the first n_c", of as many as there are."""
    _, sample = sample_of(counts)
    parts = segments(sample)
    for cls, share in enumerate(sample.shares):
        for other, count in enumerate(sample.counts):
            if other != cls:
                covered = sum(part.stop - part.start for part in parts if part.cls == other and part.stop <= share)
                assert covered == (share if share < count else covered)
                assert covered in (share, *([count] if count <= share else []))


def test_equal_classes_have_two_segments_each():
    _, sample = sample_of((20,) * 5)
    assert segments(sample) == [Segment(cls, start, stop) for cls in range(5) for start, stop in ((0, 5), (5, 20))]


# Batches


@derandomized
@given(counts_of_classes, st.sampled_from([1, 2, 7, 12, 32, 256]))
def test_batches_hold_every_segment_and_repeat_only_inside_one(counts, batch_size):
    _, sample = sample_of(counts)
    parts = segments(sample)
    batches = pack(sample, parts, batch_size)
    number, groups, group = batches.images.shape
    assert groups * group == batch_size
    assert batches.rows.shape == (number, groups)
    seen = {row: set() for row in range(len(parts))}
    for images, row in zip(batches.images.reshape(-1, group), batches.rows.reshape(-1), strict=True):
        seen[int(row)] |= set(images.tolist())
    for row, part in enumerate(parts):
        assert seen[row] == set(sample.indices[part.cls][part.start : part.stop].tolist())


@derandomized
@given(counts_of_classes, st.sampled_from([8, 32, 256]))
def test_packing_wastes_less_than_one_image_a_group(counts, batch_size):
    _, sample = sample_of(counts)
    parts = segments(sample)
    batches = pack(sample, parts, batch_size)
    alone = pack(sample, parts, 1)
    assert alone.images.size == sum(sample.counts)
    # Never worse than groups of one image, which waste nothing but the last batch's end.
    assert batches.images.size // batch_size <= -(-sum(sample.counts) // batch_size) + len(parts)
