"""A registry in a local folder: the store that turns ``files`` and its OSErrors into promises and messages."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from modhub.errors import IntegrityError, ModhubError, NotFound, RegistryUnreachable, StorageError
from modhub.spec.url import RegistryUrl
from modhub.storage import files
from modhub.storage.store import Capabilities, Payload

#: The disk, a quota or a limit on file sizes has no space for the bytes.
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What ``os.link`` says where there are no hard links; some file systems say EPERM, which is reported as forbidden.
_NO_LINKS: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class LocalStore:
    """A folder. It need not exist yet: the first write creates it.

    ``writable=False`` refuses every write before looking at the disk.
    """

    def __init__(self, root: str | Path, *, writable: bool = True) -> None:
        self.root = files.absolute(root)
        self._url = RegistryUrl(str(self.root))
        self.capabilities = Capabilities(writable=writable, initialises_itself=True, parallel=1)

    @property
    def url(self) -> RegistryUrl:
        return self._url

    def get(self, path: str, *, max_bytes: int) -> bytes:
        with self._explained(path, "read"):
            return files.read(self.root, path, max_bytes=max_bytes)

    def stream(self, path: str, *, max_bytes: int) -> Iterator[bytes]:
        with self._explained(path, "read"):
            yield from files.stream(self.root, path, max_bytes=max_bytes)

    def put_if_absent(self, path: str, data: Payload) -> bool:
        self._require_writable()
        with self._explained(path, "write"):
            return files.create(self.root, path, data, durable=True)

    def put_all(self, objects: Mapping[str, Payload]) -> dict[str, bool]:
        self._require_writable()
        with self._explained(next(iter(objects), ""), "write"):
            return files.create_all(self.root, objects)

    def replace(self, path: str, data: Payload) -> None:
        self._require_writable()
        with self._explained(path, "write"):
            files.replace(self.root, path, data, durable=True)

    def delete(self, path: str) -> None:
        self._require_writable()
        with self._explained(path, "write"):
            files.delete(self.root, path)

    def exists(self, path: str) -> bool:
        with self._explained(path, "read"):
            return files.exists(self.root, path)

    def answers_for_missing(self, path: str) -> bool:
        return False

    def list(self, prefix: str) -> list[str]:
        with self._explained(prefix, "read"):
            return files.walk(self.root, prefix)

    def modified(self, path: str) -> datetime:
        with self._explained(path, "read"):
            return datetime.fromtimestamp(files.modified(self.root, path), UTC)

    def sweep(self, before: datetime) -> int:
        self._require_writable()
        with self._explained("", "write"):
            found = files.leftovers(self.root, before.timestamp())
            for full in found:
                files.remove(full)
        return len(found)

    def _require_writable(self) -> None:
        if not self.capabilities.writable:
            raise RegistryUnreachable(
                f"the registry {self.root} is read-only.",
                kind="not-writable",
                hint="publish to another registry, for example with --registry FOLDER.",
                registry=self.url,
            )

    @contextmanager
    def _explained(self, path: str, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explanation(error, self.root / path, doing) from error

    def _explanation(self, error: OSError, path: Path, doing: str) -> ModhubError:
        if files.is_no_folder(self.root):
            return RegistryUnreachable(
                f"the registry {self.root} is a file, not a folder.",
                kind="not-a-folder",
                hint="give the folder that holds modhub-registry.json.",
                registry=self.url,
            )
        if error.errno in FULL:
            return StorageError(
                f"no space to write {path}: {error.strerror}.",
                kind="no-space",
                hint="free some space on that disk, then run it again; nothing half done was left.",
                path=str(path),
            )
        if error.errno in _FORBIDDEN:
            return RegistryUnreachable(
                f"cannot {doing} {path}: {error.strerror}.",
                kind="not-writable" if doing == "write" else "not-readable",
                hint=f"get the right to {doing} that folder, or use another registry.",
                registry=self.url,
                path=str(path),
            )
        if error.errno == errno.ELOOP:
            return IntegrityError(
                f"{path} is a link that leads in a circle.",
                kind="link-loops",
                hint="replace the link by the file itself.",
                path=str(path),
            )
        if doing == "read" and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return NotFound(f"{path} does not exist.", kind="no-object", path=str(path))
        if error.errno in _NO_LINKS and doing == "write":
            return RegistryUnreachable(
                f"the file system of {self.root} knows no hard links: {error.strerror}.",
                kind="no-exclusive-create",
                hint="keep the registry on a file system that does (exFAT and some network shares do not).",
                registry=self.url,
            )
        return RegistryUnreachable(
            f"cannot {doing} {path}: {error.strerror or error}.",
            hint="look at the disk or the network share that holds it.",
            registry=self.url,
            path=str(path),
        )
