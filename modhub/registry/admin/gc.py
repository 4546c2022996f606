"""Collecting what nothing needs any more: blobs and signatures of publications that failed, of releases taken down.

Two phases, apart by a grace period, both by the store's own clock. The first records each orphan and how old it is. The
second, in a later run, deletes what has been an orphan since then and what nobody has written again: a publisher who
reuses an old orphan makes it young. Where even that is not enough, ``delete`` and the publisher look after each other.
Releases, histories and files that do not belong to the registry are never touched.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from modhub.errors import IntegrityError, NotFound, RegistryUnreachable, StorageError
from modhub.registry.admin.delete import Doomed, Removed, delete_objects, object_size
from modhub.registry.admin.inventory import CANDIDATES, CLOCKS, Inventory, require_listing
from modhub.registry.admin.reachable import Survey
from modhub.registry.writer import Registry
from modhub.spec.layout import blob_path, signature_path
from modhub.spec.registry_files import GC_FORMAT, GcCandidate, GcCandidates, max_bytes_of, read_document, write_document
from modhub.storage.parallel import each
from modhub.storage.progress import Progress
from modhub.storage.store import Store

#: How long an orphan waits: longer than any publication takes.
GRACE: Final = timedelta(days=7)
#: Orphans in the list of candidates, which then stays below the limit of its file; the rest comes another time.
_MOST_CANDIDATES: Final = 100_000
#: Unfinished writes and the like may belong to a running publisher, which touches them all the time. Without a grace at
#: all
#: they wait as long.
_AT_WORK: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Orphan:
    """Something that nothing needs. ``modified`` and ``found`` by the store's clock."""

    path: str
    modified: datetime
    found: datetime


@dataclass(frozen=True)
class Collection:
    """What a collection did; with ``dry_run``, what it would have done.

    ``deleted``: gone. ``waiting``: orphans whose time has not come. ``kept``: orphans that a publisher used again while
    this went on. ``swept``: how many unfinished writes and the like were removed. ``warnings`` are for people.
    """

    registry: str
    dry_run: bool
    deleted: tuple[Doomed, ...]
    waiting: tuple[Orphan, ...]
    kept: tuple[Doomed, ...]
    swept: int
    warnings: tuple[str, ...]

    @property
    def freed(self) -> int:
        """Bytes of what was deleted, as far as the store knows sizes."""
        return sum(one.size or 0 for one in self.deleted)


def collect(
    registry: Registry, *, older_than: timedelta = GRACE, dry_run: bool = False, progress: Progress | None = None
) -> Collection:
    """Delete what has been an orphan for ``older_than``, and record what has become one.

    On a full disk it deletes first and records afterwards. With zero, both phases are one, and a publication under way
    may fail and have to be run again. Raises RegistryUnreachable, kind ``cannot-list`` among others, and
    IntegrityError, kind ``damaged-release``, when a release that cannot be read might need anything: then nothing is
    deleted. Raises StorageError, kind ``no-space``, when the disk is full and nothing there may be deleted yet.
    """
    registry.check()
    store = registry.store
    require_listing(store, "gc")
    if not dry_run:
        registry.prepare()
    # Trying it out writes nothing, not even to ask for the time.
    now = datetime.now(UTC) if dry_run else _time_of(store)
    inventory, survey = Inventory.of(store), Survey(registry)
    survey.refresh()
    orphans = _orphans(store, inventory, survey, now)
    waiting = [one for one in orphans if now - max(one.found, one.modified) < older_than]
    ripe = sorted(set(orphans) - set(waiting), key=lambda one: one.path)
    doomed = each(
        lambda one: Doomed(one.path, one.modified, object_size(store, one.path)), ripe, at_once=_at_once(store)
    )
    abandoned = _before(now, max(older_than, _AT_WORK))
    stale = [path for path in inventory.passing if _is_older(store, path, abandoned)]
    removed, swept = Removed(tuple(doomed), ()), len(stale)
    remarks: list[str] = []
    if not dry_run:
        # Whatever the host does not allow is known before anything is deleted, and what frees room comes first.
        unfinished, remarks = _swept(store, abandoned)
        swept += unfinished
        for path in stale:
            store.delete(path)
        try:
            _record(store, orphans)
        except StorageError as error:
            if not doomed and not swept:
                raise _still_full(store, orphans, error) from error
        survey.refresh()
        removed = delete_objects(store, doomed, survey, progress)
        gone = {one.path for one in removed.deleted}
        try:
            _record(store, [one for one in orphans if one.path not in gone])
        except StorageError as error:
            remarks.append(f"the orphans that are left could not be recorded: {error.message}")
    return Collection(
        registry.url,
        dry_run,
        removed.deleted,
        tuple(waiting),
        removed.kept,
        swept,
        (*_warnings(survey), *remarks),
    )


