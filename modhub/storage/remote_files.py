"""What a store on an fsspec file system does with files there: walking, temporary names, sizes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from modhub.errors import StorageError
from modhub.storage.files import TEMPORARY
from modhub.storage.store import MAX_PATH_SEGMENTS, Payload


@contextmanager
def temporary_file_name(files: Any, full: str) -> Iterator[str]:
    """A name beside ``full`` that no listing shows; the caller moves the file away, and a failure removes it."""
    folder = full.rpartition("/")[0]
    if folder:
        files.makedirs(folder, exist_ok=True)
    name = join_path(folder, f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}")
    try:
        yield name
    except BaseException:
        with suppress(Exception):
            files.rm_file(name)
        raise


def refuse_taken(files: Any, full: str) -> None:
    try:
        files.info(full)
    except FileNotFoundError:
        return
    raise FileExistsError(full)


def walk_files(files: Any, folder: str) -> Iterator[str]:
    """Full names of all files below ``folder``; unlike ``find`` it fails where a folder cannot be read."""
    waiting = [folder]
    while waiting:
        inside = waiting.pop()
        try:
            entries = files.ls(inside, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            name = str(entry["name"]).rstrip("/")
            if name == inside:
                continue
            if entry["type"] != "directory":
                yield name
            elif name.count("/") - folder.count("/") < MAX_PATH_SEGMENTS:
                # What lies deeper is not a registry's.
                waiting.append(name)


def payload_size(data: Payload) -> int:
    if not isinstance(data, Path):
        return len(data)
    try:
        return data.stat().st_size
    except OSError as error:
        raise StorageError(
            f"cannot read {data}, which was to be uploaded: {error.strerror}.",
            kind="no-payload",
            hint="look whether the file is still there.",
            path=str(data),
        ) from error


def join_path(folder: str, name: str) -> str:
    return "/".join(part for part in (folder, name) if part)
