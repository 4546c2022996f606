"""Releases as they come from anywhere: manifests, blobs, the arrays in them, and package folders."""

from __future__ import annotations

import json
import struct
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import fuzz_samples as samples
import numpy as np
from fuzz_formats import arrays_spoilt, bomb, frame_spoilt, network_spoilt
from fuzz_kinds import Case, Kind, WrongAnswer, attempt
from fuzz_mutators import bytes_spoilt, document_spoilt, large_document, sealed, value_spoilt

from modhub.limits import GIB, MAX_DECODED_BYTES, MAX_DECODED_RATIO, MAX_MANIFEST_BYTES, MIB
from modhub.package.codec import decode, decode_module, decode_weights, encode, wanted_weights
from modhub.package.decomposition import Decomposition, decomposition_from
from modhub.package.folder import load_manifest, load_package
from modhub.registry.index import entry_of
from modhub.registry.publication import next_minor, same_content, versioned
from modhub.spec.architecture import shapes_of
from modhub.spec.contract import check_same_input
from modhub.spec.digests import sha256
from modhub.spec.layout import blob_path
from modhub.spec.manifest import Manifest, StoredBlob, digest_of, read_manifest, write_manifest
from modhub.storage.verify import VerifiedBlob, verified_blob

_MANIFEST = write_manifest(samples.manifest())


# Manifests


def _manifest(chance: Random) -> Case:
    if chance.random() < 1 / 1000:
        return {"file": large_document(chance, MAX_MANIFEST_BYTES)}
    if chance.random() < 0.15:
        return {"file": _with_odd_network(chance)}
    other = chance.choice(list(samples.documents().values()))
    return {"file": document_spoilt(chance, _MANIFEST, other, digest_of="content")}


def _with_odd_network(chance: Random) -> bytes:
    value = json.loads(_MANIFEST)
    for _ in range(chance.choice((1, 1, 2))):
        network_spoilt(chance, value["content"]["origin"]["architecture"])
    return sealed(value, digest_of="content")


def _read_manifest(case: Case) -> bool:
    read = attempt(lambda: read_manifest(case["file"], what="the release x"))
    for manifest in read:
        _use(manifest)
    return bool(read)


def _use(manifest: Manifest) -> None:
    """What publishing, copying, indexing and composing do with a manifest before any blob is read."""
    content = manifest.content
    attempt(lambda: shapes_of(content.origin.architecture))
    attempt(lambda: check_same_input("a", content.contract, "b", samples.manifest().content.contract))
    write_manifest(manifest)
    if content.version is not None:
        entry_of(manifest)
        next_minor([content.version])
    if not same_content(manifest, manifest) or digest_of(versioned(manifest, "1.2.3").content) == manifest.digest:
        raise WrongAnswer("two versions of one release have one digest")


# Blobs as stored


def _blob(chance: Random) -> Case:
    decoded = chance.choice((_decoded_weights(), _decoded_module(), bytes(5000), b"x"))
    stored = frame_spoilt(chance, decoded)
    honest = StoredBlob(sha256=sha256(stored), size=max(len(stored), 1), decoded_size=len(decoded))
    changes: list[dict[str, Any]] = [
        {},
        {},
        {
            "decoded_size": chance.choice(
                (
                    1,
                    len(decoded) + 1,
                    MIB,
                    GIB,
                    min(MAX_DECODED_RATIO * honest.size, MAX_DECODED_BYTES),
                    MAX_DECODED_BYTES,
                )
            )
        },
        {"size": honest.size + 1},
        {"sha256": sha256(b"")},
    ]
    record = honest.model_copy(update=chance.choice(changes))
    digest = chance.choice((sha256(decoded), sha256(b"another")))
    if chance.random() < 0.05:
        size = chance.choice((MIB, 30 * MIB, 400 * MIB, GIB - 5))
        stored = bomb(size)
        record = StoredBlob(sha256=sha256(stored), size=len(stored), decoded_size=size)
    return {"stored": stored, "record": record.model_dump_json().encode(), "digest": digest.encode()}


def _verified(stored: bytes, record: StoredBlob) -> VerifiedBlob:
    return verified_blob([stored], record, what="the blob", hint="")


def _read_blob(case: Case) -> bool:
    record = StoredBlob.model_validate_json(case["record"])
    digest = case["digest"].decode()
    read = attempt(lambda: decode(_verified(case["stored"], record), digest, most=MIB))
    for decoded in read:
        if sha256(decoded) != digest:
            raise WrongAnswer(f"{digest} decodes to {sha256(decoded)}")
    return bool(read)


# Arrays


@cache
def _decoded() -> dict[str, bytes]:
    """The decoded bytes of every blob of the sample, by their digest."""
    manifest, blobs = samples.manifest(), samples.package().blobs
    return {digest: decode(blobs[record.sha256], digest, most=MIB) for digest, record in manifest.blobs.items()}


def _decoded_weights() -> bytes:
    return _decoded()[samples.manifest().content.origin.weights]


def _decoded_module() -> bytes:
    return _decoded()[samples.manifest().content.modules[0].blob]


def _weights(chance: Random) -> Case:
    return {"file": arrays_spoilt(chance, _decoded_weights(), _decoded_module())}


def _read_weights(case: Case) -> bool:
    read = attempt(lambda: decode_weights(case["file"], wanted_weights(samples.ARCHITECTURE, len(samples.CLASSES))))
    for weights in read:
        if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in weights.values()):
            raise WrongAnswer("weights that are no finite numbers")
    return bool(read)


