"""A registry on any fsspec file system: S3, Google and Azure object stores, SFTP.

The clients' own retries are off, or not relied on, so that the retries here know what they repeat. A creation whose
answer was lost, or that meets an object, is decided by reading what is stored there: the mark of the call that wrote it
where the store keeps one, else its bytes. So True always means that the bytes are there, and a publisher never takes
its own release for somebody else's. Nothing depends on a cached listing, on ``fs.exists`` (which takes a broken
connection for "no") or on ``fs.walk`` (which skips folders that it cannot read).
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from modhub.errors import ModhubError, NotFound, RegistryUnreachable
from modhub.limits import MAX_RETRY_AFTER_SECONDS, MIB
from modhub.spec.log import timing
from modhub.spec.url import RegistryUrl
from modhub.storage import parallel
from modhub.storage.backends import (
    BACKENDS,
    MARK,
    MEDIA_TYPES,
    PART_BYTES,
    RemoteKind,
    capabilities,
    connected,
    installed_version,
)
from modhub.storage.client_errors import (
    client_error,
    is_bad_range,
    is_transient,
    is_unclear,
    lacks_bucket,
    requested_wait,
    says,
)
from modhub.storage.files import TEMPORARY
from modhub.storage.remote_files import join_path, payload_size, refuse_taken, temporary_file_name, walk_files
from modhub.storage.retry import Retry
from modhub.storage.store import CHUNK_BYTES, Payload, check_path, check_prefix, is_path, too_large

Answer = TypeVar("Answer")
#: Bytes of one request for a part of a large object: enough that the wait for its answer hardly counts.
RANGE_BYTES: Final = 16 * MIB
_MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class FileSystemStore:
    """The folder or prefix that ``url`` names, reached when it is first used.

    ``backend``: what is known of the file system, by default what the URL's protocol says. ``options``: for the
    client, above its own configuration. ``installed``: finds the versions of the client libraries.
    """

    def __init__(
        self,
        url: str,
        *,
        backend: RemoteKind | None = None,
        options: Mapping[str, Any] | None = None,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        installed: Callable[[str], str | None] = installed_version,
    ) -> None:
        self.url = RegistryUrl(url.rstrip("/"))
        self.retry = retry
        self._backend = backend or BACKENDS[url.partition("://")[0]]
        self._options = dict(options or {})
        self._lock = threading.RLock()
        self._connection: tuple[int, Any, str] | None = None
        self.capabilities = capabilities(self._backend, installed)

    def get(self, path: str, *, max_bytes: int) -> bytes:
        end = max_bytes + 1
        if not self._backend.whole:
            # Such file systems allocate all that is asked for, so ask for no more than there is.
            end = min(max_bytes, self._size(path)) + 1
        data = self._range(path, 0, end)
        if len(data) > max_bytes:
            raise too_large(f"{self.url}/{path}", size=self._size(path), max_bytes=max_bytes)
        return data

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        piece = self._range(path, 0, min(CHUNK_BYTES, max_bytes + 1))
        size = len(piece)
        if size == CHUNK_BYTES or size > max_bytes:
            size = self._size(path)
        if size > max_bytes:
            raise too_large(f"{self.url}/{path}", size=size, max_bytes=max_bytes)
        if piece:
            yield piece
        yield from self._pieces(path, len(piece), size)

    def put_if_absent(self, path: str, data: Payload) -> bool:
        full, size = check_path(path), payload_size(data)
        marked, mark = bool(self._backend.mark), secrets.token_hex(16)
        # Without marks a creation that meets equal bytes could not be told from a lost answer; a client that cannot
        # create exclusively must not overwrite; and a large upload would be refused only when all of it is there.
        look_first = not (self._backend.exact or marked) or not self.capabilities.exclusive_create
        if (look_first or size >= 2 * self._backend.limits.get("chunksize", PART_BYTES)) and self.exists(path):
            return False
        doubt: Exception | None = None
        for delay in self.retry.delays():
            failure = self._attempt(lambda files, root: self._create(files, join_path(root, full), data, mark))
            if failure is None:
                return True
            met = isinstance(failure, FileExistsError)
            if met and doubt is None and self._backend.exact:
                return False
            if not met and not is_unclear(failure):
                raise self._explained(failure, "create", path) from failure
            doubt = failure
            ours = self._is_ours(path, data, mark, doubt)
            if ours is not None:
                return ours
            asked = requested_wait(failure) or 0.0
            if delay is None or asked > MAX_RETRY_AFTER_SECONDS:
                break
            self.retry.wait(max(delay, asked))
        assert doubt is not None
        raise self._explained(doubt, "create", path) from doubt

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        outcomes = parallel.each(
            lambda item: self.put_if_absent(*item), objects.items(), at_once=self.capabilities.parallel
        )
        return dict(zip(objects, outcomes, strict=True))

    def replace(self, path: str, data: Payload) -> None:
        full = check_path(path)
        payload_size(data)
        self._run(lambda files, root: self._overwrite(files, join_path(root, full), data), "write", path)

    def delete(self, path: str) -> None:
        full = check_path(path)

        def remove(files: Any, root: str) -> None:
            try:
                # Some file systems remove an empty folder as well.
                if self._backend.whole or files.info(join_path(root, full))["type"] == "file":
                    files.rm_file(join_path(root, full))
            except _MISSING as error:
                if lacks_bucket(error):
                    raise

        self._run(remove, "write", path)

    def exists(self, path: str) -> bool:
        try:
            self._size(path)
        except NotFound:
            return False
        return True

    def answers_for_missing(self, path: str) -> bool:
        return False

    def list(self, prefix: str) -> list[str]:
        start = check_prefix(prefix)

        def below(files: Any, root: str) -> list[str]:
            top = join_path(root, start)
            try:
                found = self._backend.find(files, top) if self._backend.whole else walk_files(files, top)
            except FileNotFoundError as error:
                if lacks_bucket(error):
                    raise
                return []
            names = [str(name).removeprefix(f"{root}/" if root else "") for name in found]
            # A prefix that is an object has nothing below it.
            return sorted(name for name in names if is_path(name) and name.startswith(f"{start}/" if start else ""))

        return self._run(below, "read", prefix)

    def modified(self, path: str) -> datetime:
        full = check_path(path)

        def when(files: Any, root: str) -> datetime:
            if not self._backend.whole and files.info(join_path(root, full))["type"] != "file":
                raise IsADirectoryError(full)
            try:
                found: datetime = files.modified(join_path(root, full))
            except KeyError as error:
                # What an object store shows as a folder has no time.
                raise IsADirectoryError(full) from error
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

        return self._run(when, "read", path)

    def sweep(self, before: datetime) -> int:
        def clean(files: Any, root: str) -> int:
            if self._backend.whole:
                return self._backend.sweep(files, root, before)
            stale = [
                name
                for name in walk_files(files, root)
                if name.rpartition("/")[2].startswith(TEMPORARY) and files.modified(name) < before
            ]
            for name in stale:
                with suppress(FileNotFoundError):
                    files.rm_file(name)
            return len(stale)

        return self._run(clean, "sweep", "")

    # Reading

    def _size(self, path: str) -> int:
        """Bytes of an object. Raises NotFound for a folder as well."""
        full = check_path(path)

        def size(files: Any, root: str) -> int:
            info = files.info(join_path(root, full))
            if info["type"] != "file":
                raise IsADirectoryError(full)
            return int(info["size"])

        return self._run(size, "read", path)

    def _range(self, path: str, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` (excluded) of an object, or fewer where it ends before."""
        full = check_path(path)

        def read(files: Any, root: str) -> bytes:
            try:
                return bytes(files.cat_file(join_path(root, full), start=start, end=end))
            except Exception as error:
                if self._backend.whole and not is_bad_range(error):
                    raise
                failed = error
            # Object stores refuse any range of an empty object, and file systems may fail to read a folder.
            info = files.info(join_path(root, full))
            if info["type"] != "file":
                raise IsADirectoryError(full) from failed
            if info["size"] == 0:
                return b""
            raise failed

        return self._run(read, "read", path)

    def _pieces(self, path: str, start: int, size: int) -> Iterator[bytes]:
        """An object of ``size`` bytes from ``start`` on. A range that comes short is asked for again."""
        full = check_path(path)
        while start < size:
            end = min(start + RANGE_BYTES, size)

            def read(files: Any, root: str, start: int = start, end: int = end) -> bytes:
                data = bytes(files.cat_file(join_path(root, full), start=start, end=end))
                if len(data) != end - start:
                    raise ConnectionError(f"{len(data)} bytes came where {end - start} were asked for")
                return data

            data = self._run(read, "read", path)
            for begin in range(0, len(data), CHUNK_BYTES):
                yield data[begin : begin + CHUNK_BYTES]
            start = end

    # Writing

    def _create(self, files: Any, full: str, data: Payload, mark: str) -> None:
        """Raises FileExistsError when something is there."""
        if self._backend.whole:
            metadata = {self._backend.mark: {MARK: mark}} if self._backend.mark else {}
            self._upload(files, full, data, mode="create", **metadata)
            return
        refuse_taken(files, full)
        with temporary_file_name(files, full) as temporary:
            self._upload(files, temporary, data)
            refuse_taken(files, full)
            files.mv(temporary, full)

    def _overwrite(self, files: Any, full: str, data: Payload) -> None:
        if self._backend.whole:
            media = MEDIA_TYPES.get(full.rpartition(".")[2]) if self._backend.media else None
            self._upload(files, full, data, **({} if media is None else {self._backend.media: media}))
            return
        with temporary_file_name(files, full) as temporary:
            self._upload(files, temporary, data)
            files.mv(temporary, full)

    def _upload(self, files: Any, full: str, data: Payload, **how: Any) -> None:
        if isinstance(data, Path):
            files.put_file(str(data), full, **self._backend.limits, **how)
        else:
            files.pipe_file(full, data, **self._backend.limits, **how)

    def _is_ours(self, path: str, data: Payload, mark: str, doubt: Exception) -> bool | None:
        """Whose bytes are stored there after a creation with an unclear outcome: ours (True), another's (False),
        nobody's (None).

        Raises RegistryUnreachable, kind ``unknown-outcome``, when that cannot be read either.
        """
        full = check_path(path)
        try:
            left = self._run(lambda files, root: self._backend.read_mark(files, join_path(root, full)), "read", path)
            return left == mark if left is not None else self._holds(path, data)
        except NotFound:
            return None
        except ModhubError as error:
            raise RegistryUnreachable(
                f"it is unknown whether {self.url}/{path} was written: {says(doubt)}; and then: {error.message}",
                kind="unknown-outcome",
                hint="run the same command again: that is safe, whether it was written or not.",
                registry=self.url,
                path=path,
            ) from error

    def _holds(self, path: str, data: Payload) -> bool:
        """Whether the object has the bytes of ``data``, compared piece by piece."""
        size = self._size(path)
        if size != payload_size(data):
            return False
        with data.open("rb") if isinstance(data, Path) else nullcontext() as file:
            start = 0
            for piece in self._pieces(path, 0, size):
                end = start + len(piece)
                mine = file.read(len(piece)) if file else memoryview(data)[start:end]  # type: ignore[arg-type]
                if piece != mine:
                    return False
                start = end
        return True

    # The file system

    def _run(self, work: Callable[[Any, str], Answer], doing: str, path: str) -> Answer:
        """``work`` of the file system and the root in it, tried again where that helps. Raises only errors of ours."""
        try:
            with timing("request", "%s %s/%s", doing, self.url, path):
                return self.retry(lambda: self._once(work))
        except ModhubError:
            raise
        except Exception as error:
            raise self._explained(error, doing, path) from error

    def _attempt(self, work: Callable[[Any, str], None]) -> Exception | None:
        """``work`` tried once; its error, if any, so that what follows is not raised while that is being handled."""
        try:
            self._once(work)
        except ModhubError:
            raise
        except Exception as error:
            return error
        return None

    def _once(self, work: Callable[[Any, str], Answer]) -> Answer:
        alone = self._backend.parallel == 1
        with self._lock if alone else nullcontext():
            files, root = self._connected()
            try:
                return work(files, root)
            except Exception as error:
                if alone and is_transient(error):
                    # One connection serves everything, and a broken one stays broken.
                    self._connection = None
                raise

    def _connected(self) -> tuple[Any, str]:
        with self._lock:
            if self._connection is None or self._connection[0] != os.getpid():
                # Connections do not survive a fork.
                self._connection = (os.getpid(), *connected(self._backend, self.url.address, self._options))
            return self._connection[1:]

    def _explained(self, error: Exception, doing: str, path: str) -> ModhubError:
        if doing == "read" and isinstance(error, _MISSING) and not lacks_bucket(error):
            return NotFound(f"{self.url}/{path} does not exist.", kind="no-object", path=path)
        attempts, credentials = self.retry.attempts, self._backend.credentials
        return client_error(error, doing=doing, url=self.url, path=path, attempts=attempts, credentials=credentials)
