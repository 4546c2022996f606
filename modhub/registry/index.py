"""Index shards: one small file a model with what searching and choosing a version need, derived from its manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from modhub.documents import INDEX_FORMAT, IndexEntry, IndexShard, read_document
from modhub.errors import Incompatible, IntegrityError, NotFound
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.manifest import Manifest
from modhub.refs import ModelRef
from modhub.registry.layout import index_path
from modhub.registry.store import Store


def entry_of(manifest: Manifest) -> IndexEntry:
    """What the index shows of a release: classes and slugs in index order, ``size`` in stored bytes of all blobs."""
    content = manifest.content
    if content.version is None:
        raise ValueError("a package without a version has no place in an index")
    modules = sorted(content.modules, key=lambda module: module.index)
    return IndexEntry(
        version=content.version,
        digest=manifest.digest,
        size=sum(blob.size for blob in manifest.blobs.values()),
        classes=tuple(module.name for module in modules),
        slugs=tuple(module.slug for module in modules),
        dataset=content.origin.dataset.name,
        input_shape=content.contract.shape,
        top_1=content.origin.accuracy[-1].top_1 if content.origin.accuracy else None,
    )


def read_shard(store: Store, namespace: str, model: str) -> IndexShard:
    """The shard as stored. Raises NotFound, IntegrityError, or Incompatible for a newer format."""
    path = index_path(namespace, model)
    what = f"{store.url}/{path}"
    shard = read_document(IndexShard, store.get(path, max_bytes=MAX_MANIFEST_BYTES), what=what, newest=INDEX_FORMAT)
    if (shard.namespace, shard.model) != (namespace, model):
        raise IntegrityError(
            f"{what} is the index of {shard.namespace}/{shard.model}, not of {namespace}/{model}.",
            kind="wrong-release",
            what=what,
        )
    return shard


def derive_shard(
    store: Store,
    namespace: str,
    model: str,
    versions: Iterable[str],
    manifest: Callable[[ModelRef], Manifest],
) -> tuple[IndexShard, list[IntegrityError | Incompatible]]:
    """A shard of ``versions``, and what was wrong with those that had to be left out.

    Releases never change, so an entry of the shard that stands is used again; the others come from their manifests.
    """
    try:
        known = {entry.version: entry for entry in read_shard(store, namespace, model).releases}
    except (NotFound, IntegrityError, Incompatible):
        # The shard is only a cache of the manifests: whatever is wrong with it, they are read instead.
        known = {}
    entries, problems = [], []
    for version in versions:
        try:
            entries.append(known.get(version) or entry_of(manifest(ModelRef(namespace, model, version))))
        except (IntegrityError, Incompatible) as error:
            problems.append(error)
    return IndexShard(format=INDEX_FORMAT, namespace=namespace, model=model, releases=tuple(entries)), problems
