"""Modules of one origin as a manifest and the blobs that it names: the way from memory to bytes."""

from __future__ import annotations

from collections.abc import Sequence

from modhub.package.codec import Blob, encode, encode_module
from modhub.package.folder import Package
from modhub.package.module import Made, Module
from modhub.package.overlap import mean_between
from modhub.package.weights_blob import weights_blob
from modhub.spec.manifest import (
    Content,
    FusedAgreement,
    Manifest,
    ModuleRecord,
    OriginRecord,
    SiteRecord,
    digest_of,
    format_of,
)


def packed(
    modules: Sequence[Module],
    made: Made,
    sites: Sequence[SiteRecord],
    *,
    version: str | None,
    fused: FusedAgreement | None,
) -> Package:
    """Modules of one origin, each of another class, as a manifest with their stored blobs."""
    origin = modules[0].origin
    weights = weights_blob(origin.weights)
    blobs = [encode(encode_module(module)) for module in modules]
    content = Content(
        namespace=origin.namespace,
        model=origin.model,
        version=version,
        origin=OriginRecord(
            dataset=made.dataset,
            classes=origin.classes,
            architecture=origin.architecture,
            weights=weights.digest,
            accuracy=origin.accuracy,
            vote=origin.vote,
        ),
        contract=origin.contract,
        options=made.options,
        sites=tuple(sites),
        modules=tuple(_record(module, blob) for module, blob in zip(modules, blobs, strict=True)),
        fused=fused,
        compacted=made.compacted,
        jaccard_between=mean_between([module.keep for module in modules]) if sites else None,
    )
    stored = {blob.digest: blob for blob in (weights, *blobs)}
    manifest = Manifest(
        format=format_of(content),
        digest=digest_of(content),
        content=content,
        blobs={digest: blob.record for digest, blob in stored.items()},
        provenance=made.provenance,
    )
    return Package(manifest, {blob.record.sha256: blob.verified for blob in stored.values()})


def _record(module: Module, blob: Blob) -> ModuleRecord:
    return ModuleRecord(
        index=module.index,
        name=module.name,
        slug=module.slug,
        blob=blob.digest,
        threshold=module.threshold,
        scale=module.scale,
        concerned=module.concerned,
        unconcerned=module.unconcerned,
        stages=module.stages,
        jaccard=module.jaccard,
        jaccard_weights=module.jaccard_weights,
        metrics=module.metrics,
        derived_from=module.derived_from,
    )
