"""The derived files of a registry, as they are stored, held to what they are derived from.

Where the store can list they are only caches, and what is wrong with them is untidy. Where it cannot, readers have
nothing else to go by, and it is damage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.registry import index
from modhub.registry.admin.findings import Finding, Severity
from modhub.registry.admin.inventory import Inventory
from modhub.spec.layout import CATALOG, catalog_path, index_path
from modhub.spec.refs import ModelRef, in_order
from modhub.spec.registry_files import CatalogEntry, IndexEntry, IndexShard, NamespaceCatalog, SearchCatalog
from modhub.storage.parallel import each
from modhub.storage.store import Store

Document = TypeVar("Document")
#: A file as it was read, or why it could not be.
Read: TypeAlias = Document | ModhubError


@dataclass(frozen=True)
class StoredIndex:
    """All derived files. ``shards``: by ``namespace/model``; ``catalogs``: by namespace."""

    catalog: Read[SearchCatalog]
    catalogs: Mapping[str, Read[NamespaceCatalog]]
    shards: Mapping[str, Read[IndexShard]]

    @classmethod
    def of(cls, store: Store, inventory: Inventory) -> StoredIndex:
        """What there is, and what there should be, by the listing."""
        paths = [path.removesuffix(".json").split("/") for path in inventory.derived]
        names = {ref.name for ref in inventory.releases} | {"/".join(parts[1:]) for parts in paths if len(parts) == 3}
        namespaces = {ref.namespace for ref in inventory.releases} | {parts[1] for parts in paths if len(parts) == 2}
        return cls._read(store, _attempt(lambda: index.read_catalog(store)), sorted(namespaces), sorted(names))

    @classmethod
    def alone(cls, store: Store) -> StoredIndex:
        """What the files themselves name, for a store that cannot list."""
        catalog = _attempt(lambda: index.read_catalog(store))
        namespaces = catalog.namespaces if isinstance(catalog, SearchCatalog) else ()
        found = cls._read(store, catalog, namespaces, [])
        names = [
            f"{namespace}/{entry.model}"
            for namespace, read in found.catalogs.items()
            if isinstance(read, NamespaceCatalog)
            for entry in read.models
        ]
        return cls(catalog, found.catalogs, cls._read(store, catalog, [], names).shards)

    @classmethod
    def _read(
        cls, store: Store, catalog: Read[SearchCatalog], namespaces: tuple[str, ...] | list[str], names: list[str]
    ) -> StoredIndex:
        at_once = store.capabilities.parallel
        catalogs = each(lambda name: _attempt(lambda: index.read_namespace(store, name)), namespaces, at_once=at_once)
        shards = each(lambda name: _attempt(lambda: index.read_shard(store, *name.split("/"))), names, at_once=at_once)
        return cls(catalog, dict(zip(namespaces, catalogs, strict=True)), dict(zip(names, shards, strict=True)))

    @cached_property
    def digests(self) -> dict[ModelRef, str]:
        """All releases that shards name, and their digests."""
        return {
            _ref(name, entry.version): entry.digest
            for name, shard in self.shards.items()
            if isinstance(shard, IndexShard)
            for entry in shard.releases
        }


@dataclass(frozen=True)
class Truth:
    """What derived files have to say.

    ``releases``: all there are. ``entries``: of those that are not taken down. ``unsure``: those that cannot be read,
    of which anything may be said. ``aliases``: names with a history, None where that is unknown.
    """

    releases: frozenset[ModelRef]
    entries: Mapping[ModelRef, IndexEntry]
    unsure: frozenset[ModelRef]
    aliases: frozenset[str] | None

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(ref.name for ref in self.releases)

    @cached_property
    def namespaces(self) -> frozenset[str]:
        return frozenset(ref.namespace for ref in self.releases)

    @cached_property
    def sure_namespaces(self) -> frozenset[str]:
        return frozenset(ref.namespace for ref in self.releases - self.unsure)

    @cached_property
    def shards(self) -> dict[str, list[IndexEntry]]:
        """Entries by ``namespace/model``, oldest first."""
        versions: defaultdict[str, dict[str, IndexEntry]] = defaultdict(dict)
        for ref, entry in self.entries.items():
            versions[ref.name][ref.version] = entry
        return {name: [found[version] for version in in_order(found)] for name, found in versions.items()}

    def newest(self, namespace: str) -> dict[str, CatalogEntry]:
        """Entries of a namespace's catalog by model."""
        entries = {}
        for name, releases in self.shards.items():
            usable = {entry.version: entry for entry in releases if entry.yanked is None}
            if usable and name.startswith(f"{namespace}/"):
                model = name.partition("/")[2]
                entries[model] = CatalogEntry(model=model, release=usable[index.newest(list(usable))])
        return entries


