"""A package folder such as ``net.modules/``: a decomposition on disk before it is published.

    manifest.json                      the manifest, without a version
    blobs/sha256/<2 hex>/<62 hex>      stored blobs, named by their own sha256

Verified as strictly as a registry: a folder may come from anywhere. Reading needs neither numpy nor keras.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modhub.errors import Conflict, IntegrityError, NotFound, StorageError, plain
from modhub.limits import MAX_MANIFEST_BYTES
from modhub.spec.folder_refs import MANIFEST_FILE
from modhub.spec.layout import blob_path
from modhub.spec.manifest import Manifest, StoredBlob, read_manifest, write_manifest
from modhub.spec.places import is_file, is_folder, is_there
from modhub.storage import files
from modhub.storage.trees import remove_tree, stranger_in
from modhub.storage.verify import VerifiedBlob, verified_blob

#: The paths of a package's files.
_OWN: Final = re.compile(rf"{re.escape(MANIFEST_FILE)}|blobs/sha256/[0-9a-f]{{2}}/[0-9a-f]{{62}}")


@dataclass(frozen=True, eq=False)
class Package:
    """A manifest and its blobs, verified, by stored sha256."""

    manifest: Manifest
    blobs: Mapping[str, VerifiedBlob]


def move_package(saved: Path, folder: Path) -> None:
    """Give the package in the folder ``saved`` the name ``folder`` on the same disk, as ``save_package`` would."""
    try:
        check_replaceable(folder)
        files.put_in_place(saved, folder)
    except OSError as error:
        raise _refused(folder, error) from error


def save_package(package: Package, folder: Path) -> Path:
    """Write ``package`` to ``folder``, replacing a package that is there; all of it or nothing.

    Raises Conflict when something else is there, StorageError when the disk refuses.
    """
    try:
        check_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _refused(folder, error) from error
    try:
        _write(package, scratch)
        files.put_in_place(scratch, folder)
    except OSError as error:
        raise _refused(folder, error) from error
    finally:
        remove_tree(scratch)
    return folder


def check_replaceable(folder: Path) -> None:
    """Raise Conflict, kind ``not-a-package``, for anything but a package: a folder is replaced whole."""
    if not is_there(folder):
        return
    what = f"{folder} exists and is not a package of modules"
    if is_folder(folder):
        if (stranger := stranger_in(folder, lambda path: _OWN.fullmatch(path) is not None)) is None:
            return
        named = plain(stranger[:200])
        is_package = is_file(folder / MANIFEST_FILE)
        what = f"{folder} has {named}, which is of no package" if is_package else f"{what}: it has {named}"
    raise Conflict(
        f"{what}.", kind="not-a-package", hint="choose another name with --out, or remove it.", path=str(folder)
    )


def _write(package: Package, folder: Path) -> None:
    folder.chmod(0o755)
    for stored, blob in package.blobs.items():
        path = folder / blob_path(stored)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob.stored)
    (folder / MANIFEST_FILE).write_bytes(write_manifest(package.manifest))


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a package folder. Raises NotFound, IntegrityError, Incompatible."""
    path = folder / MANIFEST_FILE
    if not is_file(path):
        raise NotFound(
            f"{folder} is not a package of modules: it has no {MANIFEST_FILE}.",
            kind="no-package",
            hint="make one with: modhub decompose MODEL.keras --data DATA --as me/net --out net.modules",
            path=str(folder),
        )
    return read_manifest(_read(path, MAX_MANIFEST_BYTES), what=str(path))


def load_blob(folder: Path, record: StoredBlob) -> VerifiedBlob:
    """One blob's stored bytes, verified. Raises IntegrityError naming the file."""
    path = folder / blob_path(record.sha256)
    return verified_blob([_read(path, record.size)], record, what=str(path), hint="decompose the model again.")


def load_package(folder: Path) -> Package:
    """A whole package folder, every blob verified."""
    manifest = load_manifest(folder)
    return Package(manifest, {record.sha256: load_blob(folder, record) for record in manifest.blobs.values()})


def _read(path: Path, limit: int) -> bytes:
    try:
        # Opening a pipe would wait without end for its writer, so the file's type is checked first.
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is not a plain file", os.fspath(path))
        with path.open("rb") as file:
            # Python sets memory aside for all that is asked for, so no more than there is.
            return file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
    except OSError as error:
        raise IntegrityError(
            f"{path} cannot be read: {error.strerror or error}.",
            kind="missing-blob",
            hint="the package is incomplete; decompose the model again.",
            path=os.fspath(path),
        ) from error


def _refused(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder} cannot be written: {error.strerror or error}.",
        kind="no-space" if error.errno == 28 else "not-writable",
        hint="free some space or choose another place with --out.",
        path=str(folder),
    )
