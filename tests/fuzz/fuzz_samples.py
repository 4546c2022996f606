"""Valid files of every kind that modhub reads: small, the same on every run, made without a network library.

The release is a real one, whose blobs decode and whose network has every kind of layer, so that a mutation of it gets
as deep into the readers as it can.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from modhub.installation.lockfile import Lock
from modhub.package.decomposition import Decomposition
from modhub.package.folder import Package
from modhub.package.module import Head, Module, Origin, PackedMasks
from modhub.registry.publication import versioned
from modhub.registry.reindex import reindex
from modhub.registry.writer import Registry
from modhub.resolve.catalog import Pinned
from modhub.signing.keys import PublicKey, Signer, write_private_key
from modhub.signing.statements import Statement
from modhub.spec.architecture import Architecture, shapes_of
from modhub.spec.digests import canonical_json, sha256
from modhub.spec.input_contract import ImageContract
from modhub.spec.layout import MARKER, blob_path, record_path, release_path, signature_path
from modhub.spec.manifest import (
    Accuracy,
    Dataset,
    DecomposeOptions,
    Manifest,
    Metric,
    Provenance,
    SiteRecord,
    Stages,
    write_manifest,
)
from modhub.spec.refs import ModelRef, ModuleRef
from modhub.spec.registry_files import (
    AliasRecord,
    GcCandidate,
    GcCandidates,
    IndexShard,
    NamespaceCatalog,
    RegistryMarker,
    RevocationRecord,
    SearchCatalog,
    TombstoneRecord,
    YankRecord,
    write_document,
)
from modhub.storage.memory import MemoryStore

TIME = "2026-01-01T00:00:00+00:00"
CLASSES = ("cat", "potter's wheel", "crème brûlée")

ARCHITECTURE = Architecture.model_validate(
    {
        "input_shape": [8, 8, 1],
        "layers": {
            "scaled": {"kind": "rescaling", "scale": [0.5], "offset": [0.0]},
            "normal": {"kind": "normalization"},
            "border": {"kind": "zero_padding2d", "padding": [[1, 0], [0, 1]]},
            "conv": {"kind": "conv2d", "filters": 4, "kernel_size": [3, 3], "padding": "same", "activation": "relu"},
            "norm": {"kind": "batch_normalization"},
            "relu": {"kind": "relu", "max_value": 6.0},
            "pool": {"kind": "max_pooling2d", "pool_size": [2, 2], "strides": [2, 2]},
            "grouped": {"kind": "conv2d", "filters": 4, "kernel_size": [1, 1], "groups": 2, "use_bias": False},
            "add": {"kind": "add"},
            "join": {"kind": "concatenate", "axis": 2},
            "mean": {"kind": "global_average_pooling2d"},
            "shape": {"kind": "reshape", "target_shape": [2, 4]},
            "flatten": {"kind": "flatten"},
            "dropout": {"kind": "identity"},
            "hidden": {"kind": "dense", "units": 6, "activation": "relu"},
        },
        "calls": [
            {"id": call, "layer": layer, "inputs": inputs}
            for call, layer, inputs in (
                ("scaled:0", "scaled", ["input"]),
                ("normal:0", "normal", ["scaled:0"]),
                ("border:0", "border", ["normal:0"]),
                ("conv:0", "conv", ["border:0"]),
                ("norm:0", "norm", ["conv:0"]),
                ("relu:0", "relu", ["norm:0"]),
                ("pool:0", "pool", ["relu:0"]),
                ("grouped:0", "grouped", ["pool:0"]),
                ("grouped:1", "grouped", ["grouped:0"]),
                ("add:0", "add", ["grouped:0", "grouped:1"]),
                ("join:0", "join", ["add:0", "pool:0"]),
                ("mean:0", "mean", ["join:0"]),
                ("shape:0", "shape", ["mean:0"]),
                ("flatten:0", "flatten", ["shape:0"]),
                ("dropout:0", "dropout", ["flatten:0"]),
                ("hidden:0", "hidden", ["dropout:0"]),
            )
        ],
        "features": "hidden:0",
        "head": "softmax",
    }
)
SITES = ("conv:0", "relu:0", "hidden:0")


@cache
def origin() -> Origin:
    """A network with weights, and what it takes."""
    chance = np.random.default_rng(0)
    shapes = shapes_of(ARCHITECTURE)
    wanted = {
        f"{call.layer}/{name}": shape
        for call in ARCHITECTURE.calls
        for name, shape in ARCHITECTURE.layer_of(call).weight_shapes(shapes[call.inputs[0]]).items()
    }
    features = shapes[ARCHITECTURE.features][0]
    wanted |= {"head/kernel": (features, len(CLASSES)), "head/bias": (len(CLASSES),)}
    contract = ImageContract(
        height=8, width=8, channels=1, dtype="uint8", value_range=(0, 255), colour="grey", rescale=1 / 255
    )
    return Origin(
        namespace="me",
        model="net",
        classes=CLASSES,
        architecture=ARCHITECTURE,
        weights={name: chance.random(shape, np.float32) for name, shape in wanted.items()},
        contract=contract,
        fingerprint=sha256(b"origin"),
        accuracy=(Accuracy(data="tiny", examples=30, top_1=0.9, top_5=1.0),),
    )


@cache
def package() -> Package:
    """A release, me/net@1.0.0, whose blobs decode to arrays that fit its network."""
    chance, shapes = np.random.default_rng(1), shapes_of(ARCHITECTURE)
    modules = tuple(_module(origin(), index, chance) for index in range(len(CLASSES)))
    decomposition = Decomposition(
        origin=origin(),
        modules=modules,
        dataset=Dataset(name="tiny", examples=30, fingerprint=sha256(b"tiny")),
        options=DecomposeOptions(delta="q95"),
        sites=tuple(SiteRecord(id=site, shape=shapes[site]) for site in SITES),
        provenance=Provenance(created=TIME, tool="fuzz", backend="none", versions={"numpy": "2"}),
    )
    made = decomposition.package
    return Package(versioned(made.manifest, "1.0.0"), made.blobs)


def stored() -> dict[str, bytes]:
    """The stored bytes of the sample's blobs, by their sha256."""
    return {digest: blob.stored for digest, blob in package().blobs.items()}


