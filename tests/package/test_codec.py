"""Blobs: what goes in comes out, and whatever was done to the bytes in between is noticed before it is believed."""

from __future__ import annotations

import json
import struct
import tracemalloc
from math import prod

import numpy as np
import pytest
import safetensors.numpy
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modhub.errors import IntegrityError
from modhub.package.codec import (
    decode,
    decode_module,
    decode_weights,
    encode,
    encode_module,
    most_bytes,
    wanted_module,
    wanted_weights,
)
from modhub.package.module import PackedMasks
from modhub.package.weights_blob import encode_weights, weights_blob, weights_digest
from modhub.spec.digests import sha256
from modhub.spec.manifest import StoredBlob
from modhub.storage.verify import verified_blob
from tests.small_origins import quadrant_modules

DECODED = bytes(range(256)) * 40
BLOB = encode(DECODED)
derandomized = settings(deadline=None, derandomize=True, database=None)


def record_of(stored, decoded_size=10_240):
    """The record that a dishonest registry would write for ``stored``: its own size and digest are true."""
    return StoredBlob(sha256=sha256(stored), size=len(stored), decoded_size=decoded_size)


def verified(stored, record):
    return verified_blob([stored], record, what="the blob", hint="")


def decoded_of(stored, record, digest):
    return decode(verified(stored, record), digest, most=2**33)


# Compression


def test_a_blob_comes_back():
    assert decoded_of(BLOB.stored, BLOB.record, BLOB.digest) == DECODED
    assert BLOB.record.decoded_size == len(DECODED)
    assert BLOB.digest == sha256(DECODED)


@derandomized
@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_come_back(data):
    blob = encode(data)
    assert decoded_of(blob.stored, blob.record, blob.digest) == data


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored[:-1],
        lambda stored: stored[: len(stored) // 2],
        lambda stored: b"",
        lambda stored: stored + b"\0",
        lambda stored: stored + stored,
        lambda stored: bytes(len(stored)),
        lambda stored: stored[::-1],
        lambda stored: encode(DECODED[::-1]).stored,
    ],
    ids=["one byte short", "half", "nothing", "padded", "twice", "zeroed", "reversed", "another blob"],
)
def test_other_bytes_than_stored_are_refused_before_anything_is_decompressed(damage):
    with pytest.raises(IntegrityError) as caught:
        decoded_of(damage(BLOB.stored), BLOB.record, BLOB.digest)
    assert caught.value.kind in {"truncated", "padded", "zeroed", "swapped"}
    wanted = f"{BLOB.record.size} bytes" if caught.value.kind in {"truncated", "padded"} else BLOB.record.sha256
    assert str(caught.value).startswith("the blob is ")
    assert f"instead of {wanted}" in str(caught.value)


@derandomized
@given(st.integers(0, len(BLOB.stored) - 1), st.integers(1, 255))
def test_one_byte_changed_is_refused_even_under_a_record_that_agrees(position, change):
    stored = bytearray(BLOB.stored)
    stored[position] ^= change
    with pytest.raises(IntegrityError):
        decoded_of(bytes(stored), BLOB.record, BLOB.digest)
    with pytest.raises(IntegrityError):
        decoded_of(bytes(stored), record_of(bytes(stored)), BLOB.digest)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (encode(DECODED[::-1]).stored, "decoded it is "),
        (b"no zstd at all, but as long as it likes" * 5, "zstd refuses it"),
        (BLOB.stored + BLOB.stored, "zstd refuses it"),
        (BLOB.stored + encode(b"more").stored, "zstd refuses it"),
        (b"\x50\x2a\x4d\x18\x04\0\0\0skip" + BLOB.stored, "its frame does not hold the 10240 bytes promised"),
        (zstandard.ZstdCompressor(write_content_size=False).compress(DECODED), "its frame does not hold"),
        (encode(DECODED[:-1]).stored, "its frame does not hold the 10240 bytes promised"),
        (encode(DECODED + b"x").stored, "its frame does not hold the 10240 bytes promised"),
        (BLOB.stored[:-3], "zstd refuses it"),
    ],
    ids=[
        "same length",
        "no zstd",
        "two frames",
        "a second frame",
        "a skippable frame",
        "no size",
        "too short",
        "too long",
        "truncated",
    ],
)
def test_a_frame_that_is_not_what_the_record_promises_is_refused(stored, message):
    with pytest.raises(IntegrityError) as caught:
        decoded_of(stored, record_of(stored), BLOB.digest)
    assert message in str(caught.value)