def index_findings(store: Store, stored: StoredIndex, truth: Truth) -> Iterator[Finding]:
    """Every derived file that is missing, broken, or says anything else than it should."""
    listed = store.capabilities.can_list
    severity: Severity = "untidy" if listed else "damage"
    for name, shard in stored.shards.items():
        path = index_path(*name.split("/"))
        if isinstance(shard, ModhubError):
            if name in truth.names or not (listed and isinstance(shard, NotFound)):
                yield _unreadable(severity, store, path, shard)
        elif listed and name not in truth.names:
            yield Finding(severity, "outdated-index", path, f"{store.url}/{path} is about a model without releases.")
        elif not _same(_sure(name, shard.releases, truth), _sure(name, truth.shards.get(name, []), truth)):
            yield _stale(severity, store, path)
    for namespace, catalog in stored.catalogs.items():
        path = catalog_path(namespace)
        if isinstance(catalog, ModhubError):
            if namespace in truth.namespaces or not (listed and isinstance(catalog, NotFound)):
                yield _unreadable(severity, store, path, catalog)
        elif listed and namespace not in truth.namespaces:
            yield Finding(severity, "outdated-index", path, f"{store.url}/{path} is about an empty namespace.")
        elif _differs(namespace, catalog, stored, truth):
            yield _stale(severity, store, path)
    if isinstance(stored.catalog, ModhubError):
        if truth.releases or truth.aliases or not (listed and isinstance(stored.catalog, NotFound)):
            yield _unreadable(severity, store, CATALOG, stored.catalog)
    elif truth.aliases is not None:
        names, aliases = frozenset(stored.catalog.namespaces), frozenset(stored.catalog.aliases)
        if not truth.sure_namespaces <= names <= truth.namespaces or aliases != truth.aliases:
            yield _stale(severity, store, CATALOG)


def _differs(namespace: str, catalog: NamespaceCatalog, stored: StoredIndex, truth: Truth) -> bool:
    # Of a model of which something cannot be read, the catalog may show one release or another.
    broken = {
        name for name, shard in stored.shards.items() if name not in truth.names and isinstance(shard, ModhubError)
    }
    unsure = {name.partition("/")[2] for name in broken if name.startswith(f"{namespace}/")}
    unsure |= {ref.model for ref in truth.unsure if ref.namespace == namespace}
    wanted = {model: _shown(entry.release) for model, entry in truth.newest(namespace).items()}
    found = {entry.model: _shown(entry.release) for entry in catalog.models}
    if wanted.keys() - unsure != found.keys() - unsure:
        return True
    models = sorted(found.keys() - unsure)
    return not _same([found[model] for model in models], [wanted[model] for model in models])


def _sure(name: str, entries: Iterable[IndexEntry], truth: Truth) -> list[IndexEntry]:
    return [_shown(entry) for entry in entries if _ref(name, entry.version) not in truth.unsure]


def _shown(entry: IndexEntry) -> IndexEntry:
    """What follows from the release alone: who signed it may have changed since, and is verified by who asks."""
    return entry.model_copy(update={"signers": ()}) if entry.signers else entry


def _same(found: Sequence[IndexEntry], wanted: Sequence[IndexEntry]) -> bool:
    """Whether an index says what it should; one from before it said on what ``top_1`` was measured need not."""
    if len(found) != len(wanted):
        return False
    asked = [
        entry if stored.top_1_data is not None else entry.model_copy(update={"top_1_data": None})
        for stored, entry in zip(found, wanted, strict=True)
    ]
    return list(found) == asked


def _ref(name: str, version: str) -> ModelRef:
    namespace, _, model = name.partition("/")
    return ModelRef(namespace, model, version)


def _stale(severity: Severity, store: Store, path: str) -> Finding:
    return Finding(severity, "stale-index", path, f"{store.url}/{path} says something else than the releases do.")


def _unreadable(severity: Severity, store: Store, path: str, error: ModhubError) -> Finding:
    if isinstance(error, NotFound):
        return Finding(severity, "missing-index", path, f"{store.url}/{path} is missing.")
    return Finding(severity, "broken-index", path, error.message)


def _attempt(read: Callable[[], Document]) -> Read[Document]:
    try:
        return read()
    except (NotFound, IntegrityError, Incompatible) as error:
        return error