def _module(origin: Origin, index: int, chance: np.random.Generator) -> Module:
    shapes = shapes_of(origin.architecture)
    masks = [PackedMasks.of({site: chance.random(shapes[site]) < share for site in SITES}) for share in (0.7, 0.5)]
    counts = tuple(prod(shapes[site]) for site in SITES)
    none = (0,) * len(SITES)
    features = shapes[origin.architecture.features][0]
    return Module(
        origin=origin,
        index=index,
        name=origin.classes[index],
        slug=("cat", "potters-wheel", "creme-brulee")[index],
        keep=masks[0],
        concern=masks[1],
        head=Head(chance.random((features, 2), np.float32), chance.random(2, np.float32)),
        threshold=0.25,
        scale=1.5,
        concerned=10,
        unconcerned=10,
        stages=Stages(concern=counts, tangled=none, last_conv=none, input=none, kept=counts),
        jaccard=0.5,
        jaccard_weights=0.75,
        metrics=(
            Metric(data="tiny", examples=30, vote_recall=0.9, vote_precision=0.9, own_recall=0.8, own_precision=0.8),
        ),
    )


def manifest() -> Manifest:
    return package().manifest


# Keys and signatures

STATEMENT = Statement("release", "me/net@1.0.0", sha256(b"a release"))
#: An Ed25519 key under the passphrase ``pass``.
LOCKED_KEY = b"""\
public: ed25519:O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBCStOjy7aEbqqJB/mxy
h+HlAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQY+mK8SnyWiIj8OPa
Ab3KlgRAXFDnd64TGa9PAGzokeZCNdnmO56t5CdQ5Cxp68uy/MU8g+NIvfUUQort
88aHWM1svVjWbT+5FUPEfdYGSQhXgA==
-----END ENCRYPTED PRIVATE KEY-----
"""