def lying(content, claimed):
    """A zstd frame of ``content`` whose header claims ``claimed`` bytes."""
    frame = bytearray(zstandard.ZstdCompressor(level=19, write_checksum=False).compress(content))
    descriptor = frame[4]
    # Rewritten as: 8-byte content size, no single segment, the largest window below 128 MiB.
    assert descriptor & 0x20
    own_size = {0: 1, 1: 2, 2: 4, 3: 8}[descriptor >> 6]
    return bytes(frame[:4]) + bytes([0xC0, 0x78]) + struct.pack("<Q", claimed) + bytes(frame[5 + own_size :])


def test_the_lying_frames_of_these_tests_are_real_frames():
    frame = lying(DECODED, len(DECODED))
    assert decoded_of(frame, record_of(frame), BLOB.digest) == DECODED


@pytest.mark.parametrize("claimed", [1, 100, 10_239, 10_241, 2**20, 2**62])
def test_a_frame_with_a_wrong_size_is_refused(claimed):
    frame = lying(DECODED, claimed)
    with pytest.raises(IntegrityError):
        decoded_of(frame, record_of(frame), BLOB.digest)
    with pytest.raises(IntegrityError):
        decoded_of(frame, record_of(frame, min(claimed, 2**30)), BLOB.digest)


def test_a_bomb_gives_up_no_more_than_was_promised():
    """300 MiB of zeros in some 10 KiB under a record that promises a kilobyte, honest in its header and lying."""
    zeros = 300 * 2**20
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(zeros))
    small = lying(bytes(2**20), 1024)
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError, match="its frame does not hold the 1024 bytes promised"):
            decoded_of(bomb, record_of(bomb, 1024), BLOB.digest)
        with pytest.raises(IntegrityError):
            decoded_of(small, record_of(small, 1024), BLOB.digest)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_record_that_promises_more_than_such_bytes_can_hold_is_refused():
    stored = zstandard.ZstdCompressor(level=19).compress(bytes(2**22))
    with pytest.raises(IntegrityError, match=r"the blob .* is damaged: \d+ bytes claim to hold 8589934592\."):
        decoded_of(stored, record_of(stored, 2**33), BLOB.digest)


def test_more_than_what_it_is_can_have_is_refused_before_decoding():
    """The digest does not cover the blob table, so a host may promise anything."""
    decoded = encode_weights(ORIGIN.weights)
    wanted = wanted_weights(ORIGIN.architecture, len(ORIGIN.classes))
    most = most_bytes(wanted, len(encode(decoded).stored))
    assert len(decoded) <= most <= len(decoded) + 4096
    module = wanted_module(SITES, FEATURES)
    assert len(encode_module(MODULE)) <= most_bytes(module, 1)
    stored = zstandard.ZstdCompressor(level=19).compress(bytes(most + 1))
    with pytest.raises(IntegrityError, match=f"claims to hold {most + 1} bytes where at most {most} fit what it is"):
        decode(verified(stored, record_of(stored, most + 1)), BLOB.digest, most=most)


def test_masks_of_all_ones_stay_within_the_ratio():
    ones = np.packbits(np.ones(2**26, bool)).tobytes()
    blob = encode(ones)
    assert decoded_of(blob.stored, blob.record, blob.digest) == ones


# Weights


ORIGIN = quadrant_modules().origin
MODULE = quadrant_modules().modules[0]
SITES = {site: MODULE.keep.shapes[site] for site in MODULE.keep}
FEATURES = MODULE.head.kernel.shape[0]


def read_weights(decoded):
    return decode_weights(decoded, wanted_weights(ORIGIN.architecture, len(ORIGIN.classes)))


def read_module(decoded):
    return decode_module(decoded, SITES, FEATURES)


