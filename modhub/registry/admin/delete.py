"""Deleting what nothing needs, while publishers may begin to need it at any moment.

There are no locks. A publisher writes its manifest and then looks for its blobs; here a blob is deleted and then the
manifests are looked at. The later of the two sees the other: either the publisher puts the blob back, or this module
does, from a copy that it took just before. Objects go in batches, each bounded by the disk space that its copies take.

What is not covered: a process killed between a deletion and the look that follows, when a whole publication that uses
the blob fell between the last check of its age and the deletion. Publishing that release again repairs it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from modhub.errors import IntegrityError, ModhubError, NotFound, StorageError
from modhub.limits import GIB, MAX_BLOB_BYTES, MAX_SIGNATURE_BYTES, MIB
from modhub.registry.admin.inventory import blob_at
from modhub.registry.admin.reachable import Survey
from modhub.registry.admin.spool import Spool
from modhub.registry.publication import UploadProgress
from modhub.storage.parallel import each
from modhub.storage.progress import Progress
from modhub.storage.store import Payload, Store

#: Bytes of copies that are kept at once, unless a single object has more; and objects between two looks.
_BATCH_BYTES: Final = GIB
_BATCH_OBJECTS: Final = 200
#: The same for copies in memory, where this machine's disk has no room for them.
_MEMORY_BYTES: Final = 64 * MIB


@dataclass(frozen=True)
class Doomed:
    """An object to delete. ``modified``: it must be of this age still; ``size`` in bytes, None when unknown."""

    path: str
    modified: datetime
    size: int | None


@dataclass(frozen=True)
class Removed:
    """``deleted`` is gone; ``kept`` was used again by a publisher in the meantime, and is there."""

    deleted: tuple[Doomed, ...]
    kept: tuple[Doomed, ...]


@dataclass(frozen=True)
class _Copy:
    """``data`` is None when the object was damaged: such bytes are not worth putting back."""

    doomed: Doomed
    data: Payload | None


def doomed_at(store: Store, path: str) -> Doomed | None:
    """An object as it lies there now, None when it is gone."""
    try:
        modified = store.modified(path)
    except NotFound:
        return None
    return Doomed(path, modified, object_size(store, path))


def object_size(store: Store, path: str) -> int | None:
    """The bytes of an object; None when the store does not say or the object is gone."""
    # What a store says of an object that is too large for the caller is the one way to ask.
    try:
        store.get(path, max_bytes=0)
    except IntegrityError as error:
        return error.data.get("size")
    except NotFound:
        return None
    return 0


def delete_objects(store: Store, doomed: Sequence[Doomed], survey: Survey, progress: Progress | None = None) -> Removed:
    """Delete what ``survey`` does not need and what nobody has touched. ``survey`` must have been refreshed.

    Raises whatever the store raises; what was deleted without a second look is then put back first.
    """
    deleted: list[Doomed] = []
    kept: list[Doomed] = []
    meter = UploadProgress("deleting", len(doomed), progress)
    for batch in _batches(doomed, _BATCH_BYTES):
        for done in _removed(store, batch, survey):
            deleted += done.deleted
            kept += done.kept
        meter.add(len(batch))
    return Removed(tuple(deleted), tuple(kept))


def _removed(store: Store, batch: Sequence[Doomed], survey: Survey) -> Iterator[Removed]:
    """The batch removed; in smaller ones where its copies have to wait in memory, because the disk is full."""
    try:
        with Spool() as spool:
            yield _remove_batch(store, batch, survey, spool)
        return
    except StorageError as error:
        # Copies come before the first deletion.
        if error.kind != "no-temporary-space" or any((one.size or 0) > _MEMORY_BYTES for one in batch):
            raise
    for small in _batches(batch, _MEMORY_BYTES):
        yield _remove_batch(store, small, survey, None)


def _remove_batch(store: Store, batch: Sequence[Doomed], survey: Survey, spool: Spool | None) -> Removed:
    at_once = store.capabilities.parallel
    kept = [one for one in batch if survey.needs(one.path)]
    copies = each(lambda one: _copied(store, one, spool), [one for one in batch if one not in kept], at_once=at_once)
    there = [copy for copy in copies if copy is not None]
    try:
        deleted = each(lambda copy: _delete(store, copy.doomed), there, at_once=at_once)
        survey.refresh()
    except BaseException:
        # Without the second look nobody knows what is needed, so everything is.
        for copy in there:
            with contextlib.suppress(ModhubError):
                _put_back(store, copy)
        raise
    gone = [copy for copy, answer in zip(there, deleted, strict=True) if answer]
    needed = [copy for copy in gone if survey.needs(copy.doomed.path)]
    for copy in needed:
        _put_back(store, copy)
    touched = [copy.doomed for copy, answer in zip(there, deleted, strict=True) if answer is False]
    kept += touched + [copy.doomed for copy in needed]
    return Removed(tuple(copy.doomed for copy in gone if copy not in needed), tuple(kept))


def _delete(store: Store, doomed: Doomed) -> bool | None:
    """True: deleted. False: a publisher has written it again. None: another process has deleted it."""
    try:
        if store.modified(doomed.path) != doomed.modified:
            return False
    except NotFound:
        return None
    store.delete(doomed.path)
    return True


def _copied(store: Store, doomed: Doomed, spool: Spool | None) -> _Copy | None:
    """A copy of the object; None when it is gone."""
    digest = blob_at(doomed.path)
    hashing = hashlib.sha256()

    def hashed(chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            hashing.update(chunk)
            yield chunk

    limit = MAX_SIGNATURE_BYTES if digest is None else MAX_BLOB_BYTES
    if spool is None:
        limit = min(limit, _MEMORY_BYTES)
    try:
        chunks = hashed(store.stream(doomed.path, max_bytes=limit))
        data: Payload = spool.keep(doomed.path.replace("/", "-"), chunks) if spool else b"".join(chunks)
    except NotFound:
        return None
    except IntegrityError:
        return _Copy(doomed, None)
    if digest is not None and digest != f"sha256:{hashing.hexdigest()}":
        if isinstance(data, Path):
            data.unlink()
        return _Copy(doomed, None)
    return _Copy(doomed, data)


def _put_back(store: Store, copy: _Copy) -> None:
    if copy.data is not None:
        store.put_if_absent(copy.doomed.path, copy.data)
    elif not store.exists(copy.doomed.path):
        raise IntegrityError(
            f"{store.url}/{copy.doomed.path} was damaged and was deleted, and a release that appeared meanwhile needs "
            "it.",
            kind="missing-blob",
            hint="publish that release again; modhub registry fsck names it.",
            path=copy.doomed.path,
        )


def _batches(doomed: Iterable[Doomed], most: int) -> Iterator[list[Doomed]]:
    batch: list[Doomed] = []
    size = 0
    for one in doomed:
        # Of an object whose size is not known, the worst is assumed.
        own = MAX_BLOB_BYTES if one.size is None else one.size
        if batch and (size + own > most or len(batch) == _BATCH_OBJECTS):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += own
    if batch:
        yield batch
