"""Keeping derived files up to date while others write.

The one rule: list, write, list again, and start over unless what was written covers what is there now. The last of
several racing writers lists after its own write, so what it leaves covers all of them. Nobody waits for anybody.
Deleting a file about which nothing is left is a write like any other and follows the same rule: a publication that came
between the listing and the deletion is seen by the second listing, and the file is written again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from pydantic import BaseModel

from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound, StorageError
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.registry import index
from modhub.registry.index import Derived, Listing
from modhub.registry.notices import DerivedNotices, histories_in, is_empty, noticed_namespaces
from modhub.registry.reader import RegistryReader
from modhub.spec.layout import CATALOG, catalog_path, index_path, notices_path
from modhub.spec.manifest import Manifest
from modhub.spec.refs import ModelRef, is_model_name
from modhub.spec.registry_files import CATALOG_FORMAT, SearchCatalog, write_document
from modhub.storage.store import Store

Seen = TypeVar("Seen")

#: How often a file is written again because another process wrote in the meantime; then that one has it right.
_ROUNDS: Final = 200


def update_index(
    registry: RegistryReader,
    namespace: str,
    model: str,
    written: Manifest | None = None,
    signed: ModelRef | None = None,
) -> tuple[str, ...]:
    """Bring the derived files that show this model up to date. Gives what went wrong, for people: nothing is lost.

    ``written`` is a release that need not be read again, ``signed`` one whose signatures have changed.
    """
    derived = registry.derived(
        written=written, signers=lambda digest: registry.signers(digest).get(digest, ()), signed=signed
    )
    try:
        _write_shard(derived, namespace, model)
        _write_namespace(derived, namespace)
        _cover(registry.store, namespace=namespace)
    except ModhubError as error:
        return (f"the index of {namespace}/{model} in {registry.name} could not be written: {error}",)
    return tuple(dict.fromkeys(str(problem) for problem in derived.problems))


def update_notices(registry: RegistryReader, namespace: str) -> tuple[str, ...]:
    """Bring the file of what was said about a namespace's modules up to date. Gives what went wrong, for people."""
    derived = DerivedNotices(registry, namespace)
    try:
        _write_notices(derived)
    except ModhubError as error:
        return (f"the notices of {namespace} in {registry.name} could not be written: {error}",)
    return tuple(dict.fromkeys(str(problem) for problem in derived.problems.values()))


def update_aliases(registry: RegistryReader, name: str) -> None:
    """Let the catalog name an alias. What goes wrong is left to the next writer: stores that list need it not."""
    try:
        _cover(registry.store, alias=name)
    except ModhubError:
        return


def reindex(registry: RegistryReader) -> list[ModhubError]:
    """Write every derived file anew from the releases alone, and delete those of which nothing is left.

    Gives what was wrong with releases that had to be left out.
    """
    store, signers = registry.store, registry.signers()
    derived = registry.derived(afresh=True, signers=lambda digest: signers.get(digest, ()))
    listing = Listing.of(store)
    # What is deleted comes first, because it frees room.
    models = listing.versions.keys() | _described_models(store)
    for name in sorted(models, key=lambda name: (name in listing.versions, name)):
        _write_shard(derived, *name.split("/"))
    for namespace in sorted({*index.namespaces_of(listing), *_described_namespaces(store)}):
        # From the shards that have just been written.
        _write_namespace(replace(registry.derived(), from_shards=True), namespace)
    problems = list(derived.problems)
    for namespace in sorted(noticed_namespaces(store)):
        said = DerivedNotices(registry, namespace, afresh=True)
        _write_notices(said)
        problems += said.problems.values()
    _write_until_covered(store, CATALOG, lambda: index.names_in(store), _catalog)
    return problems


def _write_shard(derived: Derived, namespace: str, model: str) -> None:
    _write_until_covered(
        derived.store,
        index_path(namespace, model),
        lambda: Listing.of(derived.store, f"{namespace}/{model}"),
        lambda listing: derived.shard(namespace, model, listing) if listing.versions else None,
    )


def _write_namespace(derived: Derived, namespace: str) -> None:
    _write_until_covered(
        derived.store,
        catalog_path(namespace),
        lambda: Listing.of(derived.store, namespace),
        lambda listing: derived.catalog(namespace, listing) if listing.versions else None,
    )


def _write_notices(derived: DerivedNotices) -> None:
    store, namespace = derived.registry.store, derived.namespace

    def derive(paths: frozenset[str]) -> BaseModel | None:
        found = derived.of(paths)
        return None if is_empty(found) else found

    _write_until_covered(store, notices_path(namespace), lambda: histories_in(store, namespace), derive)


def _described_models(store: Store) -> set[str]:
    """``namespace/model`` of every shard that lies there, with or without releases."""
    names = {path.removeprefix("index/").removesuffix(".json") for path in _documents(store, "index")}
    return {name for name in names if is_model_name(name)}


def _described_namespaces(store: Store) -> set[str]:
    """Every namespace of which a catalog lies there, with or without releases."""
    names = {path.removeprefix("catalog/").removesuffix(".json") for path in _documents(store, "catalog")}
    return {name for name in names if is_model_name(f"{name}/model")}


def _documents(store: Store, folder: str) -> list[str]:
    # Other files there do not belong to the registry, and stay.
    return [path for path in store.list(folder) if path.endswith(".json")]


def _cover(store: Store, *, namespace: str | None = None, alias: str | None = None) -> None:
    try:
        existing = index.read_catalog(store)
        if (namespace is None or namespace in existing.namespaces) and (alias is None or alias in existing.aliases):
            return
    except (NotFound, IntegrityError, Incompatible):
        # It is only a cache: whatever is wrong with it, it is written anew.
        pass
    _write_until_covered(store, CATALOG, lambda: index.names_in(store), _catalog)


def _catalog(names: tuple[frozenset[str], frozenset[str]]) -> SearchCatalog:
    namespaces, aliases = names
    return SearchCatalog(format=CATALOG_FORMAT, namespaces=tuple(sorted(namespaces)), aliases=tuple(sorted(aliases)))


def _write_until_covered(
    store: Store, path: str, look: Callable[[], Seen], derive: Callable[[Seen], BaseModel | None]
) -> None:
    """Write what ``derive`` makes of what ``look`` sees, or delete the file where it makes None of it."""
    seen = look()
    for _ in range(_ROUNDS):
        document = derive(seen)
        if document is None:
            store.delete(path)
        else:
            _replace(store, path, write_document(document))
        again = look()
        if again == seen:
            return
        seen = again


def _replace(store: Store, path: str, data: bytes) -> None:
    """Write over a derived file; on a full disk in the room of the one that is there."""
    try:
        store.replace(path, data)
        return
    except StorageError as error:
        if error.kind != "no-space":
            raise
        full = error
    try:
        existing: bytes | None = store.get(path, max_bytes=MAX_MANIFEST_BYTES)
    except (NotFound, IntegrityError):
        existing = None
    if existing == data:
        return
    store.delete(path)
    try:
        store.replace(path, data)
    except StorageError as error:
        if existing is not None:
            # An outdated one is better than none.
            store.replace(path, existing)
        raise StorageError(
            f"no space for the index file {store.url}/{path} of {len(data)} bytes: {full.message}",
            kind="no-space",
            hint="free that much on the disk, for example with modhub registry gc, then run modhub registry reindex "
            "again; the releases are whole.",
            path=path,
        ) from error
