"""A registry in this process's memory, on fsspec's ``memory://``: for tests and throw-away work.

fsspec checks, then writes; one lock for the whole process makes the pair one step. Threads share the store, processes
do not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fsspec.implementations.memory import MemoryFileSystem

from modhub.errors import NotFound
from modhub.spec.url import RegistryUrl
from modhub.storage.store import CHUNK_BYTES, Capabilities, Payload, check_path, check_prefix, is_path, too_large

_WRITING: Final = threading.Lock()


class MemoryStore:
    """Everything under ``memory://<name>``; the same name is the same store anywhere in this process."""

    capabilities = Capabilities(initialises_itself=True, parallel=1)

    def __init__(self, name: str) -> None:
        self._root = "/" + check_path(name)
        self._files: Any = MemoryFileSystem()

    @property
    def url(self) -> RegistryUrl:
        return RegistryUrl(f"memory:/{self._root}")

    def get(self, path: str, *, max_bytes: int) -> bytes:
        full = self._full(path)
        try:
            size = self._files.size(full)
            if size is not None and size > max_bytes:
                raise too_large(f"{self.url}/{path}", size=size, max_bytes=max_bytes)
            data: bytes = self._files.cat_file(full)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise self._missing(path) from error
        return data

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        data = self.get(path, max_bytes=max_bytes)
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]

    def put_if_absent(self, path: str, data: Payload) -> bool:
        full, given = self._full(path), _bytes(data)
        with _WRITING:
            if self._files.exists(full):
                return False
            self._files.pipe_file(full, given)
        return True

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        return {path: self.put_if_absent(path, data) for path, data in objects.items()}

    def replace(self, path: str, data: Payload) -> None:
        full, given = self._full(path), _bytes(data)
        with _WRITING:
            self._files.pipe_file(full, given)

    def delete(self, path: str) -> None:
        full = self._full(path)
        with _WRITING, suppress(FileNotFoundError):
            self._files.rm_file(full)

    def exists(self, path: str) -> bool:
        return bool(self._files.isfile(self._full(path)))

    def answers_for_missing(self, path: str) -> bool:
        return False

    def list(self, prefix: str) -> list[str]:
        start = f"{self._root}/{check_prefix(prefix)}".rstrip("/")
        with _WRITING:
            found = self._files.find(start)
        # fsspec names the file itself when the prefix is one.
        below = [name.removeprefix(self._root + "/") for name in found if name.startswith(start + "/")]
        return sorted(filter(is_path, below))

    def modified(self, path: str) -> datetime:
        try:
            when: datetime = self._files.modified(self._full(path))
        except FileNotFoundError as error:
            raise self._missing(path) from error
        return when.astimezone(UTC)

    def sweep(self, before: datetime) -> int:
        # A write here is there or not; nothing can be left half done.
        return 0

    def _missing(self, path: str) -> NotFound:
        return NotFound(f"{self.url}/{path} does not exist.", kind="no-object", path=path)

    def _full(self, path: str) -> str:
        return f"{self._root}/{check_path(path)}"


def _bytes(data: Payload) -> bytes:
    return data.read_bytes() if isinstance(data, Path) else data
