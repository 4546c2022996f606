"""What is derived from releases, so that choosing a version and searching need not read every manifest.

    index/<namespace>/<model>.json     a shard: every release of one model
    catalog/<namespace>.json           what searching shows: of each model the release that a plain name gives
    catalog.json                       the namespaces, and the names that are or were aliases

Where a store can list, the listing is the truth and these are only caches of it; hosts that cannot list serve a
registry by these alone. Each is written by the one rule that survives any number of writers: list, write, list again,
and start over unless what was written covers what is there now. The last of several racing writers lists after its own
write, so what it leaves covers all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from modhub.errors import Incompatible, IntegrityError, ModhubError, NotFound
from modhub.limits import (
    MAX_EXTENT,
    MAX_INDEX_DESCRIPTION_CHARS,
    MAX_INDEX_KEYWORDS,
    MAX_INDEX_ORIGINS,
    MAX_INDEX_SIGNERS,
)
from modhub.registry.objects import get_object
from modhub.spec.layout import CATALOG, RELEASES, catalog_path, index_path, records_folder
from modhub.spec.refs import ModelRef, in_order, is_exact, is_model_name, select_version
from modhub.spec.registry_files import (
    CATALOG_FORMAT,
    INDEX_FORMAT,
    CatalogEntry,
    CompactedEntry,
    IndexEntry,
    IndexShard,
    NamespaceCatalog,
    SearchCatalog,
    max_bytes_of,
    read_document,
)
from modhub.storage.store import Store

if TYPE_CHECKING:
    from modhub.spec.input_contract import InputContract
    from modhub.spec.manifest import Compacted, Manifest
    from modhub.spec.registry_files import Withdrawal

_Document = TypeVar("_Document", bound=BaseModel)
Problem = ModhubError


def entry_of(
    manifest: Manifest,
    yanked: str | None = None,
    yanked_classes: Mapping[str, str] | None = None,
    signers: Sequence[str] = (),
) -> IndexEntry:
    """What the index shows of a release: classes and slugs in index order, ``size`` in stored bytes of all blobs."""
    content, card = manifest.content, manifest.content.card
    if content.version is None:
        raise ValueError("a package without a version has no place in an index")
    modules = sorted(content.modules, key=lambda module: module.index)
    # The held-out images, where there are any, come last.
    accuracy = content.origin.accuracy[-1] if content.origin.accuracy else None
    # A manifest's values have been checked, or were when it was made.
    return IndexEntry.model_construct(
        version=content.version,
        digest=manifest.digest,
        size=sum(blob.size for blob in manifest.blobs.values()),
        classes=tuple(module.name for module in modules),
        slugs=tuple(module.slug for module in modules),
        dataset=content.origin.dataset.name,
        **_shapes_of(content.contract),
        top_1=None if accuracy is None else accuracy.top_1,
        top_1_data=None if accuracy is None else accuracy.data,
        yanked=yanked,
        yanked_classes=dict(yanked_classes or {}),
        license=card.license if card else None,
        keywords=card.keywords[:MAX_INDEX_KEYWORDS] if card else (),
        description=_beginning(card.description) if card and card.description else None,
        signers=tuple(sorted(signers)[:MAX_INDEX_SIGNERS]),
        compacted=None if content.compacted is None else _compacted(content.compacted),
    )


def _compacted(compacted: Compacted) -> CompactedEntry:
    names = dict.fromkeys(each.name for each in compacted.of)
    return CompactedEntry(of=tuple(names)[:MAX_INDEX_ORIGINS], flops=compacted.flops)


def _beginning(description: str) -> str | None:
    """A description as one short line."""
    line = " ".join(description.split())
    most = MAX_INDEX_DESCRIPTION_CHARS
    return (line if len(line) <= most else f"{line[: most - 3]}...") or None


def _shapes_of(contract: InputContract) -> dict[str, Any]:
    """The axes of images; of arrays both as they are and, for a modhub that knows images only, as three."""
    axes = contract.shape
    if len(axes) == 3:
        return {"input_shape": axes}
    return {"input_shape": tuple(min(extent, MAX_EXTENT) for extent in (1, 1, *axes)[-3:]), "array_shape": axes}


@dataclass(frozen=True)
class Listing:
    """What lies in a store of one model, one namespace or everything: the truth that derived files are held to.

    ``versions``: ``namespace/model`` to its versions, oldest first. ``withdrawn``: paths of records of yanks,
    of classes too, and of tombstones.
    """

    versions: dict[str, list[str]]
    withdrawn: frozenset[str]

    @classmethod
    def of(cls, store: Store, below: str = "", *, releases_only: bool = False) -> Listing:
        """``below`` is ``""``, a namespace, or ``namespace/model``. ``releases_only`` leaves the records unread."""
        found: dict[str, list[str]] = {}
        for path in store.list(f"{RELEASES}/{below}".rstrip("/")):
            parts = path.split("/")
            if len(parts) == 4 and is_model_name(name := f"{parts[1]}/{parts[2]}"):
                for version in versions_among([parts[3]]):
                    found.setdefault(name, []).append(version)
        kinds = () if releases_only else ("yank", "class-yank", "tombstone")
        records = [path for kind in kinds for path in store.list(records_folder(kind, below).rstrip("/"))]
        ordered = {name: in_order(found[name]) if len(found[name]) > 1 else found[name] for name in sorted(found)}
        return cls(ordered, frozenset(records))

    def by_namespace(self) -> dict[str, Listing]:
        """The same, apart for each namespace with releases."""
        parts: dict[str, dict[str, list[str]]] = {}
        for name, versions in self.versions.items():
            parts.setdefault(name.partition("/")[0], {})[name] = versions
        withdrawn: dict[str, set[str]] = {}
        for path in self.withdrawn:
            withdrawn.setdefault(path.split("/")[2], set()).add(path)
        return {
            namespace: Listing(versions, frozenset(withdrawn.get(namespace, ())))
            for namespace, versions in parts.items()
        }

    @cached_property
    def touched(self) -> frozenset[str]:
        """``namespace/model`` of every model of which a release was ever withdrawn."""
        return frozenset("/".join(path.split("/")[2:4]) for path in self.withdrawn)


@dataclass(frozen=True)
class Derived:
    """How index files are derived from the releases of one store.

    ``manifest``, ``withdrawal`` and ``yanked_classes`` read a release and its records, verified. What cannot be read is
    left out, and reported in ``problems``: one damaged release must not hide all others. ``afresh`` uses no file that
    exists, ``from_shards`` no catalog that does. ``signers`` gives the ids of the keys that signed what has a digest,
    for who writes the files; ``signed`` is a release of which that has changed.
    """

    store: Store
    manifest: Callable[[ModelRef], Manifest]
    withdrawal: Callable[[ModelRef], Withdrawal | None]
    yanked_classes: Callable[[ModelRef], Mapping[str, str]]
    afresh: bool = False
    signers: Callable[[str], Sequence[str]] = lambda digest: ()
    signed: ModelRef | None = None
    problems: list[Problem] = field(default_factory=list)
    from_shards: bool = False

    def shard(self, namespace: str, model: str, listing: Listing) -> IndexShard:
        """The shard of a model. Releases never change, so an entry of the shard that stands is used again."""
        known: dict[str, IndexEntry] = {}
        existing = self._existing(lambda: read_shard(self.store, namespace, model))
        if existing is not None:
            known = {entry.version: entry for entry in existing.releases}
        name = f"{namespace}/{model}"
        entries = [
            entry
            for version in listing.versions.get(name, [])
            if (entry := self._entry(ModelRef(namespace, model, version), known.get(version), listing)) is not None
        ]
        return IndexShard(format=INDEX_FORMAT, namespace=namespace, model=model, releases=tuple(entries))

    def catalog(self, namespace: str, listing: Listing) -> NamespaceCatalog:
        """The catalog of a namespace. An entry of the one that stands is used again while it is the newest."""
        known: dict[str, CatalogEntry] = {}
        existing = None if self.from_shards else self._existing(lambda: read_namespace(self.store, namespace))
        if existing is not None:
            known = {entry.model: entry for entry in existing.models}
        entries = []
        for name, versions in listing.versions.items():
            model = name.partition("/")[2]
            if not name.startswith(f"{namespace}/"):
                continue
            entry = known.get(model)
            changed = name in listing.touched or (self.signed is not None and self.signed.name == name)
            if entry is None or changed or entry.release.version != newest(versions):
                entry = self._newest_entry(namespace, model, listing)
            if entry is not None:
                entries.append(entry)
        return NamespaceCatalog(format=CATALOG_FORMAT, namespace=namespace, models=tuple(entries))

    def _newest_entry(self, namespace: str, model: str, listing: Listing) -> CatalogEntry | None:
        usable = {
            entry.version: entry for entry in self.shard(namespace, model, listing).releases if entry.yanked is None
        }
        return CatalogEntry(model=model, release=usable[newest(list(usable))]) if usable else None

    def _entry(self, ref: ModelRef, known: IndexEntry | None, listing: Listing) -> IndexEntry | None:
        try:
            withdrawal = self.withdrawal(ref) if ref.name in listing.touched else None
            if withdrawal is not None and withdrawal.kind == "taken-down":
                return None
            yanked = withdrawal.reason if withdrawal else None
            classes = self.yanked_classes(ref) if ref.name in listing.touched else {}
            if known is None or ref == self.signed:
                manifest = self.manifest(ref)
                return entry_of(manifest, yanked, classes, self.signers(manifest.digest))
            if (known.yanked, known.yanked_classes) == (yanked, classes):
                return known
            return known.model_copy(update={"yanked": yanked, "yanked_classes": dict(classes)})
        except (IntegrityError, Incompatible, NotFound) as error:
            self.problems.append(error)
            return None

    def _existing(self, read: Callable[[], _Document]) -> _Document | None:
        if self.afresh:
            return None
        try:
            return read()
        except (NotFound, IntegrityError, Incompatible):
            # A derived file is only a cache: whatever is wrong with it, the releases are read instead.
            return None


def versions_among(files: Iterable[str]) -> list[str]:
    """The versions of which manifests have these file names; other files do not belong to the registry."""
    stems = [name.removesuffix(".json") for name in files if name.endswith(".json")]
    return [stem for stem in stems if is_exact(stem)]


def newest(versions: Sequence[str]) -> str:
    """The version that a name without one means: a pre-release only where there is no other."""
    if len(versions) == 1:
        return versions[0]
    return select_version(versions, None) or in_order(versions)[-1]


def read_shard(store: Store, namespace: str, model: str) -> IndexShard:
    """The shard as stored. Raises NotFound, IntegrityError, or Incompatible for a newer format."""
    path = index_path(namespace, model)
    shard = _read(store, path, IndexShard, INDEX_FORMAT)
    _require_name(f"{store.url}/{path}", f"{shard.namespace}/{shard.model}", f"{namespace}/{model}")
    return shard


def read_namespace(store: Store, namespace: str) -> NamespaceCatalog:
    """A namespace's catalog as stored. Raises as ``read_shard``."""
    path = catalog_path(namespace)
    catalog = _read(store, path, NamespaceCatalog, CATALOG_FORMAT)
    _require_name(f"{store.url}/{path}", catalog.namespace, namespace)
    return catalog


