"""A temporary folder on this machine, where bytes wait between two stores, or between a deletion and a second look.

Memory stays bounded because the bytes come in pieces; the folder goes away however the work ends, unless the process
is killed. ``TMPDIR`` says where it lies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from types import TracebackType

from modhub.errors import StorageError
from modhub.registry.publication import UploadProgress


class Spool:
    """A context that gives files; their names are the caller's, one name a file."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._making = Lock()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def keep(self, name: str, chunks: Iterable[bytes]) -> Path:
        """All of ``chunks`` as a file. Nothing is left of it when they end with an error, which is raised as it is.

        Raises StorageError when this machine has no space left.
        """
        path = self._place() / name
        try:
            with path.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _refused(path, error) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _place(self) -> Path:
        """The folder, made when it is first needed, by whichever thread comes first."""
        with self._making:
            if self._folder is None:
                try:
                    self._folder = tempfile.TemporaryDirectory(prefix="modhub-", ignore_cleanup_errors=True)
                except OSError as error:
                    raise _refused(Path(tempfile.gettempdir()), error) from error
            return Path(self._folder.name)


def counted(chunks: Iterable[bytes], meter: UploadProgress) -> Iterator[bytes]:
    """``chunks`` as they come, reported as progress."""
    for chunk in chunks:
        yield chunk
        meter.add(len(chunk))


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write the temporary file {path}: {error.strerror or error}.",
        kind="no-temporary-space",
        hint="free some space there, or set TMPDIR to a folder on another disk.",
        path=str(path),
    )
