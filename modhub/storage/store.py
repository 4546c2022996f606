"""What a registry needs of the place where its bytes are stored, and nothing more.

A store keeps bytes under relative paths. Two promises carry the whole design: ``put_if_absent`` has exactly one winner
among any number of processes, and no reader ever sees half of what was written. ``modhub.storage.testing`` checks both
for any implementation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from modhub.errors import IntegrityError
from modhub.limits import MIB
from modhub.spec.url import RegistryUrl

#: Letters, digits and four signs, never a leading dot: nothing that any file system or URL gives a meaning of its own,
#: and no temporary file, whose name starts with a dot.
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*\Z")
_MAX_SEGMENT_CHARS: Final = 200
#: No path of a registry or a cache is longer, in characters, or deeper, in segments: theirs have six.
MAX_PATH_CHARS: Final = 900
MAX_PATH_SEGMENTS: Final = 16


#: What a store writes: bytes, or the content of a local file, which is then streamed.
Payload = bytes | Path

#: Bytes in one piece of a stream, unless the last.
CHUNK_BYTES: Final = 4 * MIB


@dataclass(frozen=True)
class Capabilities:
    """What a store can do.

    ``exclusive_create``: ``put_if_absent`` is atomic between processes; where it is not, ``why_not`` says why.
    ``can_list``: ``list`` tells the truth. ``initialises_itself``: the first publication may create the registry;
    elsewhere a person runs ``registry init``. ``parallel``: how many operations at once are worth while.
    """

    writable: bool = True
    exclusive_create: bool = True
    can_list: bool = True
    initialises_itself: bool = False
    parallel: int = 4
    why_not: str = ""


class Store(Protocol):
    """Bytes under relative posix paths such as ``blobs/sha256/ab/cd``. Any number of threads may use one store.

    Every method refuses a path that ``check_path`` refuses. All raise RegistryUnreachable when the place cannot be
    read or written at all, and StorageError when it is full. Transient failures are retried inside.
    """

    @property
    def url(self) -> RegistryUrl:
        """How ``open_store`` finds this store again, without name and password."""

    @property
    def capabilities(self) -> Capabilities: ...

    def get(self, path: str, *, max_bytes: int) -> bytes:
        """The whole object. Raises NotFound, and IntegrityError ``too-large`` (before reading it all) beyond
        ``max_bytes``; ``data["size"]`` is then the object's size where the store knows it."""

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        """As ``get``, in pieces of at most CHUNK_BYTES. An object replaced meanwhile may come out mixed: hash it."""

    def put_if_absent(self, path: str, data: Payload) -> bool:
        """Write unless something is there. True: these bytes are there now, whole and durable. False: another's are.

        A store whose acknowledgement was lost reads back: equal bytes are True, others False. Raises
        RegistryUnreachable, kind ``unknown-outcome``, when that is unknown, too.
        """

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        """``put_if_absent`` for many paths at once: as parallel, or as few flushes to the disk, as the store can."""

    def replace(self, path: str, data: Payload) -> None:
        """Write whatever is there, atomically: for derived files and the repair of blobs, never for a publication."""

    def delete(self, path: str) -> None:
        """Remove the object; not finding it is fine. Only for orphaned blobs and derived files."""

    def exists(self, path: str) -> bool: ...

    def answers_for_missing(self, path: str) -> bool:
        """Whether the place gives something for names beside ``path`` that nothing can have.

        Web hosts do that answer every address with their start page. Then an object that is not what it should be may
        simply not be there.
        """

    def list(self, prefix: str) -> list[str]:
        """Paths of all objects below the folder ``prefix`` (``""``: all), sorted, without files still being written."""

    def modified(self, path: str) -> datetime:
        """When the object was last written, by the store's own clock, in UTC. Raises NotFound."""

    def sweep(self, before: datetime) -> int:
        """Remove unfinished writes that were last touched before then; how many there were.

        Raises RegistryUnreachable, kind ``cannot-sweep``, where the place does not say which there are.
        """


def check_path(path: str) -> str:
    """``path`` when a store may be asked for it. Raises IntegrityError: a bad path can only come from bad data."""
    segments = path.split("/")
    if (
        len(path) > MAX_PATH_CHARS
        or len(segments) > MAX_PATH_SEGMENTS
        or not all(len(segment) <= _MAX_SEGMENT_CHARS and _SEGMENT.match(segment) for segment in segments)
    ):
        raise IntegrityError(f"{path[:200]!r} is not a path inside a registry.", kind="bad-path", path=path)
    return path


def check_prefix(prefix: str) -> str:
    """``prefix`` when a store may be asked to list it: a folder's path, or ``""`` for everything."""
    return check_path(prefix) if prefix else prefix


def is_path(path: str) -> bool:
    """Whether ``check_path`` accepts ``path``: whatever else is in the folder does not belong to the registry."""
    try:
        check_path(path)
    except IntegrityError:
        return False
    return True


def too_large(path: str, *, size: int | None, max_bytes: int) -> IntegrityError:
    """The error of ``get`` for an object beyond its bound."""
    found = "more" if size is None else str(size)
    return IntegrityError(
        f"{path} has {found} bytes where at most {max_bytes} are allowed.",
        kind="too-large",
        path=path,
        size=size,
        max_bytes=max_bytes,
    )