def read_catalog(store: Store) -> SearchCatalog:
    """The catalog as stored. Raises as ``read_shard``."""
    return _read(store, CATALOG, SearchCatalog, CATALOG_FORMAT)


def namespaces_of(listing: Listing) -> list[str]:
    return sorted({name.partition("/")[0] for name in listing.versions})


def names_in(store: Store) -> tuple[frozenset[str], frozenset[str]]:
    """Namespaces with releases, and alias names with a history, as listed."""
    releases = Listing.of(store, releases_only=True)
    aliases = alias_names_in(store.list(records_folder("alias", "").rstrip("/")))
    return frozenset(namespaces_of(releases)), frozenset(aliases)


def alias_names_in(paths: Iterable[str]) -> Iterator[str]:
    """The names of the aliases whose records are at ``paths``."""
    for path in paths:
        parts = path.split("/")
        if len(parts) == 4 and is_model_name(f"a/{parts[2]}"):
            yield parts[2]


def _read(store: Store, path: str, model: type[_Document], newest_format: int) -> _Document:
    data = get_object(store, path, max_bytes=max_bytes_of(model))
    return read_document(model, data, what=f"{store.url}/{path}", newest=newest_format)


def _require_name(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise IntegrityError(f"{what} is the index of {found}, not of {wanted}.", kind="wrong-release", what=what)
