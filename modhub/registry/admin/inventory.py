"""What lies in a store, path by path, by what it is: the other direction of ``layout``.

A path counts as the registry's only when ``layout`` would have made exactly it; everything else is foreign and is left
alone by whatever cares for a registry. Where the store cannot list, the index says what there is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from modhub.errors import IntegrityError, InvalidRef, RegistryUnreachable
from modhub.spec.advisories import ID_PATTERN, AdvisoryRecord, DeprecationRecord
from modhub.spec.layout import (
    BLOBS,
    CATALOG,
    MARKER,
    RELEASES,
    SITE,
    blob_path,
    catalog_path,
    index_path,
    notices_path,
    record_path,
    release_path,
    signature_at,
)
from modhub.spec.manifest import StoredBlob
from modhub.spec.refs import ModelRef, check_name
from modhub.spec.registry_files import (
    AliasRecord,
    ChainedRecord,
    ClassYankRecord,
    RevocationRecord,
    TombstoneRecord,
    YankRecord,
)
from modhub.storage.store import Store

#: Every kind of history and what its entries are.
HISTORIES: Final[Mapping[str, type[ChainedRecord]]] = {
    model.kind: model
    for model in (
        AliasRecord,
        YankRecord,
        ClassYankRecord,
        TombstoneRecord,
        RevocationRecord,
        AdvisoryRecord,
        DeprecationRecord,
    )
}
#: What the collector keeps: the orphans that it has seen, and objects whose age gives the store's time.
CANDIDATES: Final = "gc/candidates.json"
CLOCKS: Final = "gc/clock-"
#: What ``registry init`` tries the store with.
PROBES: Final = "probe/"

_KEY: Final = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Inventory:
    """All that a store lists.

    ``blobs``: digests. ``signatures``: digest of what is signed, and key id. ``histories``: kind and name to the
    numbers of their entries. ``derived``: paths of index files. ``passing``: paths of what only a crash leaves behind.
    ``foreign``: paths of everything that does not belong to the registry. A site is in none of them: nothing reads it.
    """

    releases: tuple[ModelRef, ...]
    blobs: frozenset[str]
    signatures: frozenset[tuple[str, str]]
    histories: Mapping[tuple[str, str], tuple[int, ...]]
    derived: frozenset[str]
    passing: tuple[str, ...]
    foreign: tuple[str, ...]

    @property
    def alias_names(self) -> list[str]:
        """Names that are, or once were, aliases."""
        return [name for kind, name in self.histories if kind == "alias"]

    @classmethod
    def of(cls, store: Store) -> Inventory:
        return cls.among(store.list(""))

    @classmethod
    def among(cls, paths: Iterable[str]) -> Inventory:
        releases: list[ModelRef] = []
        blobs: set[str] = set()
        signatures: set[tuple[str, str]] = set()
        histories: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        derived: set[str] = set()
        passing: list[str] = []
        foreign: list[str] = []
        for path in paths:
            if ref := release_at(path):
                releases.append(ref)
            elif digest := blob_at(path):
                blobs.add(digest)
            elif signature := signature_at(path):
                signatures.add(signature)
            elif entry := entry_at(path):
                histories[entry[0], entry[1]].append(entry[2])
            elif is_derived(path):
                derived.add(path)
            elif path.startswith((CLOCKS, PROBES)):
                passing.append(path)
            elif path not in (MARKER, CANDIDATES) and not path.startswith(f"{SITE}/"):
                foreign.append(path)
        numbers = {history: tuple(sorted(found)) for history, found in sorted(histories.items())}
        return cls(
            tuple(sorted(releases)),
            frozenset(blobs),
            frozenset(signatures),
            numbers,
            frozenset(derived),
            tuple(passing),
            tuple(foreign),
        )


def release_at(path: str) -> ModelRef | None:
    """The release whose manifest lies there."""
    match path.split("/"):
        case [folder, namespace, model, file] if folder == RELEASES and file.endswith(".json"):
            ref = ModelRef(namespace, model, file.removesuffix(".json"))
            return ref if _is_release(ref) else None
    return None


def blob_at(path: str) -> str | None:
    """The digest of the blob that lies there."""
    match path.split("/"):
        case [folder, algorithm, first, rest] if folder == BLOBS:
            digest = f"{algorithm}:{first}{rest}"
            try:
                return digest if blob_path(digest) == path else None
            except IntegrityError:
                return None
    return None


def entry_at(path: str) -> tuple[str, str, int] | None:
    """Kind, name and number of the entry of a history that lies there."""
    match path.split("/"):
        case ["records", kind, *names, file] if kind in HISTORIES and re.fullmatch(r"[0-9]{6}\.json", file):
            name, number = "/".join(names), int(file.removesuffix(".json"))
            fits = number >= 1 and is_history(kind, name) and record_path(kind, name, number) == path
            return (kind, name, number) if fits else None
    return None


def is_history(kind: str, name: str) -> bool:
    """Whether a history of this kind can have this name: that of an alias, a release, a key, an advisory, a model."""
    if kind == "alias":
        return _are_names(name)
    if kind in ("advisory", "deprecation"):
        namespace, _, rest = name.partition("/")
        return _are_names(namespace, rest) and (kind == "deprecation" or re.match(ID_PATTERN, rest) is not None)
    if kind == "revocation":
        return _KEY.match(name) is not None
    return release_of(name) is not None


def release_of(name: str) -> ModelRef | None:
    """The release that a history of yanks or of a tombstone is about; ``name`` is ``namespace/model/version``."""
    match name.split("/"):
        case [namespace, model, version]:
            ref = ModelRef(namespace, model, version)
            return ref if _is_release(ref) else None
    return None


def history_name(ref: ModelRef) -> str:
    """The name of a release's histories of yanks, of classes too, and of its tombstone."""
    return f"{ref.namespace}/{ref.model}/{ref.version}"


def is_derived(path: str) -> bool:
    """Whether an index file lies there."""
    match path.removesuffix(".json").split("/"):
        case ["index", namespace, model] if _are_names(namespace, model):
            return index_path(namespace, model) == path
        case ["catalog", namespace] if _are_names(namespace):
            return catalog_path(namespace) == path
        case ["notices", namespace] if _are_names(namespace):
            return notices_path(namespace) == path
    return path == CATALOG


def evidence_of(record: ChainedRecord) -> list[StoredBlob]:
    """The blobs that an entry of a history needs: files of evidence, which are stored as they are."""
    files = record.advisory.evidence if isinstance(record, AdvisoryRecord) else ()
    return [StoredBlob(sha256=each.sha256, size=each.size, decoded_size=each.size) for each in files]


def require_listing(store: Store, what: str) -> None:
    """Raise RegistryUnreachable, kind ``cannot-list``, where it is unknown what else is in the store."""
    if not store.capabilities.can_list:
        raise RegistryUnreachable(
            f"{store.url} cannot list what it has, which {what} needs.",
            kind="cannot-list",
            hint="run it where the registry is written: on its folder or bucket.",
            registry=store.url,
        )


def _is_release(ref: ModelRef) -> bool:
    try:
        release_path(ref)
    except InvalidRef:
        return False
    return True


def _are_names(*names: str) -> bool:
    try:
        for name in names:
            check_name(name, "name")
    except InvalidRef:
        return False
    return True
