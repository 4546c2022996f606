"""How much is worked on at a time follows from what is free, whatever the numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modhub.engine.run.memory import MOST_CHUNK, UNKNOWN_FREE, free_bytes, images_in_batch, images_in_chunk

BYTES = st.integers(0, 2**45)
MIB = 2**20


def test_the_least_that_anything_leaves_is_free():
    assert free_bytes(8000, None) == 8000
    assert free_bytes(8000, (9000, 2000)) == 7000
    assert free_bytes(8000, (9000, 2000), ((5000, 1000), (10_000, 9500))) == 500
    assert free_bytes(None, None, ((5000, 1000),)) == 4000
    assert free_bytes(None, None) == UNKNOWN_FREE
    assert free_bytes(8000, (1000, 2000)) == 0


def test_chunks_by_hand():
    assert images_in_chunk(800 * MIB, MIB, 16) == 96
    assert images_in_chunk(800 * MIB, MIB, 64) == 64
    assert images_in_chunk(0, MIB, 64) == 64
    assert images_in_batch(800 * MIB, MIB, 256) == 256
    assert images_in_batch(100 * MIB, MIB, 256) == 50
    assert images_in_batch(0, MIB, 256) == 1


@given(BYTES, st.integers(0, 2**30), st.integers(1, 4096))
def test_a_chunk_is_whole_batches_within_its_share(free, each, batch):
    chunk = images_in_chunk(free, each, batch)
    assert chunk % batch == 0
    assert chunk >= batch
    assert chunk == batch or chunk * each <= min(free // 8, MOST_CHUNK)


@given(BYTES, st.integers(0, 2**30), st.integers(1, 4096))
def test_a_batch_is_what_was_asked_or_what_fits(free, each, batch):
    size = images_in_batch(free, each, batch)
    assert 1 <= size <= batch
    assert size == 1 or size * each <= free // 2
    if size < batch:
        assert (size + 1) * max(1, each) > free // 2