@cache
def signer() -> Signer:
    """The same key on every run, so that nothing here depends on chance."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    return Signer("mine", PublicKey(private.public_key().public_bytes_raw()), private)


def private_key() -> bytes:
    return write_private_key(signer(), None)


def signature_of(statement: Statement) -> bytes:
    return write_document(signer().sign(statement))


# Small files


def _chain(model: type[Any], name: str, entries: list[dict[str, Any]]) -> list[Any]:
    """A history whose entries name each other, as they are appended."""
    made: list[Any] = []
    for number, fields in enumerate(entries, 1):
        previous = sha256(write_document(made[-1])) if made else None
        made.append(model(format=1, number=number, name=name, previous=previous, created=TIME, **fields))
    return made


ALIASES = _chain(AliasRecord, "n", [{"target": "you/other"}, {"target": None}, {"target": "me/net"}])
YANKS = _chain(YankRecord, "me/net/1.1.0", [{"yanked": True, "reason": "it was made from the wrong data"}])
TOMBSTONES = _chain(TombstoneRecord, "you/other/2.0.0-rc.1", [{"reason": "a request from the owner of the images"}])
REVOCATIONS = _chain(RevocationRecord, "1f" * 32, [{"reason": "the laptop was stolen"}])


@cache
def documents() -> dict[type[BaseModel], bytes]:
    """One valid file of every model in ``modhub.spec.registry_files``."""
    registry = registry_files()
    shard = IndexShard.model_validate_json(_without_checksum(registry["index/me/net.json"]))
    catalog = NamespaceCatalog.model_validate_json(_without_checksum(registry["catalog/me.json"]))
    orphan = GcCandidate.model_validate({"path": "blobs/sha256/" + "a" * 64, "modified": TIME, "found": TIME})
    made: list[BaseModel] = [
        shard,
        catalog,
        SearchCatalog(format=1, namespaces=("me", "you"), aliases=("n",)),
        ALIASES[-1],
        YANKS[-1],
        TOMBSTONES[-1],
        REVOCATIONS[-1],
        signer().sign(STATEMENT),
        RegistryMarker(format=1, created=TIME),
        GcCandidates(format=1, candidates=(orphan, orphan)),
    ]
    return {type(document): write_document(document) for document in made}


def _without_checksum(data: bytes) -> bytes:
    value = json.loads(data)
    value.pop("checksum")
    return json.dumps(value).encode()


@cache
def registry_files() -> dict[str, bytes]:
    """A whole registry by path: three releases, one of them yanked, one taken down; an alias; an index."""
    first = manifest()
    others = [versioned(first, "1.1.0"), versioned(_renamed(first, "you", "other"), "2.0.0-rc.1")]
    files = {MARKER: write_document(RegistryMarker(format=1, created=TIME))}
    for each in (first, *others):
        ref = ModelRef(each.content.namespace, each.content.model, str(each.content.version))
        files[release_path(ref)] = write_manifest(each)
        files |= _signed(Statement("release", str(ref), each.digest))
    files |= {blob_path(digest): data for digest, data in stored().items()}
    for kind, history in (
        ("alias", ALIASES),
        ("yank", YANKS),
        ("tombstone", TOMBSTONES),
        ("revocation", REVOCATIONS),
    ):
        for entry in history:
            path = record_path(kind, entry.name, entry.number)
            files[path] = write_document(entry)
            files |= _signed(Statement(kind, f"{entry.name}#{entry.number}", sha256(files[path])))
    store = MemoryStore("fuzz-samples")
    for path, data in files.items():
        store.replace(path, data)
    problems = reindex(Registry(store))
    assert not problems, problems
    for path in store.list(""):
        files[path] = store.get(path, max_bytes=10**9)
        store.delete(path)
    return files


def _signed(statement: Statement) -> dict[str, bytes]:
    return {signature_path(statement.digest, signer().id): signature_of(statement)}


def _renamed(given: Manifest, namespace: str, model: str) -> Manifest:
    content = given.content.model_copy(update={"namespace": namespace, "model": model})
    return given.model_copy(update={"content": content})


@cache
def lock() -> bytes:
    digest = manifest().digest
    pins = [
        Pinned(ModuleRef("me", "net", slug, "1.0.0"), name, digest, registry)
        for slug, name, registry in (
            ("cat", "cat", "/srv/modules"),
            ("potters-wheel", "potter's wheel", "s3://team/modules"),
            ("creme-brulee", "crème brûlée", "https://modules.example.org/registry"),
        )
    ]
    return Lock.of(pins).to_text().encode()


def project_lock() -> bytes:
    """A lockfile of a project, with everything that one may have."""
    return (Path(__file__).parents[1] / "project" / "samples" / "project.lock").read_bytes()


PROJECT = b"""\
# ours
[project]
name = "pets"
registries = ["./modules", "s3://team/modules"]
adapt = "resize"
size = [64, 64]
data = 'test.npz'

[models]
c10 = "cifar10/r56@^1"
two = "c10"

[classes]
cat = "c10:cat"
"cr\xc3\xa8me br\xc3\xbbl\xc3\xa9e" = "me/net:creme-brulee@>=1,<2"

[[verify]]
classes = ["cat", "cr\xc3\xa8me br\xc3\xbbl\xc3\xa9e"]
modules = ["two:cat", "me/net:dog"]
"""


def sealed_lock(data: bytes) -> bytes:
    """A lockfile with its checksum made right, as far as it can have one."""
    try:
        body = tomllib.loads(data.decode())
        body.pop("checksum", None)
        checksum = sha256(canonical_json(body)).encode()
    except (ValueError, TypeError, RecursionError):
        return data
    return re.sub(rb'"?checksum"? = .*', b'checksum = "' + checksum + b'"', data, count=1)


CONFIG = b"""\
# where modules come from
registries = ["~/team-registry", "file:///srv/modhub", "s3://team/modules"]
cache = "big-disk/modhub"
require_signature = false

[aliases]
n = "me/net"
m = "n"

[[trust]]
key = "ed25519:8dVNt5bJdHcrhxTQUZlxeWXbSBs5jOe/kNPRVyqFgCo="
name = "team-ci"
namespaces = ["team", "me"]

[[trust]]
key = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
name = "old"
namespaces = ["*"]
revoked = "lost"
"""
