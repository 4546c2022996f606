"""Weights as bytes, one array after the other: hashed and compressed without a copy of all of them in memory.

The bytes are safetensors' own for float32 arrays, sorted by name: eight bytes of length, a JSON header with each name,
shape and place, spaces up to a multiple of eight, and the numbers, little-endian.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
import zstandard

from modhub.package.codec import Blob
from modhub.package.module import Weights
from modhub.spec.digests import Digest, sha256
from modhub.spec.manifest import StoredBlob
from modhub.storage.verify import VerifiedBlob

#: zstd's level. Trained weights are as large at 9 as at 19, which takes a hundred times as long: of their bytes only
#: the exponents repeat.
_LEVEL: Final = 9


def encode_weights(weights: Weights) -> bytes:
    """All weights of an origin as decoded blob bytes; equal weights give equal bytes."""
    return b"".join(_parts(weights))


def weights_digest(weights: Weights) -> Digest:
    """The digest of ``encode_weights``."""
    digest = hashlib.sha256()
    for part in _parts(weights):
        digest.update(part)
    return Digest(f"sha256:{digest.hexdigest()}")


def weights_blob(weights: Weights) -> Blob:
    """The weights compressed and described, in one pass."""
    size, digest, stored = 0, hashlib.sha256(), io.BytesIO()
    whole = sum(len(part) for part in _parts(weights))
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False)
    with compressor.stream_writer(stored, size=whole, closefd=False) as writer:
        for part in _parts(weights):
            digest.update(part)
            writer.write(part)
            size += len(part)
    compressed = stored.getvalue()
    record = StoredBlob(sha256=sha256(compressed), size=len(compressed), decoded_size=size)
    return Blob(Digest(f"sha256:{digest.hexdigest()}"), VerifiedBlob(record, compressed))


def _parts(weights: Weights) -> Iterator[bytes | memoryview]:
    """The header, and each array's bytes."""
    header, place = {}, 0
    for name in sorted(weights):
        shape = np.shape(weights[name])
        stop = place + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, stop]}
        place = stop
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], "<f4")
        if array.size:
            yield array.reshape(-1).view(np.uint8).data
