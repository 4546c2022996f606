"""Small releases without a network: a tiny architecture, a few modules, and blobs of arbitrary bytes.

What a registry, the cache and the resolver do with a release does not depend on what its blobs decode to.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from modhub.spec.architecture import Architecture, Call
from modhub.spec.digests import sha256
from modhub.spec.input_contract import ImageContract
from modhub.spec.layers import Conv2D, ReLU
from modhub.spec.manifest import (
    Accuracy,
    Content,
    Dataset,
    DecomposeOptions,
    Manifest,
    ModuleRecord,
    OriginRecord,
    Provenance,
    SiteRecord,
    Stages,
    StoredBlob,
    digest_of,
)
from modhub.spec.rearrangements import Flatten
from modhub.spec.refs import slug_of

ARCHITECTURE = Architecture(
    input_shape=(4, 4, 1),
    layers={
        "convolution": Conv2D(filters=2, kernel_size=(3, 3)),
        "relu": ReLU(),
        "flatten": Flatten(),
    },
    calls=(
        Call(id="convolution", layer="convolution", inputs=("input",)),
        Call(id="relu", layer="relu", inputs=("convolution",)),
        Call(id="flatten", layer="flatten", inputs=("relu",)),
    ),
    features="flatten",
    head="softmax",
)


def release(
    name: str = "me/net",
    version: str | None = "1.0.0",
    *,
    classes: Sequence[str] = ("cat", "dog", "potter's wheel"),
    seed: int = 0,
    stored_seed: int = 0,
    weights_bytes: int = 5000,
    module_bytes: int = 300,
) -> tuple[Manifest, dict[str, bytes]]:
    """A manifest and its blobs by stored sha256. ``seed`` decides the content, ``stored_seed`` how it is stored."""
    namespace, model = name.split("/")
    blobs: dict[str, bytes] = {}
    table: dict[str, StoredBlob] = {}

    def blob(what: str, size: int) -> str:
        decoded = sha256(f"{name} {seed} {what}".encode())
        stored = random.Random(f"{name} {seed} {stored_seed} {what}").randbytes(size)
        blobs[sha256(stored)] = stored
        table[decoded] = StoredBlob(sha256=sha256(stored), size=len(stored), decoded_size=4 * len(stored))
        return decoded

    stages = Stages(concern=(9,), tangled=(3,), last_conv=(2,), input=(0,), kept=(10,))
    weights = blob("weights", weights_bytes)
    modules = tuple(
        ModuleRecord(
            index=index,
            name=display,
            slug=slug_of(display),
            blob=blob(f"module {index}", module_bytes + index),
            threshold=0.25,
            scale=1.5,
            concerned=10,
            unconcerned=10,
            stages=stages,
            jaccard=0.5,
            jaccard_weights=0.75,
        )
        for index, display in enumerate(classes)
    )
    content = Content(
        namespace=namespace,
        model=model,
        version=version,
        origin=OriginRecord(
            dataset=Dataset(name="tiny", examples=30, fingerprint=sha256(b"tiny")),
            classes=tuple(classes),
            architecture=ARCHITECTURE,
            weights=weights,
            accuracy=(Accuracy(data="tiny", examples=30, top_1=0.9, top_5=1.0),),
        ),
        contract=ImageContract(height=4, width=4, channels=1, dtype="uint8", value_range=(0, 255), colour="grey"),
        options=DecomposeOptions(),
        sites=(SiteRecord(id="relu", shape=(2, 2, 2)),),
        modules=modules,
    )
    manifest = Manifest(
        format=1,
        digest=digest_of(content),
        content=content,
        blobs=table,
        provenance=Provenance(created="2026-01-01T00:00:00+00:00", tool="synthetic", backend="none", versions={}),
    )
    return manifest, blobs
