"""Keeping derived files up, whoever else is writing.

The one rule: list, write, list again, and start over unless what was written covers what is there now. The last of
several racing writers lists after its own write, so what it leaves covers all of them. Nobody waits for anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from pydantic import BaseModel

from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.registry import index
from modhub.registry.index import Derived, Listing
from modhub.registry.reader import RegistryReader
from modhub.spec.layout import CATALOG, catalog_path, index_path
from modhub.spec.manifest import Manifest
from modhub.spec.registry_files import CATALOG_FORMAT, SearchCatalog, write_document
from modhub.storage.store import Store

Seen = TypeVar("Seen")

#: How often a file is written again because somebody else wrote meanwhile; then whoever that was has it right.
_ROUNDS: Final = 200


def update_index(
    registry: RegistryReader, namespace: str, model: str, written: Manifest | None = None
) -> tuple[str, ...]:
    """Bring the derived files that show this model up to date. Gives what went wrong, for people: nothing is lost.

    ``written`` is a release that need not be read again.
    """
    derived = registry.derived(written=written)
    try:
        _write_shard(derived, namespace, model)
        _write_namespace(derived, namespace)
        _cover(registry.store, namespace=namespace)
    except ModhubError as error:
        return (f"the index of {namespace}/{model} in {registry.name} could not be written: {error}",)
    return tuple(dict.fromkeys(str(problem) for problem in derived.problems))


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
    store, derived = registry.store, registry.derived(afresh=True)
    listing = Listing.of(store)
    for name in listing.versions:
        _write_shard(derived, *name.split("/"))
    for namespace in index.namespaces_of(listing):
        # From the shards that have just been written.
        _write_namespace(registry.derived(), namespace)
    _write_until_covered(store, CATALOG, lambda: index.names_in(store), _catalog)
    for path in _outdated(store, listing):
        store.delete(path)
    return derived.problems


def _write_shard(derived: Derived, namespace: str, model: str) -> None:
    _write_until_covered(
        derived.store,
        index_path(namespace, model),
        lambda: Listing.of(derived.store, f"{namespace}/{model}"),
        lambda listing: derived.shard(namespace, model, listing),
    )


def _write_namespace(derived: Derived, namespace: str) -> None:
    _write_until_covered(
        derived.store,
        catalog_path(namespace),
        lambda: Listing.of(derived.store, namespace),
        lambda listing: derived.catalog(namespace, listing),
    )


def _outdated(store: Store, listing: Listing) -> list[str]:
    current = {index_path(*name.split("/")) for name in listing.versions}
    current |= {catalog_path(namespace) for namespace in index.namespaces_of(listing)}
    return [path for path in (*store.list("index"), *store.list("catalog")) if path not in current]


def _cover(store: Store, *, namespace: str | None = None, alias: str | None = None) -> None:
    try:
        standing = index.read_catalog(store)
        if (namespace is None or namespace in standing.namespaces) and (alias is None or alias in standing.aliases):
            return
    except (NotFound, IntegrityError, Incompatible):
        # It is only a cache: whatever is wrong with it, it is written anew.
        pass
    _write_until_covered(store, CATALOG, lambda: index.names_in(store), _catalog)


def _catalog(names: tuple[frozenset[str], frozenset[str]]) -> SearchCatalog:
    namespaces, aliases = names
    return SearchCatalog(format=CATALOG_FORMAT, namespaces=tuple(sorted(namespaces)), aliases=tuple(sorted(aliases)))


def _write_until_covered(
    store: Store, path: str, look: Callable[[], Seen], derive: Callable[[Seen], BaseModel]
) -> None:
    seen = look()
    for _ in range(_ROUNDS):
        store.replace(path, write_document(derive(seen)))
        again = look()
        if again == seen:
            return
        seen = again