def _module(chance: Random) -> Case:
    return {"file": arrays_spoilt(chance, _decoded_module(), _decoded_weights())}


def _read_module(case: Case) -> bool:
    shapes = shapes_of(samples.ARCHITECTURE)
    sites = {site: shapes[site] for site in samples.SITES}
    read = attempt(lambda: decode_module(case["file"], sites, shapes[samples.ARCHITECTURE.features][0]))
    for _, keep, concern in read:
        if any(masks[site].shape != shape for masks in (keep, concern) for site, shape in sites.items()):
            raise WrongAnswer("masks of another shape than their site")
    return bool(read)


# Whole releases


def _release(chance: Random) -> Case:
    """A manifest and its blobs; whatever was changed is in the table with its true size and digests."""
    value = json.loads(_MANIFEST)
    content, table = value["content"], value["blobs"]
    stored = {blob_path(digest): data for digest, data in samples.stored().items()}
    match chance.randrange(6):
        case 0 | 1:
            network_spoilt(chance, content["origin"]["architecture"])
        case 2:
            value_spoilt(
                chance, chance.choice((content, content["sites"], content["origin"], content["contract"], table))
            )
        case 3:
            weights = chance.random() < 0.5
            decoded, other = _decoded_weights(), _decoded_module()
            spoilt = arrays_spoilt(chance, decoded, other) if weights else arrays_spoilt(chance, other, decoded)
            blob = encode(spoilt) if spoilt else encode(b"\0")
            (content["origin"] if weights else content["modules"][0])["weights" if weights else "blob"] = blob.digest
            table[blob.digest] = blob.record.model_dump()
            stored[blob_path(blob.record.sha256)] = blob.stored
        case 4:
            _want_zeros(chance, content, table, stored)
        case _:
            path = chance.choice(list(stored))
            stored[path] = bytes_spoilt(chance, stored[path], chance.choice(list(stored.values())))
    return stored | {"manifest.json": sealed(value, digest_of="content")}


def _want_zeros(chance: Random, content: dict[str, Any], table: dict[str, Any], stored: Case) -> None:
    """A large network or many nodes, all of whose weights or masks are zeros that a few bytes decode to.

    Everything agrees, down to the digest where it costs little to know: only what is asked for is too much.
    """
    architecture = content["origin"]["architecture"]
    units = chance.choice((100, 5_000, 60_000))
    architecture["layers"]["hidden"]["units"] = units
    features = 8
    wanted = {"hidden/kernel": [features, units], "hidden/bias": [units], "head/kernel": [units, 3]}
    if chance.random() < 0.5:
        architecture["layers"]["wide"] = {"kind": "dense", "units": chance.choice((1_000, 30_000))}
        architecture["calls"].append({"id": "wide:0", "layer": "wide", "inputs": ["hidden:0"]})
        architecture["features"] = "wide:0"
        wide = architecture["layers"]["wide"]["units"]
        wanted |= {"wide/kernel": [units, wide], "wide/bias": [wide], "head/kernel": [wide, 3]}
    header, _ = _header_of(_decoded_weights())
    header |= {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in wanted.items()}
    size = 0
    for record in header.values():
        count = int(np.prod(record["shape"], dtype=np.int64)) * 4
        record["data_offsets"] = [size, size + count]
        size += count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start = struct.pack("<Q", len(text)) + text
    total = len(start) + size
    blob = _zeros_after(start, size)
    digest = sha256(start + bytes(size)) if total < 40 * MIB else sha256(b"who knows")
    content["origin"]["weights"] = digest
    table[digest] = StoredBlob(sha256=sha256(blob), size=len(blob), decoded_size=total).model_dump()
    stored[blob_path(sha256(blob))] = blob


def _header_of(decoded: bytes) -> tuple[dict[str, Any], int]:
    (size,) = struct.unpack("<Q", decoded[:8])
    return json.loads(decoded[8 : 8 + size]), size


def _zeros_after(start: bytes, zeros: int) -> bytes:
    """One frame: ``start`` as it is, then blocks that repeat a zero."""
    blocks = bomb(zeros)[14:]
    first = struct.pack("<I", len(start) << 3)[:3] + start
    return bomb(1)[:6] + struct.pack("<Q", len(start) + zeros) + first + blocks


def _read_release(case: Case) -> bool:
    read = attempt(lambda: read_manifest(case["manifest.json"], what="the release x"))
    for manifest in read:
        made = attempt(lambda manifest=manifest: _decomposition(manifest, case))
        for decomposition in made:
            _ = decomposition.package
        return bool(made)
    return False


def _decomposition(manifest: Manifest, case: Case) -> Decomposition:
    def read_blob(digest: str, record: StoredBlob) -> VerifiedBlob:
        return _verified(case.get(blob_path(record.sha256), b""), record)

    return decomposition_from(manifest, read_blob)


def _read_folder(case: Case) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in case.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        attempt(lambda: load_manifest(folder))
        return bool(attempt(lambda: load_package(folder)))


KINDS = [
    Kind("manifests", 40, _manifest, _read_manifest),
    Kind("blobs", 16, _blob, _read_blob),
    Kind("weights", 12, _weights, _read_weights),
    Kind("masks and heads", 12, _module, _read_module),
    Kind("releases", 16, _release, _read_release),
    Kind("package folders", 3, _release, _read_folder),
]
