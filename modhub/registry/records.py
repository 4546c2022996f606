"""Append-only histories, one file an entry: what may change in a registry without ever being overwritten.

Entries are numbered from 1 without gaps, created exclusively, and name the digest of the entry before them, so the
loser of a race gets an error, and an entry that was altered, removed from the middle or taken from another name's
history is noticed. Then nothing of that history is believed: an attacker could have restored an older entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, Generic, TypeVar

from modhub.errors import Conflict, IntegrityError, NotFound
from modhub.limits import MAX_HISTORY_ENTRIES, MAX_RECORD_BYTES
from modhub.registry.objects import get_object
from modhub.spec.digests import Digest, sha256
from modhub.spec.layout import record_path, records_folder
from modhub.spec.registry_files import RECORD_FORMAT, ChainedRecord, read_document, write_document
from modhub.storage.store import Store

Record = TypeVar("Record", bound=ChainedRecord)

#: The name of the file of one entry.
ENTRY_FILE: Final = re.compile(r"([0-9]{6})\.json\Z")


@dataclass(frozen=True)
class RecordLog(Generic[Record]):
    """The history of one name, for example of the alias ``c10``: kind ``alias``, name ``c10``."""

    store: Store
    kind: str
    name: str
    model: type[Record]

    def history(self) -> list[Record]:
        """All entries, oldest first. Raises IntegrityError when any of them cannot be believed."""
        return [record for record, _ in self.entries()]

    def entries(self) -> list[tuple[Record, Digest]]:
        """``history``, each entry with the digest of its file."""
        entries: list[tuple[Record, Digest]] = []
        length = self._length()
        for number in count(1) if length is None else range(1, length + 1):
            path = record_path(self.kind, self.name, number)
            what = f"{self.store.url}/{path}"
            try:
                data = get_object(self.store, path, max_bytes=MAX_RECORD_BYTES)
            except NotFound as error:
                if length is None:
                    # Where nothing is listed, the first that is not there is the end.
                    break
                raise self._broken(number, "is missing") from error
            if number > MAX_HISTORY_ENTRIES:
                raise self._broken(number, f"is one more than the {MAX_HISTORY_ENTRIES} that a history may have")
            record = read_document(self.model, data, what=what, newest=RECORD_FORMAT)
            if record.name != self.name or record.number != number:
                raise self._broken(number, f"says it is entry {record.number} of {record.name!r}")
            if record.previous != (entries[-1][1] if entries else None):
                raise self._broken(number, "does not follow from the entry before it")
            entries.append((record, sha256(data)))
        return entries

    def append(
        self,
        seen: Sequence[tuple[Record, Digest]],
        make: Callable[[int, Digest | None], Record],
        before_write: Callable[[Record, Digest], None] = lambda record, digest: None,
    ) -> Record:
        """Add ``make(number, digest of the entry before)`` behind the entries on which the decision to add it rests.

        Raises Conflict when somebody else has added one since. ``before_write`` gets the entry and the digest of its
        file: its signature must be there first.
        """
        record = make(len(seen) + 1, seen[-1][1] if seen else None)
        data = write_document(record)
        before_write(record, sha256(data))
        if not self.store.put_if_absent(record_path(self.kind, self.name, record.number), data):
            raise Conflict(
                f"the {self.kind} {self.name!r} was changed by somebody else at the same moment.",
                kind="record-race",
                hint="look at what it is now, then decide again.",
                name=self.name,
                number=record.number,
            )
        return record

    def _length(self) -> int | None:
        """The number of the newest entry that is listed; None where nothing can be listed."""
        if not self.store.capabilities.can_list:
            return None
        folder = records_folder(self.kind, self.name)
        names = [path.removeprefix(folder + "/") for path in self.store.list(folder)]
        return max((int(match[1]) for name in names if (match := ENTRY_FILE.match(name))), default=0)

    def _broken(self, number: int, reason: str) -> IntegrityError:
        return IntegrityError(
            f"entry {number} of the {self.kind} {self.name!r} in {self.store.url} {reason}.",
            kind="broken-history",
            hint="do not use this name until the administrator of the registry has restored its history.",
            name=self.name,
            number=number,
        )
