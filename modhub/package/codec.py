"""Blobs: named arrays as safetensors, compressed with zstd, verified before and after decompression.

A blob's identity is the digest of its decoded bytes, because zstd's output differs between versions; what is stored is
bounded and hashed first. Arrays are little-endian; masks are bit-packed, most significant bit first, nodes in C order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
import safetensors
import safetensors.numpy
import zstandard
from numpy.typing import NDArray

from modhub.errors import IntegrityError, plain, shown
from modhub.limits import MAX_DECODED_RATIO, MAX_MASK_NODES, MAX_WEIGHTS_RATIO
from modhub.package.module import Head, Module, PackedMasks, Weights
from modhub.spec.architecture import Architecture, shapes_of
from modhub.spec.digests import Digest, sha256
from modhub.spec.layer_record import Shape
from modhub.spec.manifest import StoredBlob
from modhub.storage.verify import VerifiedBlob

#: zstd's level for masks, which shrink by a seventh more at the highest, and are small.
_LEVEL: Final = 19


@dataclass(frozen=True, eq=False)
class Blob:
    """Encoded arrays: ``digest`` of the decoded bytes, the ``stored`` bytes that were hashed, and their record."""

    digest: Digest
    verified: VerifiedBlob

    @property
    def stored(self) -> bytes:
        return self.verified.stored

    @property
    def record(self) -> StoredBlob:
        return self.verified.record


def encode(decoded: bytes) -> Blob:
    """Compress decoded bytes and describe the result."""
    stored = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False).compress(decoded)
    record = StoredBlob(sha256=sha256(stored), size=len(stored), decoded_size=len(decoded))
    return Blob(sha256(decoded), VerifiedBlob(record, stored))


def decode(blob: VerifiedBlob, digest: str, *, most: int) -> bytes:
    """The decoded bytes of a blob whose stored bytes were verified; there may be ``most``.

    The digest of a release covers decoded digests and not its table of stored blobs, so this second check is no
    repetition of the first. Raises IntegrityError unless the decoded size and the decoded digest hold; never more than
    ``decoded_size`` bytes are decompressed.
    """
    record, stored = blob.record, blob.stored
    if record.decoded_size > most:
        raise _damaged(digest, f"it claims to hold {record.decoded_size} bytes where at most {most} fit what it is")
    if record.decoded_size > MAX_DECODED_RATIO * record.size:
        raise _damaged(digest, f"{record.size} bytes claim to hold {record.decoded_size}")
    try:
        # python-zstandard trusts the size in the frame's header over max_output_size, so it is compared first.
        if zstandard.frame_content_size(stored) != record.decoded_size:
            raise _damaged(digest, f"its frame does not hold the {record.decoded_size} bytes promised")
        decoded = zstandard.ZstdDecompressor().decompress(
            stored, max_output_size=record.decoded_size, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise _damaged(digest, f"zstd refuses it ({error})") from error
    if sha256(decoded) != digest:
        raise _damaged(digest, f"decoded it is {sha256(decoded)}")
    return decoded


#: Names of arrays to their types and shapes.
Expected = dict[str, tuple[str, Shape]]


def wanted_weights(architecture: Architecture, classes: int) -> Expected:
    """The arrays of a weights blob: those that the architecture and its head want."""
    shapes = shapes_of(architecture)
    wanted: dict[str, Shape] = {}
    for call in architecture.calls:
        own = architecture.layer_of(call).weight_shapes(shapes[call.inputs[0]])
        wanted |= {f"{call.layer}/{name}": shape for name, shape in own.items()}
    features = shapes[architecture.features][0]
    wanted |= {"head/kernel": (features, classes), "head/bias": (classes,)}
    return {name: ("float32", shape) for name, shape in wanted.items()}


def wanted_module(sites: Mapping[str, Shape], features: int) -> Expected:
    """The arrays of a module's blob; ``sites`` gives each site's shape. Raises IntegrityError for too many nodes."""
    nodes = sum(prod(shape) for shape in sites.values())
    if nodes > MAX_MASK_NODES:
        raise IntegrityError(
            f"the masks of the module have {nodes} nodes; at most {MAX_MASK_NODES} are allowed.",
            kind="bad-architecture",
        )
    wanted: Expected = {"head/kernel": ("float32", (features, 2)), "head/bias": ("float32", (2,))}
    for site, shape in sites.items():
        for part in ("keep", "concern"):
            wanted[f"{part}/{site}"] = ("uint8", (-(-prod(shape) // 8),))
    return wanted


def most_bytes(wanted: Expected, stored: int) -> int:
    """How many bytes a blob of these arrays, ``stored`` bytes as stored, decodes to at the most.

    What is more is refused before it is decoded. Masks may be nothing but ones, weights do not compress so well.
    """
    floats = sum(4 * prod(shape) for dtype, shape in wanted.values() if dtype == "float32")
    bits = sum(prod(shape) for dtype, shape in wanted.values() if dtype == "uint8")
    data = min(floats, MAX_WEIGHTS_RATIO * stored) + bits
    # safetensors' header: 8 bytes of length, then JSON with each name (escaped at worst), type, shape and offsets.
    return data + 1024 + sum(6 * len(name) + 256 for name in wanted)


def decode_weights(decoded: bytes, wanted: Expected) -> dict[str, NDArray[np.float32]]:
    """Weights from verified bytes, exactly those wanted, no variance below zero. Raises IntegrityError."""
    weights = _arrays(decoded, wanted, "weights")
    if (name := negative_variance(weights)) is not None:
        raise IntegrityError(
            f"the weights blob's array {shown(name)} holds a variance below zero ({float(weights[name].min()):g}), of "
            "which there is no root.",
            kind="bad-weights",
            weight=name,
        )
    return weights


def negative_variance(weights: Weights) -> str | None:
    """The name of the first variance of a normalisation that holds a number below zero."""
    variances = (name for name in weights if name.rpartition("/")[2] in ("moving_variance", "variance"))
    return next((name for name in variances if weights[name].min() < 0), None)


def encode_module(module: Module) -> bytes:
    """Masks and head of one module as decoded blob bytes."""
    arrays: dict[str, NDArray[np.generic]] = {"head/kernel": module.head.kernel, "head/bias": module.head.bias}
    for site in module.keep:
        arrays[f"keep/{site}"] = module.keep.bits[site]
        arrays[f"concern/{site}"] = module.concern.bits[site]
    return safetensors.numpy.save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})


def decode_module(decoded: bytes, sites: Mapping[str, Shape], features: int) -> tuple[Head, PackedMasks, PackedMasks]:
    """Head, ``keep`` and ``concern`` from verified bytes; ``sites`` gives each site's shape. Raises IntegrityError."""
    wanted = wanted_module(sites, features)
    arrays = _arrays(decoded, wanted, "module")
    for name, bits in arrays.items():
        padding = -prod(sites[name.partition("/")[2]]) % 8 if wanted[name][0] == "uint8" else 0
        if padding and bits[-1] & ((1 << padding) - 1):
            raise IntegrityError(
                f"the module blob's array {shown(name)} has bits behind its last node.", kind="bad-blob"
            )
    keep, concern = (
        PackedMasks({site: arrays[f"{part}/{site}"] for site in sites}, sites) for part in ("keep", "concern")
    )
    return Head(arrays["head/kernel"], arrays["head/bias"]), keep, concern