def test_weights_come_back_and_equal_ones_give_equal_bytes():
    decoded = encode_weights(ORIGIN.weights)
    found = read_weights(decoded)
    assert set(found) == set(ORIGIN.weights)
    for name, value in ORIGIN.weights.items():
        np.testing.assert_array_equal(found[name], value)
    assert encode_weights(dict(reversed(ORIGIN.weights.items()))) == decoded
    assert encode_weights(found) == decoded
    columns_first = {name: np.asfortranarray(value) for name, value in ORIGIN.weights.items()}
    assert encode_weights(columns_first) == decoded


NUMBERS = arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=4, max_side=3))


@settings(max_examples=30)
@given(st.dictionaries(st.text(min_size=1, max_size=6), NUMBERS, max_size=4))
def test_weights_are_safetensors_own_bytes_in_whatever_way_they_are_made(weights):
    whole = encode_weights(weights)
    assert whole == safetensors.numpy.save({name: np.array(value, order="C") for name, value in weights.items()})
    blob = weights_blob(weights)
    assert blob.digest == weights_digest(weights) == sha256(whole)
    assert decode(blob.verified, blob.digest, most=len(whole)) == whole


def test_weights_are_not_copied_to_be_hashed_and_only_their_compressed_bytes_are_kept():
    weights = {"large": np.random.default_rng(0).normal(size=2**21).astype(np.float32)}
    peaks = []
    for work in (weights_digest, weights_blob):
        tracemalloc.start()
        work(weights)
        peaks.append(tracemalloc.get_traced_memory()[1] / weights["large"].nbytes)
        tracemalloc.stop()
    assert peaks[0] < 0.1
    assert peaks[1] < 1.3


def test_a_module_comes_back():
    head, keep, concern = read_module(encode_module(MODULE))
    np.testing.assert_array_equal(head.kernel, MODULE.head.kernel)
    np.testing.assert_array_equal(head.bias, MODULE.head.bias)
    for ours, found in ((MODULE.keep, keep), (MODULE.concern, concern)):
        assert list(found) == list(ours)
        for site in ours:
            np.testing.assert_array_equal(found[site], ours[site])
    assert keep.key() == MODULE.keep.key() != concern.key()


def changed(**changes):
    """The weights blob with some arrays replaced, added, or (None) left out."""
    values = {**ORIGIN.weights, **{name.replace("__", "/"): value for name, value in changes.items()}}
    return safetensors.numpy.save({name: value for name, value in values.items() if value is not None})


def with_nan(name, value):
    array = ORIGIN.weights[name].copy()
    array.reshape(-1)[-1] = value
    return array