def _swept(store: Store, before: datetime) -> tuple[int, list[str]]:
    """How many unfinished writes were removed, and what people should know of the others."""
    try:
        return store.sweep(before), []
    except RegistryUnreachable as error:
        if error.kind != "cannot-sweep":
            raise
        return 0, [f"{error.message} {error.hint}"]


def _still_full(store: Store, orphans: list[Orphan], error: StorageError) -> StorageError:
    if not orphans:
        return StorageError(
            f"{store.url} is full, and nothing there may be collected: {error.message}",
            kind="no-space",
            hint="free some space on that disk, or take releases down with modhub registry takedown.",
        )
    return StorageError(
        f"{store.url} is full, and none of the {len(orphans)} orphans there has waited long enough to be deleted: "
        f"{error.message}",
        kind="no-space",
        hint=f"while nobody publishes there, delete them at once: modhub registry gc {store.url} --older-than 0",
        orphans=len(orphans),
    )


def _orphans(store: Store, inventory: Inventory, survey: Survey, now: datetime) -> list[Orphan]:
    """All orphans, each with when it was first found to be one at its present age."""
    recorded = _recorded(store)
    paths = [*map(blob_path, inventory.blobs), *(signature_path(*found) for found in inventory.signatures)]
    unneeded = sorted(path for path in paths if not survey.needs(path))

    def look(path: str) -> Orphan | None:
        try:
            modified = store.modified(path)
        except NotFound:
            return None
        return Orphan(path, modified, min(recorded.get((path, modified), now), now))

    return [orphan for orphan in each(look, unneeded, at_once=_at_once(store)) if orphan]


def _time_of(store: Store) -> datetime:
    """The time by the store's own clock, which also gives its objects' ages."""
    path = f"{CLOCKS}{secrets.token_hex(8)}"
    try:
        # On a full disk there is room for a name, but not for bytes.
        store.put_if_absent(path, b"")
        return store.modified(path)
    except StorageError:
        # The disk is one of this machine, whose clock is the next best; the grace period is far longer than it errs.
        return datetime.now(UTC)
    finally:
        store.delete(path)


def _before(now: datetime, span: timedelta) -> datetime:
    """A moment so long before now; the first one there is when there is none."""
    try:
        return now - span
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _recorded(store: Store) -> dict[tuple[str, datetime], datetime]:
    try:
        data = store.get(CANDIDATES, max_bytes=max_bytes_of(GcCandidates))
        candidates = read_document(GcCandidates, data, what=f"{store.url}/{CANDIDATES}", newest=GC_FORMAT).candidates
    except (NotFound, IntegrityError):
        # Nothing is lost with it but time: all orphans count as found now.
        return {}
    return {(one.path, one.modified): one.found for one in candidates}


def _record(store: Store, orphans: list[Orphan]) -> None:
    kept = [GcCandidate(path=one.path, modified=one.modified, found=one.found) for one in orphans[:_MOST_CANDIDATES]]
    if kept:
        store.replace(CANDIDATES, write_document(GcCandidates(format=GC_FORMAT, candidates=tuple(kept))))
    elif store.exists(CANDIDATES):
        store.delete(CANDIDATES)


def _is_older(store: Store, path: str, than: datetime) -> bool:
    with contextlib.suppress(NotFound):
        return store.modified(path) <= than
    return False


def _warnings(survey: Survey) -> tuple[str, ...]:
    if survey.doubt is None:
        return ()
    return (f"no signatures were collected, because it is unknown which are needed: {survey.doubt.message}",)


def _at_once(store: Store) -> int:
    return store.capabilities.parallel