def _arrays(decoded: bytes, wanted: Mapping[str, tuple[str, Shape]], what: str) -> dict[str, NDArray]:  # type: ignore[type-arg]
    try:
        arrays = safetensors.numpy.load(decoded)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"the {what} blob is no safetensors file: {plain(str(error))}.", kind="bad-blob"
        ) from error
    check_arrays(arrays, wanted, what)
    for name, array in arrays.items():
        if array.dtype == "float32" and not np.isfinite(array).all():
            raise IntegrityError(f"the {what} blob's array {shown(name)} holds NaN or infinity.", kind="bad-blob")
    return arrays


def check_arrays(arrays: Mapping[str, NDArray], wanted: Mapping[str, tuple[str, Shape]], what: str) -> None:  # type: ignore[type-arg]
    """Raise IntegrityError unless the arrays of ``what`` are those wanted, by name, type and shape."""
    if arrays.keys() != wanted.keys():
        odd = sorted(arrays.keys() ^ wanted.keys())[0]
        raise IntegrityError(f"the {what} blob lacks, or has too many of, the array {shown(odd)}.", kind="bad-blob")
    for name, (dtype, shape) in wanted.items():
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise IntegrityError(
                f"the {what} blob's array {shown(name)} is {arrays[name].dtype} {plain(str(arrays[name].shape))}, "
                f"not {dtype} {shape}.",
                kind="bad-blob",
            )


def _damaged(digest: str, reason: str) -> IntegrityError:
    return IntegrityError(
        f"the blob {digest} is damaged: {reason}.",
        kind="bad-blob",
        hint="install it again; if it fails again, the registry's copy is damaged.",
        digest=digest,
    )