@pytest.mark.parametrize(
    ("decoded", "message"),
    [
        (changed(head__bias=None), "lacks, or has too many of, the array 'head/bias'"),
        (changed(extra=np.zeros(3, np.float32)), "lacks, or has too many of, the array 'extra'"),
        (changed(head__bias=np.zeros(5, np.float32)), "'head/bias' is float32 (5,), not float32 (4,)"),
        (changed(head__bias=np.zeros((1, 4), np.float32)), "'head/bias' is float32 (1, 4), not float32 (4,)"),
        (changed(head__bias=np.zeros(4, np.float64)), "'head/bias' is float64 (4,), not float32 (4,)"),
        (changed(head__bias=np.zeros(4, np.int32)), "'head/bias' is int32 (4,), not float32 (4,)"),
        (changed(norm__gamma=with_nan("norm/gamma", np.nan)), "'norm/gamma' holds NaN or infinity"),
        (changed(stem__kernel=with_nan("stem/kernel", -np.inf)), "'stem/kernel' holds NaN or infinity"),
        (b"", "the weights blob is no safetensors file"),
        (b"\0" * 64, "the weights blob is no safetensors file"),
        (encode_module(MODULE), "lacks, or has too many of, the array"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weights_other_than_the_architecture_wants_are_refused(decoded, message):
    with pytest.raises(IntegrityError) as caught:
        read_weights(decoded)
    assert caught.value.kind == "bad-blob"
    assert message in str(caught.value)


def test_a_module_for_another_network_is_refused():
    with pytest.raises(IntegrityError, match=r"'head/kernel' is float32 \(24, 2\), not float32 \(25, 2\)"):
        decode_module(encode_module(MODULE), SITES, FEATURES + 1)
    larger = {**SITES, "stem:0": (9, 8, 5)}
    with pytest.raises(IntegrityError, match=r"'keep/stem:0' is uint8 \(40,\), not uint8 \(45,\)"):
        decode_module(encode_module(MODULE), larger, FEATURES)
    fewer = dict(list(SITES.items())[1:])
    with pytest.raises(IntegrityError, match="lacks, or has too many of, the array 'concern/stem:0'"):
        decode_module(encode_module(MODULE), fewer, FEATURES)


def header_and_data(decoded):
    (size,) = struct.unpack("<Q", decoded[:8])
    return json.loads(decoded[8 : 8 + size]), decoded[8 + size :]


def with_header(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def lied(**fields):
    """The weights blob whose header says something else of ``head/bias``."""
    header, data = header_and_data(encode_weights(ORIGIN.weights))
    header["head/bias"] = {**header["head/bias"], **fields}
    return with_header(header, data)


@pytest.mark.parametrize(
    "decoded",
    [
        lied(data_offsets=[0, 2**40]),
        lied(data_offsets=[16, 0]),
        lied(data_offsets=[-16, 0]),
        lied(data_offsets=[0, 8]),
        lied(data_offsets=[3, 19]),
        lied(shape=[2**62]),
        lied(shape=[-4]),
        lied(shape=["4"]),
        lied(shape=[2, 2]),
        lied(shape=[0], data_offsets=[0, 0]),
        lied(dtype="F64"),
        lied(dtype="BF16"),
        lied(dtype="F8_E4M3"),
        lied(dtype="python/object"),
        lied(dtype="BOOL"),
        lied(dtype="C64"),
        struct.pack("<Q", 2**63) + encode_weights(ORIGIN.weights)[8:],
        struct.pack("<Q", 10**8) + encode_weights(ORIGIN.weights)[8:],
        with_header(b"\xff\xfe{}", b""),
        with_header(b"[" * 5000, b""),
        with_header([], b""),
        with_header({"__metadata__": {"a": 1}}, b""),
        encode_weights(ORIGIN.weights)[:-4],
        encode_weights(ORIGIN.weights) + bytes(4),
    ],
)
def test_a_wrong_header_is_refused(decoded):
    with pytest.raises(IntegrityError) as caught:
        read_weights(decoded)
    assert "the weights blob" in str(caught.value)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 1200), st.integers(0, 255))
def test_no_byte_of_a_header_breaks_more_than_the_reading(position, value):
    decoded = bytearray(encode_module(MODULE))
    position %= 8 + struct.unpack("<Q", bytes(decoded[:8]))[0]
    decoded[position] = value
    try:
        head, keep, _ = read_module(bytes(decoded))
    except IntegrityError:
        return
    assert head.kernel.shape == (FEATURES, 2)
    assert {site: keep[site].shape for site in keep} == SITES


# Masks


@derandomized
@given(st.data())
def test_packed_masks_come_back(data):
    shapes = data.draw(st.lists(arrays.array_shapes(min_dims=1, max_dims=3, max_side=9), min_size=1, max_size=4))
    masks = {f"site {k}": data.draw(arrays.arrays(bool, shape)) for k, shape in enumerate(shapes)}
    packed = PackedMasks.of(masks)
    assert list(packed) == list(masks)
    assert len(packed) == len(masks)
    for site, mask in masks.items():
        assert packed[site].dtype == bool
        np.testing.assert_array_equal(packed[site], mask)
        assert packed.bits[site].nbytes == -(-prod(mask.shape) // 8)
    assert PackedMasks.of(packed) is packed
    again = PackedMasks.of({site: np.asfortranarray(mask) for site, mask in masks.items()})
    assert again.key() == packed.key()
    site = data.draw(st.sampled_from(sorted(masks)))
    other = masks | {site: ~masks[site]}
    assert PackedMasks.of(other).key() != packed.key()
