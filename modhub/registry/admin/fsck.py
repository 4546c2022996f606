"""Examining a registry: do readers get what was published, byte by byte?

Every manifest is read, every blob that a release needs is hashed, every history and signature is followed, and the
index is held to the releases. Nothing is changed, unless there is another registry to repair from. What publishers at
work beside it have not finished looks untidy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modhub.errors import Incompatible, IntegrityError, UsageError
from modhub.registry.admin.check import Contents
from modhub.registry.admin.check_index import StoredIndex, Truth, index_findings
from modhub.registry.admin.check_notices import notices_findings
from modhub.registry.admin.findings import Finding, FsckReport
from modhub.registry.admin.inventory import Inventory, blob_at, history_name, release_of
from modhub.registry.admin.reachable import Survey
from modhub.registry.admin.repair import Repairs
from modhub.registry.reader import RegistryReader
from modhub.registry.reindex import update_index
from modhub.registry.writer import Registry
from modhub.spec.layout import MARKER, RELEASES, blob_path, record_path, signature_path
from modhub.spec.registry_files import SearchCatalog
from modhub.storage import files
from modhub.storage.local import LocalStore
from modhub.storage.progress import Progress
from modhub.storage.store import Store


def fsck(
    registry: Registry,
    *,
    repair_from: RegistryReader | None = None,
    keys: Sequence[str] = (),
    progress: Progress | None = None,
) -> FsckReport:
    """Look at everything, and repair from another registry what it can give. Damage is reported, never raised.

    ``keys``: ids of keys whose signatures a ``repair_from`` that cannot list may have. Raises RegistryUnreachable when
    there is no registry or it cannot be read at all, and UsageError when a registry is to repair itself.
    """
    repairs = None
    if repair_from is not None:
        if repair_from.url == registry.url:
            raise UsageError(
                f"{registry.url} cannot be repaired from itself.", kind="same-registry", hint="name another registry."
            )
        repair_from.check()
        repairs = Repairs(registry, repair_from, keys)
    # Whose signatures are believed does not change which bytes are right.
    reader = RegistryReader(registry.store, name=registry.name)
    findings = list(_check_marker(reader, repairs))
    if repairs is not None:
        registry.prepare()
    contents = Contents(reader, repairs, progress)
    check = _check_listed if reader.store.capabilities.can_list else _check_unlisted
    findings += check(registry, contents)
    return FsckReport(
        registry=registry.url,
        releases=len(contents.releases),
        blobs=contents.blobs,
        size=contents.size,
        records=contents.records,
        signatures=contents.signatures,
        findings=tuple(sorted(findings, key=lambda found: (found.severity, found.path, found.kind, found.message))),
    )


def _check_marker(reader: RegistryReader, repairs: Repairs | None) -> Iterator[Finding]:
    try:
        reader.check()
    except IntegrityError as error:
        if repairs is not None:
            repairs.marker()
        yield Finding.after_repair("damage", "bad-marker", MARKER, error.message, "" if repairs is None else None)


def _check_listed(registry: Registry, contents: Contents) -> Iterator[Finding]:
    store = registry.store
    # Whose signatures are believed does not change what the derived files have to say.
    reader = RegistryReader(store, name=registry.name)
    inventory = Inventory.of(store)
    stored = StoredIndex.of(store, inventory)
    # The index is written after the release, so one that only the index has was lost.
    releases = sorted({*inventory.releases, *stored.digests})
    yield from contents.check_histories({history: max(numbers) for history, numbers in inventory.histories.items()})
    yield from contents.check_releases(releases, stored.digests)
    yield from contents.check_blobs()
    # What was lost may need anything too.
    survey = None if contents.unreadable else _survey(registry)
    yield from contents.check_signatures(inventory.signatures, survey.needs if survey else lambda path: True)
    if contents.restored:
        for namespace, model in sorted({(ref.namespace, ref.model) for ref in contents.restored}):
            update_index(registry, namespace, model)
        inventory = Inventory.of(store)
        stored = StoredIndex.of(store, inventory)
    yield from index_findings(store, stored, _truth(contents, frozenset(inventory.alias_names)))
    yield from notices_findings(reader)
    yield from _untidy(store, inventory, contents, survey)


def _check_unlisted(registry: Registry, contents: Contents) -> Iterator[Finding]:
    store = registry.store
    stored = StoredIndex.alone(store)
    releases = sorted(stored.digests)
    names = [("alias", name) for name in (stored.catalog.aliases if isinstance(stored.catalog, SearchCatalog) else ())]
    names += [(kind, history_name(ref)) for ref in releases for kind in ("yank", "class-yank", "tombstone")]
    yield from contents.check_histories(dict.fromkeys(names, 0))
    yield from contents.check_releases(releases, stored.digests)
    yield from contents.check_blobs()
    yield from index_findings(store, stored, _truth(contents, None))


def _truth(contents: Contents, aliases: frozenset[str] | None) -> Truth:
    unsure = frozenset(contents.unreadable | contents.undecided)
    return Truth(frozenset(contents.releases | contents.unreadable), contents.entries, unsure, aliases)


def _survey(registry: Registry) -> Survey | None:
    """What is needed now; None when that is unknown."""
    survey = Survey(registry)
    try:
        survey.refresh()
    except (IntegrityError, Incompatible):
        return None
    return survey


def _untidy(store: Store, inventory: Inventory, contents: Contents, survey: Survey | None) -> Iterator[Finding]:
    """What nothing needs."""
    for path in inventory.passing:
        yield Finding("untidy", "leftover", path, f"{store.url}/{path} was left behind by a crash.")
    for path in inventory.foreign:
        yield Finding("untidy", "foreign-file", path, f"{store.url}/{path} does not belong to the registry.")
    if isinstance(store, LocalStore):
        for full in files.leftovers(store.root, float("inf")):
            yield Finding("untidy", "unfinished-write", full, f"{full} is a write that was not finished.")
    known = contents.releases | contents.unreadable
    for kind, name in inventory.histories:
        if (ref := release_of(name)) is not None and ref not in known:
            path = record_path(kind, name, 1)
            yield Finding("untidy", "orphaned-record", path, f"there is a {kind} of {ref}, but no such release.")
    if survey is None:
        message = "which blobs and signatures nothing needs is unknown while a release cannot be read."
        yield Finding("untidy", "orphans-unknown", RELEASES, message)
        return
    for path in sorted([*map(blob_path, inventory.blobs), *(signature_path(*found) for found in inventory.signatures)]):
        if not survey.needs(path):
            kind = "orphaned-blob" if blob_at(path) else "orphaned-signature"
            yield Finding("untidy", kind, path, f"nothing needs {store.url}/{path}.")
